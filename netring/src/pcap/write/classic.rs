//! pcap: a header, and records one after another.

use super::extra::{Extra, LONG, check_len, refuse};
use crate::pcap::link::{LONG_PACKETS, MAX_LEN};
use crate::{Error, LinkType, Packet};

/// Marks a little-endian file with timestamps in nanoseconds.
const NANOS: u32 = 0xa1b2_3c4d;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Bytes of a record before its packet.
const RECORD_HEADER: usize = 16;

/// A pcap file.
#[derive(Clone, Debug)]
pub(in crate::pcap) struct Classic {
    pub(super) link_type: LinkType,
}

impl Classic {
    pub(super) fn begin(&self, to: &mut Vec<u8>) {
        let most = match LONG_PACKETS.contains(&self.link_type.0) {
            true => LONG as u32,
            false => MAX_LEN,
        };
        to.extend_from_slice(&NANOS.to_le_bytes());
        // Version 2.4; time zone and accuracy are 0 in every file.
        to.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        to.extend_from_slice(&most.to_le_bytes());
        to.extend_from_slice(&u32::from(self.link_type.0).to_le_bytes());
    }

    #[inline]
    pub(super) fn packet(
        &self,
        to: &mut Vec<u8>,
        packet: &Packet<'_>,
        extra: Extra<'_>,
    ) -> Result<(), Error> {
        if packet.link_type() != self.link_type {
            return self.other_link_type(packet);
        }
        if let Extra::Comment(_) = extra {
            return refuse("write_commented", "a pcap file has no comments".into());
        }
        let bytes = packet.wire_bytes();
        check_len(bytes.len(), self.link_type)?;
        let nanos = packet.timestamp().as_nanos();
        let Ok(seconds) = u32::try_from(nanos.div_euclid(NANOS_PER_SECOND)) else {
            let time = packet.timestamp();
            let why = format!("{time} s is out of range (1970 to 2106 in a pcap file)");
            return refuse("write", why);
        };
        let nanos = nanos.rem_euclid(NANOS_PER_SECOND) as u32;
        let words = [seconds, nanos, bytes.len() as u32, packet.wire_len()];
        let mut header = [0; RECORD_HEADER];
        for (place, word) in header.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        to.extend_from_slice(&header);
        let [before, tag, behind] = bytes.pieces();
        to.extend_from_slice(before);
        if !tag.is_empty() {
            to.extend_from_slice(tag);
            to.extend_from_slice(behind);
        }
        Ok(())
    }

    #[cold]
    fn other_link_type(&self, packet: &Packet<'_>) -> Result<(), Error> {
        let (theirs, ours) = (packet.link_type(), self.link_type);
        let why = format!("{theirs:?} in a file of {ours:?}; a pcap file has one link type");
        refuse("write", why)
    }
}

/// How many records are whole in these bytes.
pub(super) fn whole_packets(mut bytes: &[u8]) -> u64 {
    let mut packets = 0;
    while let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER>() {
        let len = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        let Some(rest) = rest.get(len as usize..) else {
            break;
        };
        packets += 1;
        bytes = rest;
    }
    packets
}
