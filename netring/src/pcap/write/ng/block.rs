//! Blocks of pcapng, from their type to their length.

use crate::pcap::block::{ENHANCED_PACKET, SIMPLE_PACKET};

/// A block that is being appended.
pub(super) struct Block {
    start: usize,
}

impl Block {
    /// Appends its beginning.
    pub(super) fn begin(to: &mut Vec<u8>, kind: u32) -> Self {
        let start = to.len();
        to.extend_from_slice(&kind.to_le_bytes());
        to.extend_from_slice(&[0; 4]);
        Self { start }
    }

    /// Appends its length.
    pub(super) fn close(self, to: &mut Vec<u8>) {
        close(to, self.start);
    }

    /// Appends its options and its length.
    pub(super) fn end(self, to: &mut Vec<u8>, options: &[u8]) {
        to.extend_from_slice(options);
        to.extend_from_slice(&[0; 4]);
        close(to, self.start);
    }
}

/// Pads the block that begins at `start`.
#[inline]
pub(super) fn pad(to: &mut Vec<u8>, start: usize) {
    let len = to.len() - start;
    let padding = len.next_multiple_of(4) - len;
    to.extend_from_slice(&[0; 3][..padding]);
}

/// Appends the length of the block that begins at `start`, and stores it at its beginning.
#[inline]
pub(super) fn close(to: &mut Vec<u8>, start: usize) {
    let total = ((to.len() - start + 4) as u32).to_le_bytes();
    to.extend_from_slice(&total);
    to[start + 4..start + 8].copy_from_slice(&total);
}

/// How many blocks with packets are whole in these bytes.
pub(in crate::pcap) fn whole_packets(mut bytes: &[u8]) -> u64 {
    let mut packets = 0;
    while let Some((header, _)) = bytes.split_first_chunk::<8>() {
        let [a, b, c, d, e, f, g, h] = *header;
        let (kind, len) = (
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        let Some(rest) = bytes.get(len as usize..) else {
            break;
        };
        packets += u64::from(matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET));
        bytes = rest;
    }
    packets
}
