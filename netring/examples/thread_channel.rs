//! Captures on a thread, and reads the packets from a channel:
//! `cargo run --example thread_channel -- eth0 10`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::Duration;

use netring::{Capture, ChannelCapture, PacketSource, Timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("thread_channel INTERFACE [PACKETS]");
    let (interface, wanted) = (args.interface()?, args.number("PACKETS", 10)?);
    args.end()?;

    let capture = Capture::open(&interface)?;
    // If the channel is full, the thread waits, and the ring holds the packets meanwhile.
    let settings = ChannelCapture::builder().capacity(1024).lossless(true);
    let mut channel = settings.start(capture)?;
    let mut printed = 0;
    while printed < wanted {
        match channel.recv_timeout(Duration::from_secs(1))? {
            Timed::Batch(batch) => {
                for packet in batch.iter().take((wanted - printed) as usize) {
                    println!("{} {} bytes", packet.timestamp(), packet.wire_len());
                    printed += 1;
                }
            }
            // Time for other work.
            Timed::TimedOut => {}
            Timed::Ended => break,
        }
    }
    let stats = channel.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
