//! `cargo xtask conformance-files`, over our own captures and over files that are none.
#![expect(
    clippy::unwrap_used,
    reason = "a folder that cannot be written is a failed test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(dir: &Path) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tools"))
        .arg("conformance-files")
        .arg(dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

fn folder(test: &str) -> PathBuf {
    let name = format!("netring-conformance-files-{test}-{}", std::process::id());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn our_own_captures_are_the_same_when_they_are_written() {
    let (output, text) = run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
    assert!(output.status.success(), "{text}");
    assert!(text.contains("7 captures, "), "{text}");
    assert!(text.contains("28 copies compared, "), "{text}");
    assert!(text.contains("; 0 differences"), "{text}");
}

#[test]
fn what_is_damaged_or_no_capture_is_a_line() {
    let dir = folder("damaged");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let whole = fs::read(corpus.join("udp.pcap")).unwrap();
    fs::write(dir.join("cut.pcap"), &whole[..whole.len() - 1]).unwrap();
    fs::write(dir.join("text.pcapng"), "no capture").unwrap();
    fs::write(dir.join("notes.txt"), "no capture").unwrap();
    let (output, text) = run(&dir);
    fs::remove_dir_all(&dir).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("damaged after "), "{text}");
    assert!(
        text.contains("text.pcapng: it is neither pcap nor pcapng"),
        "{text}"
    );
    assert!(
        text.contains("1 damaged, 1 refused, 1 other files"),
        "{text}"
    );
}

#[test]
fn a_folder_without_captures_is_an_error() {
    let dir = folder("empty");
    let (output, _) = run(&dir);
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(output.status.code(), Some(1));
}
