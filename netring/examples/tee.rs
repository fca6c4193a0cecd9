//! Writes the packets of an interface to a file while it counts their flows:
//! `cargo run --features pcap --example tee -- eth0 /tmp/eth0.pcapng`. It ends after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::flow::{FlowTracker, extract::FiveTuple};
use netring::pcap::{CaptureWriter, Format};
use netring::{Capture, PacketSource, Timed, adapters::Tee};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("tee INTERFACE FILE [SECONDS]");
    let (interface, path) = (args.interface()?, args.path()?);
    let mut time = args.seconds(10)?;

    let capture = Capture::open(&interface)?;
    let (index, about) = (capture.interface().index, capture.interface().into());
    let writer = CaptureWriter::builder(Format::PcapNg).interface(index, about);
    let mut tee = Tee::new(capture, writer.create(path)?);
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    while let Some(left) = time.left() {
        if let Timed::Batch(batch) = tee.next_batch_timeout(left)? {
            tracker.track_batch(&batch, &mut events);
        }
        events.clear();
    }

    let stats = tee.stats()?;
    let (written, flows) = (tee.written(), tracker.stats().flows_started);
    tee.writer_mut().set_statistics(index, stats)?;
    let (_, writer) = tee.finish()?;
    writer.finish()?;
    println!("{written} packets written, {flows} flows");
    println!("{stats}");
    Ok(())
}
