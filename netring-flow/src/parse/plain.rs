//! The fast path for nearly every packet: a consistent TCP segment or UDP datagram, whole or cut
//! after its header. [`ip`](super::ip) and [`transport`](super::transport) read all others, and
//! read these the same.

use super::Part;
use super::header::{self, FIXED_V6};
use super::transport::{self, InUdp};
use crate::extract::{Extracted, FiveTupleKey, Orientation, TunnelKind};

/// A usual IP packet: whole, and its length fits the frame.
pub(super) struct Usual<'a, A> {
    pub(super) protocol: u8,
    source: A,
    destination: A,
    /// What follows the header.
    pub(super) body: Part<'a>,
}

/// The contents of a usual IP packet, given as a position: if it borrowed the bytes, the caller
/// would keep them in memory for every packet.
#[derive(Clone, Copy)]
pub(super) struct Outer {
    /// Where it starts in the packet's bytes.
    pub(super) start: u32,
    /// Its captured bytes.
    pub(super) len: u32,
    /// Its bytes on the wire.
    pub(super) wire: u32,
    pub(super) protocol: u8,
    /// The kind of tunnel that the ports of UDP announce.
    pub(super) in_udp: Option<TunnelKind>,
}

/// Reads the header of an IPv4 packet. `None` if it needs the general path.
#[inline(always)]
pub(super) fn v4(part: Part<'_>) -> Option<Usual<'_, u32>> {
    let header = header::v4(part.data).ok()?;
    if header.total_len > part.wire || header.fragment != 0 {
        return None;
    }
    let end = header.total_len.min(part.data.len());
    let body = Part {
        data: part.data.get(header.len..end)?,
        wire: header.total_len - header.len,
        start: part.start + header.len,
    };
    Some(Usual {
        protocol: header.protocol,
        source: header.source,
        destination: header.destination,
        body,
    })
}

/// Reads the header of an IPv6 packet. `None` if it needs the general path.
#[inline(always)]
pub(super) fn v6(part: Part<'_>) -> Option<Usual<'_, [u64; 2]>> {
    let header = header::v6(part.data).ok()?;
    let len = header.payload_len;
    if len == 0 || len > part.wire.saturating_sub(FIXED_V6) {
        return None;
    }
    let rest = &part.data[FIXED_V6..];
    let body = Part {
        data: &rest[..rest.len().min(len)],
        wire: len,
        start: part.start + FIXED_V6,
    };
    Some(Usual {
        protocol: header.protocol,
        source: header.source,
        destination: header.destination,
        body,
    })
}

/// Returns the flow. Otherwise the packet needs the general path or may carry a tunnel; the error
/// is the kind of a tunnel in UDP.
type Found = Result<Extracted<FiveTupleKey>, Option<TunnelKind>>;

impl Usual<'_, u32> {
    /// The flow of the packet.
    #[inline(always)]
    pub(super) fn read(&self, tags: u64, in_udp: impl InUdp) -> Found {
        self.read_as(FiveTupleKey::v4, tags, in_udp)
    }
}

impl Usual<'_, [u64; 2]> {
    /// The same.
    #[inline(always)]
    pub(super) fn read(&self, tags: u64, in_udp: impl InUdp) -> Found {
        self.read_as(FiveTupleKey::v6, tags, in_udp)
    }
}

impl<A: Copy> Usual<'_, A> {
    #[inline(always)]
    fn read_as(
        &self,
        key: impl FnOnce(u8, (A, u16), (A, u16), u64) -> (FiveTupleKey, Orientation),
        tags: u64,
        in_udp: impl InUdp,
    ) -> Found {
        let plain = transport::plain(self.protocol, self.body, in_udp)?;
        let source = (self.source, plain.ports.0);
        let destination = (self.destination, plain.ports.1);
        let (key, orientation) = key(self.protocol, source, destination, tags);
        Ok(plain.of(key, orientation, self.body.start))
    }

    /// The contents, for [`nested::read`](super::nested::read).
    #[inline(always)]
    pub(super) fn outer(&self, in_udp: Option<TunnelKind>) -> Outer {
        Outer {
            start: self.body.start as u32,
            len: self.body.data.len() as u32,
            wire: self.body.wire as u32,
            protocol: self.protocol,
            in_udp,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::extract::Tunnels;
    use crate::parse::{Rules, Version, ip_packet};

    /// A TCP segment or UDP datagram whose lengths may be wrong.
    fn packet() -> impl Strategy<Value = Vec<u8>> {
        (
            any::<[bool; 2]>(),
            prop::collection::vec(any::<u8>(), 120),
            prop::sample::select(vec![0x45_u8, 0x46, 0x4f, 0x44]),
            0..120_u16,
            0..60_u16,
            0..16_u8,
        )
            .prop_map(
                |([v6, is_tcp], mut bytes, first, ip_len, udp_len, header_len)| {
                    let protocol = if is_tcp { 6 } else { 17 };
                    let [high, low] = ip_len.to_be_bytes();
                    let start = if v6 {
                        bytes[..7].copy_from_slice(&[0x60, 0, 0, 0, high, low, protocol]);
                        FIXED_V6
                    } else {
                        bytes[..10]
                            .copy_from_slice(&[first, 0, high, low, 0, 1, 0, 0, 64, protocol]);
                        usize::from(first & 15) * 4
                    };
                    if is_tcp {
                        bytes[start + 12] = header_len << 4;
                    } else {
                        bytes[start + 4..start + 6].copy_from_slice(&udp_len.to_be_bytes());
                    }
                    bytes
                },
            )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn the_short_way_reads_what_the_long_one_does(
            bytes in packet(),
            captured in 0..=120_usize,
            more in 0..4_usize,
        ) {
            let data = &bytes[..captured];
            let part = Part { data, wire: captured + 40 * more, start: 14 };
            let (version, plain) = match bytes[0] >> 4 {
                4 => (Version::V4, v4(part).and_then(|ip| ip.read(3, |_, _| None).ok())),
                _ => (Version::V6, v6(part).and_then(|ip| ip.read(3, |_, _| None).ok())),
            };
            if let Some(plain) = plain {
                let rules = Rules {
                    vlan: false,
                    tunnel: false,
                    quoted: true,
                    whole: true,
                    tunnels: Tunnels::none(),
                };
                let layered = ip_packet(version, part, 3, rules).unwrap();
                prop_assert_eq!(format!("{plain:?}"), format!("{layered:?}"));
            }
        }
    }
}
