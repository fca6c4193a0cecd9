//! `cargo xtask conformance-filter`, with a stand-in for tcpdump whose verdicts are known.
#![expect(
    clippy::unwrap_used,
    reason = "a folder that cannot be written is a failed test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Selects every packet, but refuses `vlan`.
const ORACLE: &str = "#!/bin/sh
[ \"$1\" = --version ] && { echo stand-in; exit 0; }
[ \"$6\" = vlan ] && { echo 'no vlan here' >&2; exit 1; }
exec /bin/cat \"$2\"
";

fn run(test: &str, expressions: &str) -> Output {
    let name = format!("netring-conformance-filter-{test}-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir).unwrap();
    let oracle = dir.join("tcpdump");
    fs::write(&oracle, ORACLE).unwrap();
    fs::set_permissions(&oracle, fs::Permissions::from_mode(0o755)).unwrap();
    let list = dir.join("expressions.txt");
    fs::write(&list, expressions).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let output = Command::new(env!("CARGO_BIN_EXE_tools"))
        .arg("conformance-filter")
        .args([&corpus, &list])
        .env("PATH", &dir)
        .output()
        .unwrap();
    fs::remove_dir_all(&dir).unwrap();
    output
}

#[test]
fn equal_verdicts_pass() {
    let output = run("equal", "# all\nlen > 0\n\nnot len = 0\n");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("2 expressions, "), "{text}");
    assert!(text.contains(" compared, 0 differences"), "{text}");
}

#[test]
fn each_difference_is_a_line_and_a_failure() {
    let output = run("different", "len > 0\nlen = 0\nvlan\nnonsense\n");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for line in [
        "LinkType::ETHERNET: len = 0: 0 packets more [], ",
        "LinkType::ETHERNET: vlan: tcpdump refuses it: no vlan here",
        "LinkType::ETHERNET: nonsense: refused: filter: column 1: expected a term",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("len > 0:"), "{text}");
}
