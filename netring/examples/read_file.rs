//! Prints the flows of a capture file:
//! `cargo run --features pcap --example read_file -- trace.pcapng`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::PacketSource;
use netring::flow::{FlowEvent::Ended, FlowTracker, extract::FiveTuple};
use netring::pcap::CaptureFile;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("read_file FILE");
    let path = args.path()?;
    args.end()?;

    let mut file = CaptureFile::open(path)?;
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    let mut more = Ok(true);
    while let Ok(true) = more {
        let batch = file.next_batch();
        more = batch.map(|it| it.map(|it| tracker.track_batch(&it, &mut events)).is_some());
        // The flows before a fault are complete, so the file ends there.
        while !matches!(more, Ok(true)) && tracker.finish(&mut events) {}
        for event in events.drain(..) {
            if let Ended {
                key, reason, stats, ..
            } = event
            {
                let (first, packets, bytes) = (stats.first(), stats.packets(), stats.bytes());
                println!("{first} {key}: {packets} packets, {bytes} bytes, {reason}");
            }
        }
    }
    let untracked = tracker.stats().untracked.total();
    println!("{untracked} packets without a flow");
    more?;
    Ok(())
}
