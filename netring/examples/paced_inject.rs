//! Sends frames at a given rate: `cargo run --example paced_inject -- eth0 1000 5` sends 1000 a
//! second for 5 seconds.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::{Duration, Instant};

use netring::AsyncInjector;
use netring::wait::Pacer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("paced_inject INTERFACE [RATE] [SECONDS]");
    let interface = args.interface()?;
    let rate = u64::from(args.number("RATE", 1000)?);
    let frames = rate * u64::from(args.number("SECONDS", 5)?) + 1;
    args.end()?;

    let mut injector = AsyncInjector::open(&interface)?;
    let mut pacer = Pacer::packets_per_second(rate)?;
    let mut frame = [0; 60];
    frame[..6].fill(0xff);
    // An EtherType for experiments (IEEE 802, 9.2.3.4).
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    let start = Instant::now();
    for number in 0..frames {
        frame[14..22].copy_from_slice(&number.to_be_bytes());
        injector.send_paced(&mut pacer, &frame).await?;
    }
    let took = start.elapsed();
    let in_flight = injector.drain(Duration::from_secs(1)).await?;
    println!("{}, {in_flight} in flight", injector.stats()?);
    println!("{took:.1?}, {:?} of it not made up for", pacer.lost());
    Ok(())
}
