//! Prints the flows of a capture file:
//! `cargo run --features pcap --example read_file -- trace.pcapng`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::PacketSource;
use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::{FlowEvent, FlowTracker};
use netring::pcap::CaptureFile;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("read_file FILE");
    let path = args.path()?;
    args.end()?;

    let mut file = CaptureFile::open(path)?;
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    let fault = loop {
        match file.next_batch() {
            Ok(Some(batch)) => tracker.track_batch(&batch, &mut events),
            Ok(None) => break None,
            // The packets before the fault were tracked, so print their flows first.
            Err(fault) => break Some(fault),
        }
        print_ended(&mut events);
    };
    while tracker.finish(&mut events) {}
    print_ended(&mut events);

    println!(
        "{} packets without a flow",
        tracker.stats().untracked.total()
    );
    fault.map_or(Ok(()), |fault| Err(fault.into()))
}

fn print_ended(events: &mut Vec<FlowEvent<FiveTupleKey>>) {
    for event in events.drain(..) {
        if let FlowEvent::Ended {
            key, reason, stats, ..
        } = event
        {
            let (first, packets, bytes) = (stats.first(), stats.packets(), stats.bytes());
            println!("{first} {key}: {packets} packets, {bytes} bytes, {reason}");
        }
    }
}
