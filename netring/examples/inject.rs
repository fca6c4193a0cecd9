//! Sends numbered frames to all hosts: `cargo run --example inject -- eth0 10`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::Duration;

use netring::{Injector, PacketSink, PacketSlot, wait};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("inject INTERFACE [FRAMES]");
    let (interface, frames) = (args.interface()?, args.number("FRAMES", 10)?);
    args.end()?;

    let mut injector = Injector::open(&interface)?;
    let source = injector.interface().address.unwrap_or_default();
    for number in 0..u64::from(frames) {
        // Written in place; without room, earlier frames are sent first.
        while injector.slot(60)?.is_none() {
            wait::drain(&mut injector, Some(Duration::from_millis(10)))?;
        }
        let Some(mut slot) = injector.slot(60)? else {
            continue;
        };
        slot.fill(0);
        slot[..6].fill(0xff);
        slot[6..12].copy_from_slice(&source);
        // An EtherType for experiments (IEEE 802, 9.2.3.4).
        slot[12..14].copy_from_slice(&[0x88, 0xb5]);
        slot[14..22].copy_from_slice(&number.to_be_bytes());
        slot.commit();
    }
    let in_flight = injector.drain(Duration::from_secs(1))?;
    println!("{}, {in_flight} in flight", injector.stats()?);
    Ok(())
}
