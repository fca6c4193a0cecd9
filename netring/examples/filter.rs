//! Captures DNS queries, by a filter that runs in the kernel:
//! `cargo run --example filter -- eth0 10`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::ops::ControlFlow::{Break, Continue};

use netring::filter::Expr;
use netring::{Capture, LinkType, PacketSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("filter INTERFACE [PACKETS]");
    let builder = Capture::builder().interface(args.interface()?);
    let (wanted, mut seen) = (args.number("PACKETS", 10)?, 0);
    args.end()?;
    let queries: Expr = "udp dst port 53".parse()?;
    let filter = queries.for_live_socket(LinkType::ETHERNET)?;
    let mut capture = builder.filter(filter).build()?;
    capture.try_for_each(|packet| {
        println!("{} {} bytes", packet.timestamp(), packet.wire_len());
        seen += 1;
        match seen < wanted {
            true => Continue(()),
            false => Break(()),
        }
    })?;
    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
