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
fn a_time_that_pcap_cannot_express_has_no_pcap_form() {
    let dir = folder("beyond");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut late = fs::read(corpus.join("udp.pcap")).unwrap();
    // The last second of pcap, and a fraction of more than one.
    late[24..28].fill(0xff);
    late[28..32].copy_from_slice(&3_000_000_u32.to_le_bytes());
    let nanos = late[..4] == 0xa1b2_3c4d_u32.to_le_bytes();
    if nanos {
        late[28..32].copy_from_slice(&3_000_000_000_u32.to_le_bytes());
    }
    fs::write(dir.join("late.pcap"), &late).unwrap();
    // pcapng with a time that no i64 of nanoseconds holds, in microseconds.
    let words: [u32; 7] = [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28];
    let interface: [u32; 5] = [1, 20, 1, 0, 20];
    let packet: [u32; 9] = [6, 36, 0, u32::MAX, u32::MAX, 4, 4, 0, 36];
    let words = words.iter().chain(&interface).chain(&packet);
    let file: Vec<_> = words.flat_map(|word| word.to_le_bytes()).collect();
    fs::write(dir.join("far.pcapng"), file).unwrap();
    let (output, text) = run(&dir);
    fs::remove_dir_all(&dir).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("4 copies compared, "), "{text}");
    assert!(
        text.contains("2 without a pcap form; 0 differences"),
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
