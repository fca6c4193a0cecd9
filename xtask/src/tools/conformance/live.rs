//! `conformance DIR --live`: the same captures through three paths.
//!
//! The packets of each file are replayed over veth pairs, and captured by AF_PACKET, by AF_XDP in
//! the driver and by AF_XDP in the kernel's stack. They must arrive byte for byte, and a tracker
//! and a reassembler must report the same as for the file: each event, all figures, and the bytes
//! of each stream. Live packets get the times of the file, because a replay at full speed has no
//! times of its own: the n-th packet to arrive is the n-th sent, which is checked first.

mod flows;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use netring::pcap::CaptureFile;
use netring_afpacket::{Capture, Profile};
use netring_sys::{PacketBatch, PacketSource, PacketVec, Readiness};
use netring_xdp::XdpCapture;
use netring_xdp::program::AttachMode;
use nix::sys::resource::{UsageWho, getrusage};
use xtask::netns::Netns;

use super::{expect, folder, one};
use crate::Result;
use flows::{KEYS, Reported, at, packets_differ, reports_differ, track};
use wire::Wire;

/// Passes the captures of a folder through all paths.
pub(super) fn run(dir: &Path) -> Result<()> {
    one::bound_memory()?;
    let captures = captures(dir)?;
    let mut paths = Paths::open()?;
    let mut totals = Totals::default();
    for path in &captures {
        let shown = path.strip_prefix(dir).unwrap_or(path).display();
        for line in paths.compare(path, &mut totals)? {
            println!("{shown}: {line}");
            totals.differences += 1;
        }
    }
    for line in paths.balance(&totals)? {
        println!("{line}");
        totals.differences += 1;
    }
    let peak = getrusage(UsageWho::RUSAGE_SELF)?.max_rss() / 1024;
    println!("{totals}\nthe process held {peak} MiB at most");
    totals.judge(dir)
}

/// The captures of `index.tsv`, or all in the folder if there is none.
fn captures(dir: &Path) -> Result<Vec<PathBuf>> {
    if dir.join("index.tsv").exists() {
        let listed = folder::read(dir)?;
        return listed.iter().map(|capture| capture.path(dir)).collect();
    }
    let files = expect::files(dir)?;
    Ok(files
        .into_iter()
        .filter(|path| expect::is_capture(path))
        .collect())
}

struct Paths {
    _netns: Netns,
    packet: Wire<Capture>,
    native: Wire<XdpCapture>,
    generic: Wire<XdpCapture>,
}

impl Paths {
    fn open() -> Result<Self> {
        let netns = Netns::enter()?;
        // A frame of another core could overtake one.
        crate::bench::pin(0);
        let xdp = |mode: AttachMode| {
            move |interface: &str| {
                let builder = XdpCapture::builder().interface(interface);
                let builder = builder.profile(Profile::Jumbo).promiscuous(true);
                builder.attach_mode(mode).build()
            }
        };
        Ok(Self {
            _netns: netns,
            packet: Wire::new("AF_PACKET", ["packet0", "packet1"], |interface| {
                let builder = Capture::builder().interface(interface);
                let builder = builder.profile(Profile::Jumbo).promiscuous(true);
                builder.ignore_outgoing(true).build()
            })?,
            native: Wire::new(
                "AF_XDP native",
                ["native0", "native1"],
                xdp(AttachMode::Native),
            )?,
            generic: Wire::new(
                "AF_XDP generic",
                ["generic0", "generic1"],
                xdp(AttachMode::Generic),
            )?,
        })
    }

    /// The differences of the paths from the file.
    fn compare(&mut self, path: &Path, totals: &mut Totals) -> Result<Vec<String>> {
        let packets = read(path)?;
        let passed = [
            (self.packet.name, self.packet.pass(&packets)?),
            (self.native.name, self.native.pass(&packets)?),
            (self.generic.name, self.generic.pass(&packets)?),
        ];
        let left_out = passed[0].1.left_out.clone();
        let is_sent = |index: &usize| left_out.binary_search_by_key(index, |out| out.0).is_err();
        let sent: Vec<usize> = (0..packets.len()).filter(is_sent).collect();
        let mut lines = Vec::new();
        for (number, (name, passed)) in passed.iter().enumerate() {
            totals.received[number] += passed.received.len() as u64;
            let mut wrong = packets_differ(&packets, &sent, &passed.received);
            if passed.left_out != left_out {
                wrong.push("other packets were left out".into());
            }
            lines.extend(wrong.iter().map(|line| format!("{name}: {line}")));
        }
        totals.add(&sent, &left_out);
        let originals = || sent.iter().filter_map(|&index| packets.get(index));
        for (number, (keys, extract)) in KEYS.iter().enumerate() {
            let file = track(extract(), originals())?;
            for (name, passed) in &passed {
                let live = passed.received.iter().zip(originals());
                let live = live.map(|(packet, original)| at(&packet, original.timestamp()));
                let wrong = reports_differ(&file, &track(extract(), live)?);
                lines.extend(wrong.iter().map(|line| format!("{name}, {keys}: {line}")));
            }
            totals.tracked[number].add(&file);
        }
        Ok(lines)
    }

    fn balance(&mut self, totals: &Totals) -> Result<Vec<String>> {
        let [packet, native, generic] = totals.received;
        let mut lines = self.packet.balance(packet)?;
        lines.extend(self.native.balance(native)?);
        lines.extend(self.generic.balance(generic)?);
        Ok(lines)
    }
}

/// The packets of a file, up to the first fault if it has one.
fn read(path: &Path) -> Result<PacketVec> {
    let mut packets = PacketVec::new();
    let Ok(mut file) = CaptureFile::open(path) else {
        return Ok(packets);
    };
    while let Ok(Readiness::Ready) = file.ready() {
        for packet in file.batch().packets() {
            packets.push(&packet);
        }
    }
    Ok(packets)
}

#[derive(Debug, Default)]
struct Totals {
    captures: usize,
    /// Captures without a packet that can be sent.
    silent: usize,
    packets: u64,
    received: [u64; 3],
    tracked: [Tracked; KEYS.len()],
    left_out: BTreeMap<&'static str, u64>,
    differences: usize,
}

/// The reports for the files, with the same keys.
#[derive(Debug, Default)]
struct Tracked {
    flows: u64,
    reports: usize,
    stream_bytes: u64,
}

impl Tracked {
    fn add(&mut self, file: &Reported) {
        self.flows += file.stats.flows_started;
        self.reports += file.items.len();
        self.stream_bytes += file.reassembly.delivered;
    }
}

impl Totals {
    fn add(&mut self, sent: &[usize], left_out: &[(usize, &'static str)]) {
        self.captures += 1;
        self.silent += usize::from(sent.is_empty());
        self.packets += sent.len() as u64;
        for (_, cause) in left_out {
            *self.left_out.entry(cause).or_default() += 1;
        }
    }

    fn judge(&self, dir: &Path) -> Result<()> {
        match (self.differences, self.packets) {
            (0, 0) => Err(format!("{} has no packet that can be sent", dir.display()).into()),
            (0, _) => Ok(()),
            (differences, _) => Err(format!("{differences} differences between the paths").into()),
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [packet, native, generic] = self.received;
        writeln!(
            f,
            "passed {} captures, {} packets; received by AF_PACKET {packet}, by AF_XDP native {native}, generic {generic}; \
             {} differences",
            self.captures, self.packets, self.differences
        )?;
        write!(
            f,
            "{} captures have no packet that can be sent",
            self.silent
        )?;
        for (cause, packets) in &self.left_out {
            write!(f, "\nleft out on all paths: {packets} packets, {cause}")?;
        }
        for ((keys, _), tracked) in KEYS.iter().zip(&self.tracked) {
            write!(
                f,
                "\n{keys}: {} flows and {} bytes of TCP streams, with {} reports, on each path",
                tracked.flows, tracked.stream_bytes, tracked.reports
            )?;
        }
        Ok(())
    }
}
