//! Captures with the best available backend, and prints why each better one was rejected:
//! `cargo run --features xdp --example xdp_auto -- eth0 10`. It ends after that many packets, or
//! after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::{Error, PacketBatch, PacketSource, auto};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_auto INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    let mut capture = auto::builder().interface(&interface).divert(true).build()?;
    for attempt in capture.attempts() {
        println!("{attempt}");
    }

    let mut seen = 0;
    while seen < wanted
        && let Some(left) = time.left()
    {
        match capture.next_batch(left) {
            Ok(Some(batch)) => {
                for packet in batch.packets().take(wanted - seen) {
                    println!("{} bytes", packet.wire_len());
                    seen += 1;
                }
            }
            Ok(None) => {}
            Err(down @ Error::LinkDown { .. }) => println!("{down}"),
            Err(error) => return Err(error.into()),
        }
    }
    if seen < wanted {
        println!("time is up: received {seen} of {wanted} packets");
    }

    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
