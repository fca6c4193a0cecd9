//! Prints the packets that arrive and are lost each second:
//! `cargo run --example live_statistics -- eth0`. It ends after 10 s, with the totals.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::{Duration, Instant};

use netring::{Capture, Count, PacketBatch, PacketSource, Timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("live_statistics INTERFACE [SECONDS]");
    let interface = args.interface()?;
    let seconds = args.number("SECONDS", 10)?;
    args.end()?;

    let mut capture = Capture::open(&interface)?;
    let (start, mut before) = (Instant::now(), capture.stats()?);
    for second in 1..=seconds {
        let end = start + Duration::from_secs(second.into());
        let mut bytes = 0;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if let Timed::Batch(batch) = capture.next_batch_timeout(left)? {
                let lengths = batch.packets().map(|packet| u64::from(packet.wire_len()));
                bytes += lengths.sum::<u64>();
            }
        }
        let now = capture.stats()?;
        let grown = |now: Count, before: Count| Some(now.value()? - before.value()?);
        let packets = grown(now.delivered, before.delivered).unwrap_or(0);
        let lost = grown(now.dropped, before.dropped).unwrap_or(0);
        println!("{packets} packets/s, {bytes} bytes/s, {lost} lost/s");
        before = now;
    }
    println!("in all: {before}");
    Ok(())
}
