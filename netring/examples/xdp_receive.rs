//! Receives by AF_XDP, and tells how packets come: `cargo run --features xdp --example xdp_receive -- eth0 10`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::process::ExitCode;
use std::time::Duration;

use netring::{Error, PacketBatch, PacketSource, XdpCapture};

fn main() -> ExitCode {
    outcome::of(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let interface = args
        .next()
        .ok_or("usage: xdp_receive INTERFACE [PACKETS]")?;
    let wanted = args.next().map_or(Ok(10), |packets| packets.parse())?;

    let mut capture = XdpCapture::open(&interface)?;
    println!("mode: {}", capture.mode());
    if let Some(why) = capture.why_not_zero_copy() {
        println!("not without a copy: {}", why.source);
    }
    if let Some(why) = capture.why_not_native() {
        println!("not in the driver: {why}");
    }

    let mut seen = 0;
    while seen < wanted {
        match capture.next_batch(Duration::from_secs(1)) {
            Ok(Some(batch)) => {
                for packet in batch.packets().take(wanted - seen) {
                    println!("queue {}: {} bytes", batch.queue(), packet.wire_len());
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
