//! A replay of a file in memory as fast as it goes, next to a loop with `sendmmsg` that sends as
//! many frames and reads none.
//!
//! An IFB device throws frames away at once, so it shows what sending itself costs.

use std::path::Path;
use std::thread;
use std::time::Duration;

use netring::pcap::{CaptureFile, Format};
use netring::replay::{Replay, Speed};
use netring_afpacket::Injector;
use netring_sys::Interface;
use xtask::netns::{Netns, ip};
use xtask::wire::numbered;

use super::files::{Folder, fill};
use super::measure::{self, cpu_time, in_turn};
use super::sendmmsg::{GROUP, Sender};
use super::{Options, Row, Table};
use crate::Result;

const INTERFACE: &str = "ifb0";

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _ns = Netns::enter()?;
    measure::pin(measure::MEASURED_CORE);
    ip("link add ifb0 type ifb")?;
    ip("link set ifb0 up")?;
    while !Interface::by_name(INTERFACE)?.is_up() {
        thread::sleep(Duration::from_millis(1));
    }
    let folder = Folder::new()?;
    let path = folder.file("replayed");
    for len in [64, 1514] {
        let groups = if options.quick { 500 } else { 10_000 };
        let count = groups * GROUP as u64;
        fill(&path, Format::PcapNg, len, count)?;
        let mut peer = Sender::open(INTERFACE, true)?;
        let frame = numbered(1, len);
        let [ours, theirs] = in_turn(
            options,
            [&mut || replay(&path, count), &mut || {
                let start = cpu_time();
                for _ in 0..groups {
                    peer.send(&frame)?;
                }
                Ok((cpu_time() - start).as_nanos() as f64 / count as f64)
            }],
        )?;
        let row = Row::new(format!("replay: {len} B, pcapng to IFB"), "ns/frame", ours);
        let row = row.peer("sendmmsg, 64 a call", theirs);
        table.add(row);
    }
    Ok(())
}

/// Nanoseconds of CPU for each frame, with those that the file takes.
fn replay(path: &Path, count: u64) -> Result<f64> {
    let injector = Injector::builder(INTERFACE).qdisc_bypass(true).build()?;
    let mut replay = Replay::new(injector)?.speed(Speed::Fastest)?;
    let before = Interface::by_name(INTERFACE)?.counters.tx_packets;
    let start = cpu_time();
    let stats = replay.run(&mut CaptureFile::open(path)?)?;
    let time = cpu_time() - start;
    let sent = Interface::by_name(INTERFACE)?.counters.tx_packets - before;
    if (stats.committed, stats.in_flight) != (count, 0) {
        return Err(format!("{count} frames in the file, but the replay reports {stats}").into());
    }
    if sent > count {
        return Err(format!("{count} frames replayed, the interface counts {sent}").into());
    }
    Ok(time.as_nanos() as f64 / count as f64)
}
