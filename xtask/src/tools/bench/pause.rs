//! A reader that pauses: how many packets each profile, and libpcap with its default settings,
//! keeps for it.
//!
//! All of them capture from the same wire at the same time, so that each is offered the same
//! packets at the same moments.

use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Profile};
use netring_sys::{Count, PacketBatch, PacketSource, Timed};
use xtask::wire::{Sender, numbered};

use super::ends::{FAR, NEAR};
use super::live::Wire;
use super::peers::Paused;
use super::{Options, Row, Table, Target, measure};
use crate::Result;

/// All profiles.
pub(super) const PROFILES: [Profile; 6] = [
    Profile::Default,
    Profile::LowLatency,
    Profile::HighThroughput,
    Profile::LowMemory,
    Profile::Jumbo,
    Profile::Immediate,
];
/// Packets a second.
const RATES: [u64; 4] = [1, 100, 1000, 100_000];
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// Longer than any profile holds back a block.
const SILENCE: Duration = Duration::from_millis(200);

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _wire = Wire::new()?;
    for pause in PAUSES.iter().take(if options.quick { 1 } else { 2 }) {
        for rate in RATES {
            paused(options, table, *pause, rate)?;
        }
    }
    Ok(())
}

fn paused(options: &Options, table: &mut Table, pause: Duration, rate: u64) -> Result<()> {
    let open = |profile| {
        let builder = Capture::builder().interface(NEAR).profile(profile);
        Ok::<_, Box<dyn std::error::Error>>((profile, builder.build()?))
    };
    let mut captures = PROFILES.into_iter().map(open).collect::<Result<Vec<_>>>()?;
    let pcap = options.peers.then(Paused::open).transpose()?;
    let count = (rate as f64 * pause.as_secs_f64()).ceil() as u64;
    let late = send(count, rate, pause)?.saturating_sub(pause);
    if late > pause / 10 {
        table.note(format!(
            "paused reader: the machine was busy, and sending {count} packets took {late:.1?} longer than {pause:?}"
        ));
    }
    // What it did not drop, it kept, including packets in a block that its default settings hand
    // over only once it is full.
    let dropped = pcap.map(Paused::dropped).transpose()?;
    for (profile, capture) in &mut captures {
        let what = format!("paused reader: {pause:?} at {rate}/s, {profile:?}: kept");
        let mut row = Row::new(what, "packets", kept(capture, count)? as f64);
        if let Some(dropped) = dropped {
            row = row.peer("pcap crate's default", (count - dropped) as f64);
        }
        if *profile == Profile::Default {
            row = row.target(Target::AtLeast(count as f64));
        }
        table.add(row);
    }
    Ok(())
}

/// Sends at an even rate, waits for the end of the pause, and returns how long that took.
fn send(count: u64, rate: u64, pause: Duration) -> Result<Duration> {
    measure::pin(measure::GENERATOR_CORE);
    let sender = Sender::on(FAR)?;
    let start = Instant::now();
    for n in 0..count {
        let due = Duration::from_nanos(n * 1_000_000_000 / rate);
        loop {
            let early = due.saturating_sub(start.elapsed());
            if early.is_zero() {
                break;
            }
            if early > Duration::from_millis(1) {
                thread::sleep(early - Duration::from_micros(500));
            }
        }
        sender.send(&numbered(n, 64))?;
    }
    thread::sleep(pause.saturating_sub(start.elapsed()));
    Ok(start.elapsed())
}

/// How many of the packets a capture kept; checks its totals.
fn kept(capture: &mut Capture, count: u64) -> Result<u64> {
    let mut kept = 0;
    while let Timed::Batch(batch) = capture.next_batch_timeout(SILENCE)? {
        kept += batch.packets().count() as u64;
    }
    let stats = capture.stats()?;
    let balanced = stats.offered == Count::Exact(count) && stats.pending() == Some(0);
    if balanced && stats.delivered == Count::Exact(kept) {
        return Ok(kept);
    }
    Err(format!("{count} sent, {kept} read, but the capture reports {stats:?}").into())
}
