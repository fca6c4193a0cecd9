//! Capture files on a tmpfs: reading and writing next to the crate `pcap`, the cost of a tee, and a
//! live recording next to dumpcap.
//!
//! Reading and writing are of files in memory, so that no disk is measured. What the kernel does to
//! copy bytes to or from the page cache is part of the time of both.

mod dumpcap;
mod live;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use netring::adapters::Tee;
use netring::pcap::{CaptureFile, CaptureWriter, Format};
use netring_flow::extract::FiveTuple;
use netring_flow::{FlowEvent, FlowTracker};
use netring_sys::{
    Clock, Direction, LinkType, Packet, PacketBatch, PacketSource, PacketWriter, Timestamp,
};
use xtask::wire;

use super::walk::touch;
use super::{Options, Row, Table, Target, measure, peers};
use crate::Result;

/// Where the files are: in memory.
const FOLDER: &str = "/dev/shm";

/// Bytes of packets in the files that are read.
const BYTES: usize = 256 << 20;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let folder = Folder::new()?;
    for len in [1514, 64] {
        read(options, table, &folder, len)?;
        write(options, table, &folder, len)?;
    }
    tee(options, table, &folder)?;
    live::run(options, table, &folder)
}

/// A directory that is deleted after the bench.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        let path = Path::new(FOLDER).join(format!("netring-bench-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads pcap and pcapng files of packets with this length.
fn read(options: &Options, table: &mut Table, folder: &Folder, len: usize) -> Result<()> {
    let count = packets_in_files(options, len);
    let formats = [
        ("pcap", Format::Pcap(LinkType::ETHERNET)),
        ("pcapng", Format::PcapNg),
    ];
    for (name, format) in formats {
        let path = folder.file(name);
        fill(&path, format, len, count)?;
        let [ours, peer] = measure::in_turn(
            options,
            [&mut || read_ours(&path, count), &mut || {
                if options.peers {
                    peers::file("read-pcap", &path, count)
                } else {
                    Ok(f64::NAN)
                }
            }],
        )?;
        let row = Row::new(format!("files: read {name}, {len} B"), "ns/packet", ours);
        table.add(if options.peers {
            row.peer("pcap crate", peer).target(Target::OfPeer(1.0))
        } else {
            row
        });
        if len > 1000 {
            let row = Row::new(
                format!("files: read {name}, {len} B"),
                "GB/s",
                len as f64 / ours,
            );
            table.add(row.target(Target::AtLeast(1.0)));
        }
        fs::remove_file(&path)?;
    }
    Ok(())
}

fn packets_in_files(options: &Options, len: usize) -> u64 {
    let bytes = if options.quick { BYTES / 8 } else { BYTES };
    // Small packets add up to fewer bytes: a peer takes 100 ns for each.
    let bytes = if len < 1000 { bytes / 2 } else { bytes };
    (bytes / (len + 16)) as u64
}

fn frame(len: usize) -> Vec<u8> {
    wire::numbered(1, len)
}

fn packet(frame: &[u8], n: u64) -> Packet<'_> {
    let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + n as i64 * 500, Clock::Software);
    Packet::new(frame, time, LinkType::ETHERNET)
        .with_interface(2)
        .with_direction(Some(Direction::OtherHost))
}

/// Writes a file with this many packets.
pub(super) fn fill(path: &Path, format: Format, len: usize, count: u64) -> Result<()> {
    let frame = frame(len);
    let mut writer = CaptureWriter::create(path, format)?;
    for n in 0..count {
        writer.write(&packet(&frame, n))?;
    }
    writer.finish()?;
    Ok(())
}

/// Nanoseconds of CPU for a packet.
fn read_ours(path: &Path, count: u64) -> Result<f64> {
    let start = measure::cpu_time();
    let mut file = CaptureFile::open(path)?;
    let (mut packets, mut sum) = (0, 0);
    while let Some(batch) = file.next_batch()? {
        for packet in batch.packets() {
            packets += 1;
            sum ^= touch(&packet);
        }
    }
    std::hint::black_box(sum);
    let time = measure::cpu_time() - start;
    if packets != count {
        return Err(format!("{packets} packets read of {count}").into());
    }
    Ok(time.as_nanos() as f64 / count as f64)
}

/// Writes files of packets with this length.
fn write(options: &Options, table: &mut Table, folder: &Folder, len: usize) -> Result<()> {
    let count = packets_in_files(options, len);
    let frame = frame(len);
    let path = folder.file("written");
    let ours = |format: Format| -> Result<f64> {
        let start = measure::cpu_time();
        let mut writer = CaptureWriter::create(&path, format)?;
        for n in 0..count {
            writer.write(&packet(&frame, n))?;
        }
        writer.finish()?;
        let time = measure::cpu_time() - start;
        fs::remove_file(&path)?;
        Ok(time.as_nanos() as f64 / count as f64)
    };
    let [pcap, pcapng, peer] = measure::in_turn(
        options,
        [
            &mut || ours(Format::Pcap(LinkType::ETHERNET)),
            &mut || ours(Format::PcapNg),
            &mut || {
                if options.peers {
                    let path = folder.file("theirs");
                    let cost = peers::written(&path, len, count)?;
                    fs::remove_file(&path)?;
                    Ok(cost)
                } else {
                    Ok(f64::NAN)
                }
            },
        ],
    )?;
    for (name, cost) in [("pcap", pcap), ("pcapng", pcapng)] {
        let row = Row::new(format!("files: write {name}, {len} B"), "ns/packet", cost);
        table.add(if options.peers {
            row.peer("pcap crate", peer)
        } else {
            row
        });
    }
    Ok(())
}

/// Flows of a file, with and without a tee of its packets.
fn tee(options: &Options, table: &mut Table, folder: &Folder) -> Result<()> {
    let count = packets_in_files(options, 64);
    let path = folder.file("source");
    fill(&path, Format::PcapNg, 64, count)?;
    let copy = folder.file("copy");
    let nothing = || -> Result<CaptureWriter<io::Sink>> {
        Ok(CaptureWriter::new(io::sink(), Format::PcapNg)?)
    };
    let [alone, sink, file] = measure::in_turn(
        options,
        [
            &mut || flows(CaptureFile::open(&path)?, count),
            &mut || flows(Tee::new(CaptureFile::open(&path)?, nothing()?), count),
            &mut || {
                let writer: CaptureWriter<File> = CaptureWriter::create(&copy, Format::PcapNg)?;
                let cost = flows(Tee::new(CaptureFile::open(&path)?, writer), count)?;
                fs::remove_file(&copy)?;
                Ok(cost)
            },
        ],
    )?;
    table.add(Row::new("files: flows of 64 B, no tee", "ns/packet", alone));
    let row = Row::new("files: a tee more, to nowhere", "ns/packet", sink - alone);
    table.add(row.target(Target::AtMost(20.0)));
    let row = Row::new("files: a tee more, to a tmpfs", "ns/packet", file - alone);
    table.add(row);
    allocations(table, &path)
}

/// Nanoseconds of CPU for a packet whose flow is tracked.
fn flows(mut source: impl PacketSource, count: u64) -> Result<f64> {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events: Vec<FlowEvent<_>> = Vec::new();
    let start = measure::cpu_time();
    while let Some(batch) = source.next_batch()? {
        tracker.track_batch(&batch, &mut events);
        events.clear();
    }
    drop(source);
    let time = measure::cpu_time() - start;
    let tracked = tracker.stats().tracked;
    if tracked != count {
        return Err(format!("{tracked} packets tracked of {count}").into());
    }
    Ok(time.as_nanos() as f64 / count as f64)
}

/// Allocations of packets on their way from one file through a tee to another.
fn allocations(table: &mut Table, path: &Path) -> Result<()> {
    let mut tee = Tee::new(
        CaptureFile::open(path)?,
        CaptureWriter::new(io::sink(), Format::PcapNg)?,
    );
    // The first batch adds the interface.
    tee.next_batch()?;
    let mut end = Ok(());
    let allocations = allocation_counter::measure(|| {
        end = loop {
            match tee.next_batch() {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
    });
    end?;
    let row = Row::new(
        "files: allocations of a tee",
        "count",
        allocations.count_total as f64,
    );
    table.add(row.target(Target::AtMost(0.0)));
    Ok(())
}
