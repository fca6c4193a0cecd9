//! Captures with AF_XDP, and prints the mode and the packets:
//! `cargo run --features xdp --example xdp_receive -- eth0 10`. It ends after that many packets, or
//! after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::{PacketBatch, PacketSource, Timed, XdpCapture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_receive INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    let mut capture = XdpCapture::open(&interface)?;
    println!("mode: {}", capture.mode());
    if let Some(why) = capture.why_not_zero_copy() {
        println!("not zero-copy: {}", why.source);
    }
    if let Some(why) = capture.why_not_native() {
        println!("not native: {why:?}");
    }

    let mut seen = 0;
    while seen < wanted
        && let Some(left) = time.left()
    {
        if let Timed::Batch(batch) = capture.next_batch_timeout(left)? {
            for packet in batch.packets().take(wanted - seen) {
                println!("queue {}: {} bytes", batch.queue(), packet.wire_len());
                seen += 1;
            }
        }
    }
    if seen < wanted {
        println!("time is up: received {seen} of {wanted} packets");
    }

    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
