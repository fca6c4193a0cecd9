//! `conformance DIR --live`: the same captures through three paths.
//!
//! The packets of each file are replayed over veth pairs, and captured by AF_PACKET, by AF_XDP in
//! the driver and by AF_XDP in the kernel's stack. They must arrive byte for byte, and a tracker
//! and a reassembler must report the same as for the file: each event, all figures, and the bytes
//! of each stream. Live packets get the times of the file, because a replay at full speed has no
//! times of its own: the n-th packet to arrive is the n-th sent, which is checked first.
//!
//! Packets of other link types travel in Ethernet frames made here, or unchanged over TUN
//! interfaces of their hardware type.

mod flows;
mod frames;
mod link;
mod tun;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use netring::pcap::CaptureFile;
use netring_afpacket::{Capture, Profile};
use netring_sys::{LinkType, PacketBatch, PacketSource, PacketVec, Readiness};
use netring_xdp::XdpCapture;
use netring_xdp::program::AttachMode;
use nix::sys::resource::{UsageWho, getrusage};
use xtask::netns::Netns;

use super::{expect, folder, one};
use crate::Result;
use flows::{KEYS, Reported, at, packets_differ, reports_differ, track};
use frames::{Cause, Frames};
use tun::Tuns;
use wire::{Passed, Wire};

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
    tuns: Tuns,
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
            tuns: Tuns::default(),
        })
    }

    /// The differences of the paths from the file.
    fn compare(&mut self, path: &Path, totals: &mut Totals) -> Result<Vec<String>> {
        let packets = read(path)?;
        let frames = Frames::of(&packets);
        let passed = [
            (self.packet.name, self.packet.pass(&frames)?),
            (self.native.name, self.native.pass(&frames)?),
            (self.generic.name, self.generic.pass(&frames)?),
        ];
        let left_out = &passed[0].1.left_out;
        let is_sent = |index: &usize| left_out.binary_search_by_key(index, |out| out.0).is_err();
        let sent: Vec<usize> = (0..packets.len()).filter(is_sent).collect();
        let mut lines = frames.misread();
        for (number, (name, passed)) in passed.iter().enumerate() {
            totals.received[number] += passed.received.len() as u64;
            let mut wrong = packets_differ(&frames.packets, &sent, &passed.received);
            if passed.left_out != *left_out {
                wrong.push("other packets were left out".into());
            }
            lines.extend(wrong.iter().map(|line| format!("{name}: {line}")));
        }
        totals.add(&sent, left_out, &packets);
        let originals: PacketVec = sent.iter().filter_map(|&at| packets.get(at)).collect();
        lines.extend(compare_flows(&originals, &passed, frames.growth, totals)?);
        lines.extend(self.tuns.compare(&packets, &mut totals.over_tun)?);
        Ok(lines)
    }

    fn balance(&mut self, totals: &Totals) -> Result<Vec<String>> {
        let [packet, native, generic] = totals.received;
        let mut lines = self.packet.balance(packet)?;
        lines.extend(self.native.balance(native)?);
        lines.extend(self.generic.balance(generic)?);
        lines.extend(self.tuns.balance()?);
        Ok(lines)
    }
}

/// The differences between what is reported of the packets of a file and of what was received,
/// each of which has `growth` more bytes.
fn compare_flows(
    originals: &PacketVec,
    passed: &[(&str, Passed)],
    growth: i64,
    totals: &mut Totals,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (number, (keys, extract)) in KEYS.iter().enumerate() {
        let file = track(extract(), originals.iter())?.grown(growth);
        for (name, passed) in passed {
            let live = passed.received.iter().zip(originals);
            let live = live.map(|(packet, original)| at(&packet, &original));
            let wrong = reports_differ(&file, &track(extract(), live)?);
            lines.extend(wrong.iter().map(|line| format!("{name}, {keys}: {line}")));
        }
        totals.tracked[number].add(&file);
    }
    Ok(lines)
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
    /// Packets that a snap length cut, sent with zeros in place of the rest.
    filled: u64,
    left_out: BTreeMap<Cause, u64>,
    /// Packets that are not Ethernet: those sent in Ethernet frames, and those sent as they are.
    framed: BTreeMap<LinkType, u64>,
    over_tun: BTreeMap<LinkType, u64>,
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
    fn add(&mut self, sent: &[usize], left_out: &[(usize, Cause)], packets: &PacketVec) {
        self.captures += 1;
        self.silent += usize::from(sent.is_empty());
        self.packets += sent.len() as u64;
        for (_, cause) in left_out {
            *self.left_out.entry(cause.clone()).or_default() += 1;
        }
        for packet in sent.iter().filter_map(|&index| packets.get(index)) {
            self.filled += u64::from(packet.is_cut());
            if packet.link_type() != LinkType::ETHERNET {
                *self.framed.entry(packet.link_type()).or_default() += 1;
            }
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
        for (link_type, packets) in &self.framed {
            write!(
                f,
                "\nin Ethernet frames on all paths: {packets} packets of link type {link_type}"
            )?;
        }
        for (link_type, packets) in &self.over_tun {
            write!(
                f,
                "\nas they are over TUN, by AF_PACKET: {packets} packets of link type {link_type}"
            )?;
        }
        if self.filled > 0 {
            let filled = self.filled;
            write!(
                f,
                "\nfilled with zeros on all paths and cut again: {filled} packets, cut by a snap length"
            )?;
        }
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
