//! Capture files under a live capture: a tee with rotation, a full disk, a slow one, and programs
//! that are stopped or killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use netring::adapters::Tee;
use netring::pcap::{
    CaptureFile, CaptureWriter, FileError, Format, InterfaceDescription, RotatingWriter,
};
use netring::{
    Capture, Count, Direction, Error, PacketBatch, PacketSource, Readiness, Stats, Timed,
};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, number, numbered, tcp4, udp4};

use super::examples::capturing;
use crate::program::send;

const SECOND: Duration = Duration::from_secs(1);

/// A folder that is deleted when the test ends, on a disk of its own if it has a size.
struct Folder {
    path: PathBuf,
    is_mounted: bool,
}

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("netring-live-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        let is_mounted = false;
        Self { path, is_mounted }
    }

    fn on_a_disk_of(bytes: u32, name: &str) -> Self {
        let mut folder = Self::new(name);
        let size = format!("size={bytes}");
        let mut mount = Command::new("mount");
        let mounted = mount
            .args(["-t", "tmpfs", "-o", &size, "netring"])
            .arg(&folder.path)
            .status();
        assert!(mounted.unwrap().success());
        folder.is_mounted = true;
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.path).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing more can be done about either.
        if self.is_mounted {
            let _ = Command::new("umount").arg(&self.path).status();
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The bytes and times of the packets in a file, complete or not.
fn packets(path: &Path) -> Vec<(i64, Vec<u8>)> {
    let Ok(mut file) = CaptureFile::open(path) else {
        return Vec::new();
    };
    let mut packets = Vec::new();
    while let Ok(Some(batch)) = file.next_batch() {
        let all = batch.packets();
        packets.extend(all.map(|it| (it.timestamp().as_nanos(), it.data().to_vec())));
    }
    packets
}

fn tagged(mut frame: Vec<u8>, tag: [u8; 4]) -> Vec<u8> {
    frame.splice(12..12, tag);
    frame
}

/// Reads from the tee until this many packets were lent; returns their times.
fn lent(tee: &mut impl PacketSource, count: usize) -> Vec<i64> {
    let mut times = Vec::new();
    while times.len() < count {
        match tee.next_batch_timeout(5 * SECOND).unwrap() {
            Timed::Batch(batch) => {
                times.extend(batch.packets().map(|it| it.timestamp().as_nanos()));
            }
            _ => panic!("nothing more after {} packets", times.len()),
        }
    }
    times
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_a_tee_writes_what_the_wire_carried_to_one_file_after_another() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let folder = Folder::new("tee");
    let mut frames = Vec::new();
    for n in 0..250_u16 {
        let frame = udp4(1000 + n, 53, &vec![7; 20 + usize::from(n)]);
        frames.push(match n % 3 {
            0 => frame,
            1 => tagged(frame, [0x81, 0, 0, 5]),
            _ => tagged(frame, [0x88, 0xa8, 0x20, 9]),
        });
    }
    let capture = Capture::open("v1").unwrap();
    let index = capture.interface().index;
    let about = InterfaceDescription::from(capture.interface());
    let writer = RotatingWriter::builder(folder.file("a-{}.pcapng").to_str().unwrap())
        .writer(CaptureWriter::builder(Format::PcapNg).interface(index, about))
        .max_packets(100)
        .create()
        .unwrap();
    let mut tee = Tee::new(capture, writer);
    send(&Sender::on("v0").unwrap(), &frames);
    let times = lent(&mut tee, frames.len());
    let stats = tee.stats().unwrap();
    assert_eq!((tee.written(), tee.missed()), (250, 0));
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(250), Count::Exact(0))
    );
    tee.writer_mut().set_statistics(index, stats).unwrap();
    let (_, writer) = tee.finish().unwrap();
    assert_eq!((writer.packets(), writer.unwritten()), (250, 0));
    writer.finish().unwrap();

    let files = folder.files();
    let read: Vec<_> = files.iter().map(|path| packets(path)).collect();
    let lengths: Vec<_> = read.iter().map(Vec::len).collect();
    assert_eq!(lengths, [100, 100, 50]);
    let read = read.concat();
    let expected: Vec<_> = times.into_iter().zip(frames).collect();
    assert_eq!(read, expected);
    // Nanoseconds, not microseconds padded with zeros.
    assert!(read.iter().any(|(time, _)| time % 1_000 != 0));
    let mut last = CaptureFile::open(&files[2]).unwrap();
    while let Some(batch) = last.next_batch().unwrap() {
        for packet in batch.packets() {
            assert_eq!(packet.direction(), Some(Direction::OtherHost));
        }
    }
    let (number, about) = last.interfaces().next().unwrap();
    assert_eq!((number, about.name().as_deref()), (1, Some("v1")));
    let (_, statistics) = last.statistics().next().unwrap();
    assert_eq!(statistics.delivered, Some(250));
}

/// A full disk ends the writing with an error that names the file and the cause. Packets that did
/// not reach the file are counted, and the capture continues without it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s22_a_full_disk_is_an_error_and_each_packet_is_written_or_counted() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let folder = Folder::on_a_disk_of(256 << 10, "full");
    let writer = RotatingWriter::builder(folder.file("a-{}.pcapng").to_str().unwrap())
        .max_bytes(100_000)
        .create()
        .unwrap();
    let mut tee = Tee::new(Capture::open("v1").unwrap(), writer);
    let sender = Sender::on("v0").unwrap();
    let (mut sent, mut lent) = (0, 0);
    let error = loop {
        if sent < 1_000 {
            send(&sender, &[numbered(sent, 1_000)]);
            sent += 1;
        }
        match tee.ready() {
            Ok(Readiness::Ready) => lent += tee.batch().packets().count() as u64,
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let FileError::Write(cause) = error.downcast_ref().unwrap() else {
        panic!("{error}");
    };
    assert_eq!(cause.kind(), io::ErrorKind::StorageFull);
    let text = error.to_string();
    assert!(
        text.contains("/a-00003.pcapng: writing failed: No space left"),
        "{text}"
    );
    assert!(matches!(tee.ready(), Err(Error::Closed)));
    assert_eq!(tee.written() + tee.missed(), lent);
    let (mut capture, writer) = tee.into_parts();
    assert_eq!((writer.path(), writer.files()), (None, 3));
    let in_files: usize = folder.files().iter().map(|path| packets(path).len()).sum();
    assert_eq!(in_files as u64 + writer.unwritten(), writer.packets());
    // 256 KiB of packets with 1000 bytes.
    assert!((200..=262).contains(&in_files), "{in_files}");
    send(&sender, &[numbered(5_000, 60)]);
    let found = capture.wait(Some(5 * SECOND)).unwrap();
    assert_eq!(found, Readiness::Ready);
}

/// A disk that accepts nothing until the test permits it.
struct Slow {
    free: mpsc::Receiver<()>,
    taken: Vec<u8>,
    is_asked: mpsc::Sender<()>,
    /// The header passes.
    writes: usize,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        if self.writes == 2 {
            self.is_asked.send(()).unwrap();
            self.free.recv().unwrap();
        }
        self.taken.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads up to a packet of [`send_last`].
pub(crate) fn read_to_last(source: &mut impl PacketSource) {
    let mut is_over = false;
    while !is_over {
        let batch = source.next_batch().unwrap().unwrap();
        is_over = batch
            .packets()
            .any(|it| number(it.data()) == Some(u64::MAX));
    }
}

/// Sends a packet that ends the reader again and again, as it is dropped while the ring is full.
/// Returns how many were sent.
pub(crate) fn send_last<T>(sender: &Sender, reader: &JoinHandle<T>) -> u64 {
    let mut sent = 0;
    while !reader.is_finished() {
        sender.send(&numbered(u64::MAX, 60)).unwrap();
        sent += 1;
        std::thread::yield_now();
    }
    sent
}

/// How many packets were delivered, if all that were sent are accounted for and some were dropped.
#[track_caller]
pub(crate) fn delivered_of(stats: &Stats, sent: u64) -> u64 {
    let exact = |count: Count| count.exact().unwrap();
    let (delivered, dropped) = (exact(stats.delivered), exact(stats.dropped));
    assert_eq!(exact(stats.offered), sent);
    assert_eq!(delivered + dropped + stats.pending().unwrap(), sent);
    assert!(dropped > 0, "{stats}");
    delivered
}

/// While a disk blocks, packets wait in the ring, and the kernel counts those for which there is no
/// room: nothing is lost uncounted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p2_a_slow_disk_holds_up_the_ring_and_each_packet_is_written_or_counted() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let builder = Capture::builder().interface("v1");
    let capture = builder
        .profile(netring::Profile::LowMemory)
        .build()
        .unwrap();
    let ((free, freed), (asks, asked)) = (mpsc::channel(), mpsc::channel());
    let writer = CaptureWriter::new(
        Slow {
            free: freed,
            taken: Vec::new(),
            is_asked: asks,
            writes: 0,
        },
        Format::PcapNg,
    )
    .unwrap();
    let reader = std::thread::spawn(move || {
        let mut tee = Tee::new(capture, writer);
        read_to_last(&mut tee);
        tee
    });
    let mut sent = 0;
    let mut burst = |count: u64| {
        for _ in 0..count {
            sender.send(&numbered(sent, 1_400)).unwrap();
            sent += 1;
        }
    };
    // More than the writer's buffer holds.
    burst(100);
    asked.recv_timeout(10 * SECOND).unwrap();
    // More than the ring holds.
    burst(20_000);
    free.send(()).unwrap();
    sent += send_last(&sender, &reader);
    let mut tee = reader.join().unwrap();
    let delivered = delivered_of(&tee.stats().unwrap(), sent);
    assert_eq!((tee.written(), tee.missed()), (delivered, 0));
    let (_, writer) = tee.finish().unwrap();
    let file = writer.finish().unwrap().taken;
    let mut file = CaptureFile::new(&file[..]).unwrap();
    let mut written = 0;
    while let Some(batch) = file.next_batch().unwrap() {
        written += batch.packets().count() as u64;
    }
    assert_eq!(written, delivered);
}

/// Waits until the files contain this many packets in total.
fn until_written(program: &mut crate::program::Program, folder: &Folder, count: usize) {
    program.until("write all packets", |_| {
        let files = folder.files();
        files.iter().map(|path| packets(path).len()).sum::<usize>() == count
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn record_keeps_the_last_files_and_completes_them_on_sigterm() {
    let _ns = Netns::enter().unwrap();
    let folder = Folder::new("record");
    let pattern = folder.file("%Y-{}.pcapng");
    let args = ["v1", pattern.to_str().unwrap(), "10"];
    let (mut program, sender) = capturing("record", &args);
    let frames: Vec<_> = (0..68).map(|n| numbered(n, 60 + n as usize)).collect();
    send(&sender, &frames);
    // The last five of seven files are kept.
    until_written(&mut program, &folder, 48);
    program.signal("TERM");
    let said = program.end();
    said.went_well();
    let files = folder.files();
    assert_eq!(files.len(), 5);
    let read: Vec<_> = files
        .iter()
        .flat_map(|path| packets(path))
        .map(|it| it.1)
        .collect();
    assert_eq!(read, frames[20..]);
    let (stats, finished) = said.out.split_last().unwrap();
    assert_eq!(stats, "68 offered, 68 delivered, 0 dropped");
    assert_eq!(finished.len(), 7);
    for (path, line) in files.iter().zip(&finished[2..]) {
        let packets = packets(path).len();
        assert_eq!(line, &format!("{}: {packets} packets", path.display()));
    }
    let mut last = CaptureFile::open(&files[4]).unwrap();
    while last.next_batch().unwrap().is_some() {}
    let (_, statistics) = last.statistics().next().unwrap();
    assert_eq!(
        (statistics.received, statistics.os_dropped),
        (Some(68), Some(0))
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn record_leaves_files_that_can_be_read_when_it_is_killed() {
    let _ns = Netns::enter().unwrap();
    let folder = Folder::new("killed");
    let pattern = folder.file("a-{}.pcapng");
    let (mut program, sender) = capturing("record", &["v1", pattern.to_str().unwrap(), "10"]);
    let frames: Vec<_> = (0..25).map(|n| numbered(n, 100)).collect();
    send(&sender, &frames);
    until_written(&mut program, &folder, 25);
    program.signal("KILL");
    assert!(!program.end().ok);
    let read: Vec<_> = folder
        .files()
        .iter()
        .flat_map(|path| packets(path))
        .map(|it| it.1)
        .collect();
    assert_eq!(read, frames);
    // The last one ends with a whole packet, so it has no error at its end.
    let mut last = CaptureFile::open(folder.file("a-00003.pcapng")).unwrap();
    while last.next_batch().unwrap().is_some() {}
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn record_names_what_it_cannot_do() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    for (pattern, told) in [
        (
            "/nowhere/a.pcapng",
            "/nowhere/a.pcapng: it cannot be opened",
        ),
        ("/tmp/../a.pcapng", "contains `..`"),
        ("/tmp/%!.pcapng", "pattern"),
    ] {
        let said = crate::program::Program::start("record", &["v1", pattern]).end();
        assert!(!said.ok && said.err.contains(told), "{said:?}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn tee_writes_a_file_and_counts_flows() {
    let _ns = Netns::enter().unwrap();
    let folder = Folder::new("example");
    let path = folder.file("a.pcapng");
    let (program, sender) = capturing("tee", &["v1", path.to_str().unwrap(), "2"]);
    let frames = [
        udp4(5000, 53, &[0; 30]),
        tcp4(4000, 80, 1, 2, b""),
        tcp4(4000, 80, 2, 16, &[0; 100]),
        tagged(udp4(5000, 53, &[0; 40]), [0x81, 0, 0, 7]),
    ];
    send(&sender, &frames);
    let said = program.end();
    said.went_well();
    let lines = [
        "4 packets written, 2 flows",
        "4 offered, 4 delivered, 0 dropped",
    ];
    assert_eq!(said.out, lines);
    let read: Vec<_> = packets(&path).into_iter().map(|it| it.1).collect();
    assert_eq!(read, frames);
}
