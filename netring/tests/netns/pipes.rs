//! A live capture into a named pipe: one that nobody reads, and one whose reader is killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use netring::adapters::Tee;
use netring::pcap::{CaptureFile, CaptureWriter, FileError, Format};
use netring::{Capture, Error, PacketBatch, PacketSource, Profile, Readiness};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, number, numbered};

use super::files::{delivered_of, read_to_last, send_last};

const LIMIT: Duration = Duration::from_secs(10);

/// A named pipe that is deleted when the test ends.
struct Fifo(PathBuf);

impl Fifo {
    fn new(name: &str) -> Self {
        let name = format!("netring-fifo-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        Self(path)
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = fs::remove_file(&self.0);
    }
}

/// The numbers of the whole packets in these bytes, and how the file ends.
fn numbers(bytes: &[u8]) -> (Vec<u64>, Result<(), Error>) {
    let mut file = match CaptureFile::new(bytes) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut numbers = Vec::new();
    loop {
        match file.next_batch() {
            Ok(Some(batch)) => {
                numbers.extend(batch.packets().map(|it| number(it.data()).unwrap()));
            }
            Ok(None) => return (numbers, Ok(())),
            Err(error) => return (numbers, Err(error)),
        }
    }
}

/// While nobody reads the pipe, the writer blocks and packets wait in the ring. The kernel counts
/// those for which there is no room, and all others arrive through the pipe.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p2_a_pipe_that_nobody_reads_holds_up_the_ring_and_each_packet_is_counted() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let builder = Capture::builder().interface("v1");
    let capture = builder.profile(Profile::LowMemory).build().unwrap();
    let fifo = Fifo::new("slow");
    // Opened for both directions, so that the writer need not wait for a reader.
    let both = OpenOptions::new().read(true).write(true).open(&fifo.0);
    let both = both.unwrap();
    let writer = CaptureWriter::create(&fifo.0, Format::PcapNg).unwrap();
    let mut read = fs::File::open(&fifo.0).unwrap();
    drop(both);
    let reader = std::thread::spawn(move || {
        let mut tee = Tee::new(capture, writer);
        read_to_last(&mut tee);
        let written = tee.written();
        let (capture, writer) = tee.finish().unwrap();
        drop(writer.finish().unwrap());
        (capture, written)
    });
    // More than the buffer, the pipe and the ring hold, because nothing is read meanwhile.
    let mut sent = 0;
    while sent < 20_000 {
        sender.send(&numbered(sent, 1_400)).unwrap();
        sent += 1;
    }
    let drain = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        read.read_to_end(&mut bytes).unwrap();
        bytes
    });
    sent += send_last(&sender, &reader);
    let (mut capture, written) = reader.join().unwrap();
    let delivered = delivered_of(&capture.stats().unwrap(), sent);
    assert_eq!(written, delivered);
    let (numbers, end) = numbers(&drain.join().unwrap());
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(numbers.len() as u64, delivered);
    // In order, each once, up to the last ones.
    let last = numbers.iter().position(|it| *it == u64::MAX).unwrap();
    assert!(numbers[..last].is_sorted_by(|a, b| a < b));
    assert!(numbers[last..].iter().all(|it| *it == u64::MAX));
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |about| about.len())
}

/// If the reader is killed, the writing ends with an error that names the pipe and the cause; the
/// program and the capture continue.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s22_a_pipe_whose_reader_is_killed_is_an_error_and_the_capture_goes_on() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let capture = Capture::open("v1").unwrap();
    let fifo = Fifo::new("killed");
    let out = Fifo(fifo.0.with_extension("out"));
    let mut cat = Command::new("cat")
        .arg(&fifo.0)
        .stdout(Stdio::from(fs::File::create(&out.0).unwrap()))
        .spawn()
        .unwrap();
    let writer = CaptureWriter::create(&fifo.0, Format::PcapNg).unwrap();
    let mut tee = Tee::new(capture, writer);
    let (mut sent, mut lent, mut is_killed) = (0, 0, false);
    let error = loop {
        sender.send(&numbered(sent, 1_000)).unwrap();
        sent += 1;
        match tee.wait(Some(LIMIT)) {
            Ok(Readiness::Ready) => lent += tee.batch().packets().count() as u64,
            Ok(_) => panic!("nothing came"),
            Err(error) => break error,
        }
        if !is_killed && size(&out.0) > 100_000 {
            is_killed = true;
            cat.kill().unwrap();
        }
    };
    assert!(is_killed);
    cat.wait().unwrap();
    let FileError::Write(cause) = error.downcast_ref().unwrap() else {
        panic!("{error}");
    };
    assert_eq!(cause.kind(), ErrorKind::BrokenPipe);
    let text = error.to_string();
    let expected = format!("{}: writing failed: Broken pipe", fifo.0.display());
    assert!(text.starts_with(&expected), "{text}");
    assert!(matches!(tee.ready(), Err(Error::Closed)));
    assert_eq!(tee.written() + tee.missed(), lent);
    let (mut capture, writer) = tee.into_parts();
    // The reader has the whole packets that the pipe accepted, from the first one on.
    let (read, _) = numbers(&fs::read(&out.0).unwrap());
    assert!(read.iter().copied().eq(0..read.len() as u64));
    assert!(read.len() as u64 <= writer.packets() - writer.unwritten());
    assert!(writer.unwritten() > 0);
    // What is still in the ring, and then what is sent now.
    sender.send(&numbered(u64::MAX, 60)).unwrap();
    loop {
        let batch = capture.next_batch().unwrap().unwrap();
        if batch
            .packets()
            .any(|it| number(it.data()) == Some(u64::MAX))
        {
            break;
        }
    }
}
