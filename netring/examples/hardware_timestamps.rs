//! Captures with hardware timestamps, or reports that there are none:
//! `cargo run --example hardware_timestamps -- eth0 10`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::ops::ControlFlow::{Break, Continue};

use netring::{Capture, Interface, PacketSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("hardware_timestamps INTERFACE [PACKETS]");
    let name = args.interface()?;
    let (wanted, mut seen) = (args.number("PACKETS", 10)?, 0);
    args.end()?;
    let card = Interface::by_name(&name)?.timestamping()?;
    let builder = Capture::builder().interface(name);
    let mut capture = match card.stamps_any_packet() {
        // For the lifetime of the capture; then the card's setting is restored.
        true => builder.enable_hardware_timestamps(true).build()?,
        false => builder.build()?,
    };
    println!("{}: {card}", capture.interface().name);
    capture.try_for_each(|packet| {
        // Each packet reports its clock, whatever was requested.
        let (time, len) = (packet.timestamp(), packet.wire_len());
        println!("{time} {:?} {len} bytes", time.clock());
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
