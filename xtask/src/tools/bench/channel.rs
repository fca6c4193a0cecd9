//! A source on its own thread: our channel, and the standard library's with owned packets.
//!
//! Both hold 65,536 packets and lose none. The figure is the processor time of both threads, so it
//! does not matter how they share the cores.

use std::sync::mpsc::sync_channel;
use std::thread;

use netring::{ChannelCapture, PacketBatch, PacketSource};
use nix::time::{ClockId, clock_gettime};

use super::dedup::{BLOCKS, Ring, ring};
use super::walk::touch;
use super::{Options, Row, Table, Target, measure};
use crate::Result;

/// Packets that either channel holds: our default.
const CAPACITY: usize = 65_536;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let rounds = if options.quick { 2 } else { 16 };
    for len in [64, 1500] {
        let again = || {
            let (mut source, packets) = ring(len, 1);
            source.left = rounds * BLOCKS as u64;
            (source, packets * rounds)
        };
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds {
            costs[0].push(ours(again())?);
            costs[1].push(theirs(again())?);
        }
        let [ours, theirs] = costs.map(measure::median);
        let row = Row::new(format!("channel: {len} B, both threads"), "ns/packet", ours);
        let row = row.peer("mpsc, PacketBuf", theirs);
        table.add(row.target(Target::OfPeer(1.0)));
    }
    Ok(())
}

/// Nanoseconds of the process for each packet.
fn ours((source, count): (Ring, u64)) -> Result<f64> {
    let start = process_time()?;
    let mut channel = ChannelCapture::builder().lossless(true).replay(source)?;
    let (mut packets, mut sum) = (0, 0);
    while let Some(batch) = channel.next_batch()? {
        for packet in batch.packets() {
            packets += 1;
            sum ^= touch(&packet);
        }
    }
    std::hint::black_box(sum);
    cost(start, packets, count)
}

fn theirs((mut source, count): (Ring, u64)) -> Result<f64> {
    let start = process_time()?;
    let (sender, receiver) = sync_channel(CAPACITY);
    let reading = thread::spawn(move || {
        source.for_each(|packet| {
            // It fails if the reader is gone, which has its own error.
            let _ = sender.send(packet.to_buf());
        })
    });
    let (mut packets, mut sum) = (0, 0);
    for packet in receiver {
        packets += 1;
        sum ^= touch(&packet.as_packet());
    }
    std::hint::black_box(sum);
    reading.join().map_err(|_| "the thread panicked")??;
    cost(start, packets, count)
}

fn cost(start: f64, packets: u64, count: u64) -> Result<f64> {
    if packets != count {
        return Err(format!("{packets} packets of {count}").into());
    }
    Ok((process_time()? - start) / count as f64)
}

/// The CPU time of all threads in nanoseconds.
fn process_time() -> Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    Ok(std::time::Duration::from(time).as_nanos() as f64)
}
