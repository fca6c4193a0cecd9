//! `cargo xtask conformance` on folders with an `expect.tsv`.
#![expect(
    clippy::unwrap_used,
    reason = "a folder that cannot be written is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that is removed at the end of the test.
struct Folder(PathBuf);

impl Folder {
    /// Creates a folder with these captures from `xtask/cases`, each under its name in the folder.
    fn new(test: &str, captures: &[(&str, &str)]) -> Self {
        let name = format!("netring-expect-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/captures");
        for (from, to) in captures {
            let to = path.join(to);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(ours.join(from), to).unwrap();
        }
        Self(path)
    }

    /// Runs the tool, and returns whether it succeeded, its output, and its errors.
    fn run(&self, expect: &str) -> (bool, String, String) {
        fs::write(self.0.join("expect.tsv"), expect).unwrap();
        run(&self.0)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(folder: &Path) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tools"))
        .arg("conformance")
        .arg(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn our_own_cases_hold() {
    let (content, printed, complaint) = run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cases"));
    assert!(content, "{printed}{complaint}");
    assert_eq!(
        printed,
        "9 hold, 0 do not; 0 captures without an expectation, 0 of them crashed\n"
    );
}

#[test]
fn captures_are_found_in_the_folder_and_below_it() {
    let folder = Folder::new(
        "found",
        &[
            ("tcp_close.pcap", "a.pcap"),
            ("two_flows.pcap", "flow/b.pcap"),
            ("odd_option.pcapng", "pcap/deep/c.pcapng"),
            ("cut_short.pcap", "pcap/nobody.pcap"),
        ],
    );
    fs::write(folder.0.join("mk.py"), "no capture").unwrap();
    let expect = "# case\ttag\tconditions\na.pcap\tOPEN\tflows=1\nb.pcap\tOPEN\tflows=2\t!flows=1\nc.pcapng\tOPEN\n";
    let (content, printed, complaint) = folder.run(expect);
    assert!(content, "{printed}{complaint}");
    let nobody = folder.0.join("pcap/nobody.pcap");
    assert_eq!(
        printed,
        format!(
            "no expectation: {}\n3 hold, 0 do not; 1 captures without an expectation, 0 of them crashed\n",
            nobody.display()
        )
    );
}

#[test]
fn what_does_not_hold_is_printed_and_is_a_failure() {
    let folder = Folder::new("fails", &[("tcp_close.pcap", "a.pcap")]);
    let expect = "a.pcap\tOPEN\tflows=2\t~ finished \t!ESTABLISHED\topen<=0\tticks>=1\n";
    let (content, printed, complaint) = folder.run(expect);
    assert!(!content);
    assert!(
        printed.starts_with(
            "a.pcap: does not hold: flows=2 | !ESTABLISHED | open<=0 | ticks>=1\n0 hold, 1 do not;"
        ),
        "{printed}"
    );
    assert!(complaint.contains("1 cases do not hold"), "{complaint}");
}

#[test]
fn a_case_without_its_capture_is_a_failure() {
    let folder = Folder::new("missing", &[("tcp_close.pcap", "a.pcap")]);
    let (content, printed, _) = folder.run("a.pcap\tOPEN\tflows=1\npcap\tOPEN\n.pcap\tOPEN\n");
    assert!(!content);
    let told = format!("pcap: there is no such capture in {}", folder.0.display());
    let told = told.replacen(": there", ": does not hold: there", 1);
    assert!(printed.contains(&told), "{printed}");
    assert!(printed.contains("1 hold, 2 do not"), "{printed}");
}

#[test]
fn an_invalid_line_is_named_with_its_position() {
    let folder = Folder::new("broken", &[("tcp_close.pcap", "a.pcap")]);
    for (expect, told) in [
        ("a.pcap\n", "expect.tsv:1: a line has"),
        (
            "# x\na.pcap\tOPEN\tflow=1\n",
            "expect.tsv:2: \"flow=1\" is not a condition",
        ),
        ("a.pcap\tOPEN\t~(\n", "expect.tsv:1: \"~(\""),
        ("# x\n", "expect.tsv has no cases"),
    ] {
        let (content, printed, complaint) = folder.run(expect);
        assert!(!content, "{printed}");
        assert!(complaint.contains(told), "{told}: {complaint}");
    }
}
