//! Capture files as a packet source, and written.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod bytes;
mod classic;
mod compressed;
mod examples;
mod faults;
mod filter;
mod flows;
mod hostile;
#[cfg(feature = "afpacket")]
mod input;
mod kept;
mod ng;
mod options;
mod printed;
#[path = "../program/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the other tests that run examples as programs"
)]
mod program;
mod rotate;
mod round_trip;
mod simple;
mod source;
mod tshark;
mod write;
mod write_faults;
mod write_ng;

use std::io::Read;

use netring::pcap::{CaptureFile, FileError};
use netring::{Error, LinkType, PacketBatch, Stats};

/// A packet in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    nanos: i64,
    data: Vec<u8>,
    wire_len: u32,
    interface: u32,
    link_type: LinkType,
}

impl Seen {
    fn new(nanos: i64, data: &[u8], wire_len: u32, interface: u32, link_type: u16) -> Self {
        Self {
            nanos,
            data: data.to_vec(),
            wire_len,
            interface,
            link_type: LinkType(link_type),
        }
    }
}

/// All packets of a file, how it ended, and the figures at that time.
fn read(reader: impl Read) -> (Vec<Seen>, Result<(), Error>, Stats) {
    use netring::PacketSource;

    let mut file = CaptureFile::new(reader).expect("the beginning is right");
    let mut packets = Vec::new();
    let end = loop {
        match file.next_batch() {
            Ok(Some(batch)) => packets.extend(batch.packets().map(|packet| Seen {
                nanos: packet.timestamp().as_nanos(),
                data: packet.data().to_vec(),
                wire_len: packet.wire_len(),
                interface: packet.interface(),
                link_type: packet.link_type(),
            })),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let stats = file.stats().expect("a file asks nobody for them");
    (packets, end, stats)
}

/// All packets of a valid file.
fn packets(file: &[u8]) -> Vec<Seen> {
    let (packets, end, stats) = read(file);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(stats, Stats::counted(packets.len() as u64));
    packets
}

/// The fault that a capture file's error names.
fn cause(error: &Error) -> &FileError {
    let cause = error.downcast_ref();
    cause.unwrap_or_else(|| panic!("not a fault of the file: {error:?}"))
}
