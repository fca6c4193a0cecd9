//! Sends frames with AF_XDP, which needs no XDP program:
//! `cargo run --features xdp --example xdp_transmit -- eth0 1000`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::Duration;

use netring::{PacketSink, XdpInjector, wait};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_transmit INTERFACE [FRAMES]");
    let interface = args.interface()?;
    let wanted = args.number("FRAMES", 10)?;
    args.end()?;

    let mut injector = XdpInjector::open(&interface)?;
    // Broadcast, with an EtherType for local experiments; the payload begins with the frame number.
    let mut frame = [0; 60];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&injector.interface().address.unwrap_or_default());
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    for number in 0..wanted {
        frame[14..18].copy_from_slice(&number.to_be_bytes());
        if !wait::send(&mut injector, &frame, Some(Duration::from_secs(1)))? {
            let why = "the interface accepted no frame for one second";
            return Err(outcome::Failure(why.into()).into());
        }
    }
    injector.drain(Duration::from_secs(1))?;

    println!("{}", injector.stats()?);
    Ok(())
}
