//! Prints the packets of an interface and the capture's statistics:
//! `cargo run --example capture -- eth0 10`. It ends after that many packets, or after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::{Capture, PacketBatch, PacketSource, Timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("capture INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    let mut capture = Capture::open(&interface)?;
    let mut seen = 0;
    while seen < wanted
        && let Some(left) = time.left()
    {
        if let Timed::Batch(batch) = capture.next_batch_timeout(left)? {
            for packet in batch.packets().take(wanted - seen) {
                println!("{} {} bytes", packet.timestamp(), packet.wire_len());
                seen += 1;
            }
        }
    }
    if seen < wanted {
        println!("time is up: received {seen} of {wanted} packets");
    }

    let stats = capture.stats()?;
    let (offered, dropped, downs) = (stats.offered, stats.dropped, stats.link_downs);
    println!("offered {offered}, dropped {dropped}, link downs {downs}");
    Ok(())
}
