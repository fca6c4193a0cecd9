//! Enhanced packet blocks.

use crate::pcap::block::{ENHANCED_PACKET, EPB_FLAGS, EPB_QUEUE};
use crate::pcap::{flags, options};
use crate::{Packet, WireBytes};

/// Bytes of an enhanced packet block before its packet.
const BEFORE_PACKET: usize = 28;

/// Appends a packet of which nothing but the direction is known, in pieces of constant length as
/// far as possible.
#[inline]
pub(super) fn plain(
    to: &mut Vec<u8>,
    packet: &Packet<'_>,
    bytes: &WireBytes<'_>,
    number: u32,
    ticks: u64,
) {
    const DIRECTION: usize = 12;
    let len = bytes.len();
    let padding = len.wrapping_neg() & 3;
    let options = if packet.direction().is_some() {
        DIRECTION
    } else {
        0
    };
    let total = BEFORE_PACKET + len + padding + options + 4;
    // Once for all pieces: each of them would check it.
    to.reserve(total + 4);
    to.extend_from_slice(&header(packet, number, ticks, len, total as u32));
    let [before, tag, behind] = bytes.pieces();
    to.extend_from_slice(before);
    if !tag.is_empty() {
        to.extend_from_slice(tag);
        to.extend_from_slice(behind);
    }
    let end = to.len() + padding;
    to.extend_from_slice(&[0; 4]);
    to.truncate(end);
    let total = (total as u32).to_le_bytes();
    match packet.direction() {
        None => to.extend_from_slice(&total),
        Some(direction) => {
            let mut tail = [0; DIRECTION + 4];
            tail[..4].copy_from_slice(&[EPB_FLAGS as u8, 0, 4, 0]);
            tail[4..8].copy_from_slice(&flags::of(direction).to_le_bytes());
            tail[DIRECTION..].copy_from_slice(&total);
            to.extend_from_slice(&tail);
        }
    }
}

/// The block of a packet up to its bytes.
#[inline]
pub(super) fn header(
    packet: &Packet<'_>,
    number: u32,
    ticks: u64,
    len: usize,
    total: u32,
) -> [u8; BEFORE_PACKET] {
    let words = [
        ENHANCED_PACKET,
        total,
        number,
        (ticks >> 32) as u32,
        ticks as u32,
        len as u32,
        packet.wire_len(),
    ];
    let mut header = [0; BEFORE_PACKET];
    for (place, word) in header.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    header
}

/// Appends the direction and the queue of a packet.
pub(super) fn push_words(to: &mut Vec<u8>, packet: &Packet<'_>) {
    if let Some(direction) = packet.direction() {
        options::push(to, EPB_FLAGS, &flags::of(direction).to_le_bytes());
    }
    if let Some(queue) = packet.queue() {
        options::push(to, EPB_QUEUE, &queue.to_le_bytes());
    }
}
