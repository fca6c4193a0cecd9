//! Frames in tunnels.

use std::fmt;

use netring_sys::{LinkType, Packet, PacketBatch, Timestamp};
use xtask::wire;

/// Bytes of a frame without its tunnels.
const LEN: usize = 64;
const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [8, 0];
/// The fewest frames, so that none is read while it is still in the processor's registers.
const FEWEST: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Vxlan,
    Geneve,
    GtpU,
    Gre,
    IpInIp,
    Mpls,
    Vlan,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vxlan => "VXLAN",
            Self::Geneve => "Geneve",
            Self::GtpU => "GTP-U",
            Self::Gre => "GRE",
            Self::IpInIp => "IP in IP",
            Self::Mpls => "MPLS",
            Self::Vlan => "VLAN",
        })
    }
}

/// Frames in memory order, as in a ring: each starts a cache line.
pub(super) struct Frames {
    bytes: Vec<u8>,
    len: usize,
    pub(super) count: usize,
    pub(super) kind: Kind,
    pub(super) depth: usize,
    pub(super) flows: u32,
}

impl Frames {
    /// At least one frame of each flow, in random order, in `depth` tunnels.
    pub(super) fn new(kind: Kind, depth: usize, flows: u32) -> Self {
        let count = (flows as usize).max(FEWEST);
        let mut order: Vec<u32> = (0..count as u32).map(|n| n % flows).collect();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for n in (1..order.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            order.swap(n, (random >> 33) as usize % (n + 1));
        }
        let len = framed(kind, depth, 0).len();
        let mut bytes = Vec::with_capacity(count * len.next_multiple_of(64));
        for flow in order {
            bytes.extend(framed(kind, depth, flow));
            bytes.resize(bytes.len().next_multiple_of(64), 0);
        }
        Self {
            bytes,
            len,
            count,
            kind,
            depth,
            flows,
        }
    }

    pub(super) const fn batch(&self) -> Batch<'_> {
        Batch(self)
    }
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind, depth, flows, ..
        } = self;
        write!(f, "tunnels, {kind} × {depth}, {flows} flows")
    }
}

pub(super) struct Batch<'a>(&'a Frames);

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let Frames { bytes, len, .. } = self.0;
        let frames = bytes.chunks_exact(len.next_multiple_of(64));
        frames.map(|frame| Packet::new(&frame[..*len], Timestamp::default(), LinkType::ETHERNET))
    }
}

/// A segment in tunnels that are all of one kind.
fn framed(kind: Kind, depth: usize, flow: u32) -> Vec<u8> {
    let mut frame = wire::tcp4(443, 443, 1, 16, &[0; LEN - ETHERNET - 40]);
    frame[26..30].copy_from_slice(&(0x0b00_0000 + flow).to_be_bytes());
    for n in 0..depth {
        frame = wrapped(kind, &frame, n == 0);
    }
    frame
}

/// One more tunnel around a frame.
fn wrapped(kind: Kind, frame: &[u8], is_innermost: bool) -> Vec<u8> {
    let packet = &frame[ETHERNET..];
    let [high, low] = (packet.len() as u16).to_be_bytes();
    let gtp = [0x30, 255, high, low, 0, 0, 0, 5];
    match kind {
        Kind::Vxlan => udp(4789, &[8, 0, 0, 0, 0, 0, 5, 0], frame),
        Kind::Geneve => udp(6081, &[0, 0, 0x65, 0x58, 0, 0, 5, 0], frame),
        Kind::GtpU => udp(2152, &gtp, packet),
        Kind::Gre => ip(47, &[&[0, 0, 8, 0], packet].concat()),
        Kind::IpInIp => ip(4, packet),
        // A label goes before those that are there.
        Kind::Mpls => {
            let label = [0, 1, is_innermost.into(), 64];
            ethernet([0x88, 0x47], &[&label, packet].concat())
        }
        Kind::Vlan => {
            let tag = [0, 5, frame[12], frame[13]];
            ethernet([0x81, 0], &[&tag, packet].concat())
        }
    }
}

fn udp(port: u16, header: &[u8], inside: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0xc0, 1];
    datagram.extend(port.to_be_bytes());
    let len = 8 + header.len() + inside.len();
    datagram.extend((len as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(header);
    datagram.extend(inside);
    ip(17, &datagram)
}

/// A frame with an IPv4 packet.
fn ip(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + body.len() as u16).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(body);
    ethernet(IPV4, &packet)
}

fn ethernet(ether_type: [u8; 2], body: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(ether_type);
    frame.extend(body);
    frame
}
