//! The figures of capture files that are written.

use std::io::Write;

use super::{Metric, Publish, Publisher, Unit};
use crate::pcap::CaptureWriter;
#[cfg(feature = "rotation")]
use crate::pcap::RotatingWriter;

const PACKETS: Metric = Metric::count(
    "netring_file_packets_total",
    "Packets that were taken for the file",
);
const UNWRITTEN: Metric = Metric::count(
    "netring_file_unwritten_packets",
    "Packets that were taken and are not in the file: buffered, or lost by an error",
);
const BYTES: Metric = Metric::new(
    "netring_file_bytes_total",
    Unit::Bytes,
    "Bytes of the file so far",
);

impl<W: Write> Publish for CaptureWriter<W> {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&PACKETS, self.packets());
        to.gauge(&UNWRITTEN, self.unwritten() as f64);
        to.counter(&BYTES, self.bytes());
    }
}

#[cfg(feature = "rotation")]
const FILES: Metric = Metric::count("netring_rotation_files_total", "Files created");
#[cfg(feature = "rotation")]
const ALL_PACKETS: Metric = Metric::count(
    "netring_rotation_packets_total",
    "Packets that were taken for all files",
);
#[cfg(feature = "rotation")]
const ALL_UNWRITTEN: Metric = Metric::count(
    "netring_rotation_unwritten_packets",
    "Packets that were taken and are in no file: buffered, or lost by an error",
);

#[cfg(feature = "rotation")]
impl Publish for RotatingWriter {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&FILES, self.files());
        to.counter(&ALL_PACKETS, self.packets());
        to.gauge(&ALL_UNWRITTEN, self.unwritten() as f64);
    }
}
