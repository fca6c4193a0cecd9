//! Captures the packets of a filter, DNS queries by default:
//! `cargo run --example filter -- eth0 10 "tcp port 80 or 443"`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::ops::ControlFlow::{Break, Continue};

use netring::filter::{Expr, Side, Transport};
use netring::{Capture, Filter, PacketSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("filter INTERFACE [PACKETS] [FILTER]");
    let builder = Capture::builder().interface(args.interface()?);
    let (wanted, mut seen) = (args.number("PACKETS", 10)?, 0);
    let text = args.text();
    args.end()?;
    let filter: Filter = match text {
        Some(text) => text.parse()?,
        None => Expr::port(Transport::Udp, Side::Dst, 53).into(),
    };
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
