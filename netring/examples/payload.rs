//! Counts the payload of each flow in a capture file, direction by direction, in place in the
//! packets: `cargo run --features pcap --example payload -- trace.pcapng`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::collections::HashMap;

use netring::PacketSource;
use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::{FlowEvent, FlowId, FlowTracker, FlowVisitor, Segment};
use netring::pcap::CaptureFile;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("payload FILE");
    let path = args.path()?;
    args.end()?;

    let mut file = CaptureFile::open(path)?;
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut counts = Counts::default();
    while let Some(batch) = file.next_batch()? {
        tracker.track_batch(&batch, &mut counts);
    }
    while tracker.finish(&mut counts) {}
    Ok(())
}

/// The payload of the flows that have not ended.
#[derive(Default)]
struct Counts(HashMap<FlowId, Count>);

#[derive(Default)]
struct Count {
    by_initiator: usize,
    by_responder: usize,
    /// Bytes that a snap length cut off.
    missing: u32,
}

impl FlowVisitor<FiveTupleKey> for Counts {
    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        let count = self.0.entry(segment.flow).or_default();
        if segment.is_by_initiator() {
            count.by_initiator += segment.payload.len();
        } else {
            count.by_responder += segment.payload.len();
        }
        count.missing += segment.missing();
    }

    fn event(&mut self, event: FlowEvent<FiveTupleKey>) {
        if let FlowEvent::Ended { key, flow, .. } = event {
            let count = self.0.remove(&flow).unwrap_or_default();
            println!(
                "{key}: {} bytes of payload to the responder, {} back, {} not captured",
                count.by_initiator, count.by_responder, count.missing
            );
        }
    }
}
