//! Prints the flows of an interface as they end: `cargo run --example flows -- eth0 60`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::{Duration, Instant};

use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::{FlowEvent, FlowTracker};
use netring::{Capture, PacketSource, Timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("flows INTERFACE [SECONDS]");
    let interface = args.interface()?;
    let mut time = args.seconds(60)?;

    let mut capture = Capture::open(&interface)?;
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();

    let mut last_packet = Instant::now();
    while let Some(left) = time.left() {
        let wait = left.min(Duration::from_millis(200));
        if let Timed::Batch(batch) = capture.next_batch_timeout(wait)? {
            tracker.track_batch(&batch, &mut events);
            last_packet = Instant::now();
        }
        // Flow time is packet time. While no packets arrive, it advances by the time since the
        // last one.
        if let Some(latest) = tracker.latest() {
            while tracker.expire(latest.saturating_add(last_packet.elapsed()), &mut events) {}
        }
        print_ended(&mut events);
    }

    while tracker.finish(&mut events) {}
    print_ended(&mut events);
    Ok(())
}

fn print_ended(events: &mut Vec<FlowEvent<FiveTupleKey>>) {
    for event in events.drain(..) {
        if let FlowEvent::Ended {
            key, reason, stats, ..
        } = event
        {
            let (packets, bytes) = (stats.packets(), stats.bytes());
            println!("{key}: {packets} packets, {bytes} bytes, {reason}");
        }
    }
}
