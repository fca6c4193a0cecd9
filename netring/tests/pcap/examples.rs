//! Runs the example that reads a file as a program, and compares its output line by line.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use super::bytes;
use crate::program;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use bytes::{Little, MICROS, header, record};
use program::{Program, command};
use xtask::wire::{tcp4, udp4};

/// A file that is deleted when the test ends.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("netring-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn file() -> Vec<u8> {
    let mut arp = vec![0; 60];
    arp[12..14].copy_from_slice(&[8, 6]);
    let frames = [
        tcp4(4000, 80, 1, 2, b""),
        udp4(5000, 53, &[0; 20]),
        tcp4(4000, 80, 2, 16, &[0; 100]),
        arp,
        tcp4(4000, 80, 102, 4, b""),
    ];
    let mut file = header(Little, MICROS, 65_535, 1);
    for (second, frame) in (1_700_000_000..).zip(frames) {
        file.extend(record(Little, (second, 5), frame.len() as u32, &frame));
    }
    file
}

const LINES: [&str; 3] = [
    "1700000000.000005000 tcp 10.0.0.1:4000 10.0.0.2:80: 3 packets, 262 bytes, reset",
    "1700000001.000005000 udp 10.0.0.1:5000 10.0.0.2:53: 1 packets, 62 bytes, source-ended",
    "1 packets without a flow",
];

#[test]
fn read_file_prints_the_flows_of_a_file() {
    let file = Written::new("whole", &file());
    let said = Program::start("read_file", &[file.path()]).end();
    assert_eq!(said.out, LINES);
    said.went_well();
}

#[test]
fn read_file_prints_what_there_is_before_a_fault_and_then_the_fault() {
    let mut bytes = file();
    bytes.extend(record(Little, (1_700_000_009, 0), 60, &[0; 60]));
    bytes.truncate(bytes.len() - 7);
    let file = Written::new("cut", &bytes);
    let said = Program::start("read_file", &[file.path()]).end();
    assert_eq!(said.out, LINES);
    let fault =
        "it is cut short: a packet begins at byte 488, and at least 7 of its bytes are missing";
    assert_eq!(said.err, format!("{}: {fault}\n", file.path()));
    assert!(!said.ok);
}

#[test]
fn read_file_without_a_file_says_so_in_a_sentence() {
    let said = Program::start("read_file", &["/nowhere/at-all"]).end();
    assert!(!said.ok && said.out.is_empty(), "{said:?}");
    assert!(said.err.starts_with("/nowhere/at-all: "), "{said:?}");
    assert!(said.err.contains("No such file"), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
}

/// The name of a file need not be UTF-8; and only one file is accepted.
#[test]
fn read_file_takes_any_name_and_one_only() {
    let odd = std::env::temp_dir().join(OsStr::from_bytes(b"netring-\xff-nowhere"));
    let said = Program::spawn("read_file", command("read_file").arg(&odd)).end();
    assert!(!said.ok && said.err.contains("No such file"), "{said:?}");
    for args in [&["a", "b"][..], &[], &["--help"]] {
        let said = Program::start("read_file", args).end();
        assert!(
            !said.ok && said.err.contains("usage: read_file FILE"),
            "{said:?}"
        );
    }
}

#[test]
fn payload_counts_what_the_segments_of_a_file_carry() {
    let file = Written::new("payload", &file());
    let said = Program::start("payload", &[file.path()]).end();
    let lines = [
        "tcp 10.0.0.1:4000 10.0.0.2:80: 100 bytes of payload to the responder, 0 back, 0 not captured",
        "udp 10.0.0.1:5000 10.0.0.2:53: 20 bytes of payload to the responder, 0 back, 0 not captured",
    ];
    assert_eq!(said.out, lines);
    said.went_well();
}

#[test]
fn convert_writes_a_file_that_was_compressed_as_another_one() {
    let folder = crate::tshark::Folder::new();
    let from = folder.file("a.pcap.gz");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, &file()).unwrap();
    std::fs::write(&from, gzip.finish().unwrap()).unwrap();
    for name in ["b.pcapng", "b.pcapng.gz"] {
        let to = folder.file(name);
        let args = [from.to_str().unwrap(), to.to_str().unwrap()];
        let said = Program::start("convert", &args).end();
        said.went_well();
        assert_eq!(said.out, ["5 packets"]);
        let written = std::fs::read(&to).unwrap();
        assert_eq!(written.starts_with(&[0x1f, 0x8b]), name.ends_with("gz"));
        // In a pcapng file an interface has a number.
        let mut expected = crate::packets(&file());
        expected.iter_mut().for_each(|packet| packet.interface = 1);
        assert_eq!(crate::packets(&written), expected);
        // The file is not overwritten.
        let said = Program::start("convert", &args).end();
        assert!(!said.ok && said.err.contains("File exists"), "{said:?}");
    }
}
