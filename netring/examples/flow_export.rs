//! Writes the flows of a capture file as IPFIX, if the name ends in `.ipfix`, or as lines of JSON:
//! `cargo run --features pcap --example flow_export -- trace.pcapng flows.ipfix`.

mod outcome;

use std::io::{BufWriter, Write};
use std::{fs::File, path::Path};

use netring::PacketSource;
use netring::flow::export::{FlowRecorder, Ipfix, JsonLines};
use netring::flow::{FlowTracker, extract::FiveTuple};
use netring::pcap::CaptureFile;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("flow_export FROM TO");
    let (from, to) = (args.path()?, args.path()?);
    args.end()?;
    let mut source = CaptureFile::open(from)?;
    let mut file = BufWriter::new(File::create_new(&to)?);
    let is_ipfix = Path::new(&to).extension().is_some_and(|it| it == "ipfix");
    let (mut ipfix, json, mut out) = (Ipfix::new(), JsonLines::new(), Vec::new());
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let (mut recorder, mut more) = (FlowRecorder::new(), true);
    while more {
        let batch = source.next_batch()?;
        more = match batch.map(|it| tracker.track_batch(&it, &mut recorder)) {
            Some(()) => true,
            None => tracker.finish(&mut recorder),
        };
        recorder.drain().for_each(|record| match is_ipfix {
            true => ipfix.record(&record, |message| out.extend_from_slice(message)),
            false => json.record(&record, &mut out),
        });
        file.write_all(&out)?;
        out.clear();
    }
    ipfix.flush(|message| out.extend_from_slice(message));
    file.write_all(&out)?;
    Ok(file.flush()?)
}
