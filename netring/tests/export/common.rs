//! Captures, and the records of their flows.

use std::path::PathBuf;

use netring::PacketSource;
use netring::flow::FlowTracker;
use netring::flow::export::{FlowRecord, FlowRecorder};
use netring::flow::extract::FiveTuple;
use netring::pcap::CaptureFile;

/// A capture from the folder `data`, whose README names its origin.
pub(crate) fn capture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/export/data/{name}"))
}

/// The records of a capture's flows, in the order of their start.
pub(crate) fn records(name: &str) -> Vec<FlowRecord> {
    records_with(FiveTuple::bidirectional(), name)
}

/// The same by another extractor.
pub(crate) fn records_with(extract: FiveTuple, name: &str) -> Vec<FlowRecord> {
    let mut file = CaptureFile::open(capture(name)).unwrap();
    let mut recorder = FlowRecorder::new();
    let mut tracker = FlowTracker::new(extract);
    while let Some(batch) = file.next_batch().unwrap() {
        tracker.track_batch(&batch, &mut recorder);
    }
    while tracker.finish(&mut recorder) {}
    let mut records: Vec<_> = recorder.drain().collect();
    records.sort_by_key(|record| record.start_ns);
    records
}
