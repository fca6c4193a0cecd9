//! Prints the ten addresses that sent the most bytes:
//! `cargo run --example top_talkers -- eth0 10`. It ends after that many seconds.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::{cmp::Reverse, collections::HashMap, thread, time::Duration};

use netring::flow::extract::{Extract, FiveTuple};
use netring::{Capture, PacketSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("top_talkers INTERFACE [SECONDS]");
    let (interface, time) = (args.interface()?, args.number("SECONDS", 10)?);
    args.end()?;

    let mut capture = Capture::open(&interface)?;
    let stop = capture.stop_handle();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(time.into()));
        stop.stop();
    });
    let (tuple, mut sent) = (FiveTuple::bidirectional(), HashMap::<_, u64>::new());
    capture.for_each(|packet| {
        if let Ok(found) = tuple.extract(&packet) {
            let source = found.key.source(found.orientation).ip();
            *sent.entry(source).or_default() += u64::from(packet.wire_len());
        }
    })?;
    let mut sent: Vec<_> = sent.into_iter().collect();
    sent.sort_unstable_by_key(|&(address, bytes)| (Reverse(bytes), address));
    for (address, bytes) in sent.iter().take(10) {
        println!("{bytes:>12} bytes from {address}");
    }
    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
