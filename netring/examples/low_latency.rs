//! How long packets take from the kernel's timestamp to this program, which spins while it waits:
//! `cargo run --release --example low_latency -- eth0 1000`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::Duration;

use netring::{Capture, PacketBatch, PacketSource, Profile, Timed, Timestamp};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("low_latency INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = args.number("PACKETS", 1000)? as usize;
    let mut time = args.seconds(10)?;

    // Each packet is handed over at once, and a wait of up to a second does not sleep.
    let builder = Capture::builder().interface(interface);
    let builder = builder.profile(Profile::Immediate).snap_len(2048);
    let mut capture = builder.spin(Duration::from_secs(1)).build()?;
    let mut delays = Vec::new();
    while delays.len() < wanted
        && let Some(left) = time.left()
    {
        if let Timed::Batch(batch) = capture.next_batch_timeout(left)? {
            let now = Timestamp::now();
            let delay = |packet: netring::Packet<'_>| now.saturating_since(packet.timestamp());
            delays.extend(batch.packets().map(delay));
        }
    }
    delays.sort_unstable();
    let quantile = |percent: usize| delays.get(delays.len() * percent / 100);
    match (quantile(50), quantile(99)) {
        (Some(p50), Some(p99)) => println!("{} packets: p50 {p50:?}, p99 {p99:?}", delays.len()),
        _ => println!("time is up: no packet was received"),
    }
    println!("{}", capture.stats()?);
    Ok(())
}
