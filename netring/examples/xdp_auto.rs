//! The best backend that there is, and why it is not a better one: `cargo run --features xdp --example xdp_auto -- eth0 10`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::process::ExitCode;
use std::time::Duration;

use netring::{Error, PacketBatch, PacketSource, auto};

fn main() -> ExitCode {
    outcome::of(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let interface = args.next().ok_or("usage: xdp_auto INTERFACE [PACKETS]")?;
    let wanted = args.next().map_or(Ok(10), |packets| packets.parse())?;

    let mut capture = auto::open(&interface)?;
    for attempt in capture.attempts() {
        println!("{attempt}");
    }

    let mut seen = 0;
    while seen < wanted {
        match capture.next_batch(Duration::from_secs(1)) {
            Ok(Some(batch)) => {
                for packet in batch.packets().take(wanted - seen) {
                    println!("{} bytes", packet.wire_len());
                    seen += 1;
                }
            }
            Ok(None) => println!("nothing for a second"),
            Err(down @ Error::LinkDown { .. }) => println!("{down}"),
            Err(error) => return Err(error.into()),
        }
    }

    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
