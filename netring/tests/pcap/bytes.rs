//! Capture files, written byte for byte from the descriptions of the formats, without the code that
//! reads them.

/// The byte order of a file or a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

pub(crate) use Order::{Big, Little};

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        }
    }

    pub(crate) fn u64(self, value: u64) -> [u8; 8] {
        match self {
            Little => value.to_le_bytes(),
            Big => value.to_be_bytes(),
        }
    }
}

pub(crate) const MICROS: u32 = 0xa1b2_c3d4;
pub(crate) const NANOS: u32 = 0xa1b2_3c4d;
pub(crate) const MODIFIED: u32 = 0xa1b2_cd34;
pub(crate) const IXIA_HARDWARE: u32 = 0x1c00_01ac;
pub(crate) const IXIA_SOFTWARE: u32 = 0x1c00_01ab;

/// The header of a pcap file.
pub(crate) fn header(order: Order, magic: u32, snap_len: u32, network: u32) -> Vec<u8> {
    versioned_header(order, magic, (2, 4), snap_len, network)
}

/// The header of a pcap file of this version.
pub(crate) fn versioned_header(
    order: Order,
    magic: u32,
    version: (u16, u16),
    snap_len: u32,
    network: u32,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(order.u32(magic));
    bytes.extend(order.u16(version.0));
    bytes.extend(order.u16(version.1));
    bytes.extend([0; 8]);
    bytes.extend(order.u32(snap_len));
    bytes.extend(order.u32(network));
    bytes
}

/// A record of a pcap file.
pub(crate) fn record(order: Order, time: (u32, u32), wire_len: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(order.u32(time.0));
    bytes.extend(order.u32(time.1));
    bytes.extend(order.u32(data.len() as u32));
    bytes.extend(order.u32(wire_len));
    bytes.extend(data);
    bytes
}

/// A pcapng block; the body is padded.
pub(crate) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    block_of_length(order, kind, body, padded as u32 + 12)
}

/// A pcapng block that announces this length; the body is padded.
pub(crate) fn block_of_length(order: Order, kind: u32, body: &[u8], length: u32) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let total = order.u32(length);
    let mut bytes = Vec::new();
    bytes.extend(order.u32(kind));
    bytes.extend(total);
    bytes.extend(body);
    bytes.resize(8 + padded, 0);
    bytes.extend(total);
    bytes
}

pub(crate) fn section(order: Order) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(order.u32(0x1a2b_3c4d));
    body.extend(order.u16(1));
    body.extend(order.u16(0));
    body.extend(order.u64(u64::MAX));
    block(order, 0x0a0d_0d0a, &body)
}

pub(crate) fn interface(order: Order, link_type: u16, snap_len: u32, options: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(order.u16(link_type));
    body.extend(order.u16(0));
    body.extend(order.u32(snap_len));
    body.extend(options);
    block(order, 1, &body)
}

pub(crate) fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(order.u16(code));
    bytes.extend(order.u16(value.len() as u16));
    bytes.extend(value);
    bytes.resize(4 + value.len().next_multiple_of(4), 0);
    bytes
}

/// An enhanced packet block, with a comment behind the packet, as writers put them there.
pub(crate) fn enhanced(
    order: Order,
    interface: u32,
    ticks: u64,
    wire_len: u32,
    data: &[u8],
) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(order.u32(interface));
    body.extend(order.u32((ticks >> 32) as u32));
    body.extend(order.u32(ticks as u32));
    body.extend(order.u32(data.len() as u32));
    body.extend(order.u32(wire_len));
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(option(order, 1, b"hello"));
    body.extend(option(order, 0, b""));
    block(order, 6, &body)
}

/// The packet block of the first drafts.
pub(crate) fn obsolete(
    order: Order,
    interface: u16,
    drops: u16,
    ticks: u64,
    wire_len: u32,
    data: &[u8],
) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(order.u16(interface));
    body.extend(order.u16(drops));
    body.extend(order.u32((ticks >> 32) as u32));
    body.extend(order.u32(ticks as u32));
    body.extend(order.u32(data.len() as u32));
    body.extend(order.u32(wire_len));
    body.extend(data);
    block(order, 2, &body)
}

pub(crate) fn simple(order: Order, wire_len: u32, data: &[u8]) -> Vec<u8> {
    let mut body = order.u32(wire_len).to_vec();
    body.extend(data);
    block(order, 3, &body)
}
