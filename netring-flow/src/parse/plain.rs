//! The fast path for nearly every packet: a consistent TCP segment or UDP datagram, whole or cut
//! after its header. [`ip`](super::ip) and [`transport`](super::transport) read all others, and
//! read these the same.

use super::Part;
use super::header::{self, FIXED_V4, FIXED_V6};
use super::layers::{Tags, Vlans};
use super::link::{self, ETHERNET_LEN};
use super::transport::{self, InUdp};
use crate::extract::{Extracted, FiveTupleKey, Orientation, TunnelKind};

/// A usual IP packet: whole, and its length fits the frame.
pub(super) struct Usual<'a, A> {
    pub(super) protocol: u8,
    source: A,
    destination: A,
    body: Body<'a>,
}

/// What follows the header. No captured byte is read from here without a check that it is also
/// before the end on the wire: cutting the bytes there would cost every packet.
#[derive(Clone, Copy)]
struct Body<'a> {
    /// All captured bytes, also those behind the packet's end.
    data: &'a [u8],
    /// The packet's bytes on the wire.
    wire: usize,
    /// Where it starts in the packet's bytes.
    start: usize,
}

/// Where the body of a usual IP packet is, for [`nested`](super::nested). It gets this instead of
/// the bytes: a caller that keeps the bytes would have them in memory for every packet.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where it starts in the packet's bytes.
    pub(super) start: u32,
    /// Its bytes on the wire.
    pub(super) wire: u32,
}

/// The facts about such a packet and the layers before it that [`nested`](super::nested) needs
/// beside its place, passed in one register.
#[derive(Clone, Copy)]
pub(super) struct Before {
    pub(super) vlans: Vlans,
    pub(super) protocol: u8,
    /// The kind of tunnel that the ports of UDP announce.
    pub(super) in_udp: Option<TunnelKind>,
    /// Headers that may still be read.
    pub(super) left: u8,
    pub(super) whole: bool,
}

/// The first byte of an IPv4 header without options.
const FIRST_V4: u8 = 0x45;

/// Reads the header of an IPv4 packet. `None` if it needs the general path.
#[inline(always)]
pub(super) fn v4(part: Part<'_>) -> Option<Usual<'_, u32>> {
    match part.data.first_chunk() {
        // Without options, its length is known.
        Some(h) if h[0] == FIRST_V4 => usual_v4(header::v4_of(h, FIXED_V4), part),
        _ => usual_v4(header::v4(part.data).ok()?, part),
    }
}

/// Reads the header of an Ethernet frame and that of an IPv4 packet without options behind it.
/// `None` if anything else is there, or if it needs the general path.
#[inline(always)]
pub(super) fn framed_v4(part: Part<'_>) -> Option<Usual<'_, u32>> {
    let (frame, data) = part.data.split_first_chunk::<ETHERNET_LEN>()?;
    let h = data.first_chunk::<FIXED_V4>()?;
    // Two comparisons cost a branch more.
    let type_and_first = u32::from_be_bytes([0, frame[12], frame[13], h[0]]);
    if type_and_first != u32::from(link::IPV4) << 8 | u32::from(FIRST_V4) {
        return None;
    }
    let packet = Part {
        data,
        wire: part.wire - ETHERNET_LEN,
        start: part.start + ETHERNET_LEN,
    };
    usual_v4(header::v4_of(h, FIXED_V4), packet)
}

#[inline(always)]
fn usual_v4(header: header::V4, part: Part<'_>) -> Option<Usual<'_, u32>> {
    if header.total_len > part.wire || header.fragment != 0 {
        return None;
    }
    let body = Body {
        data: part.data.get(header.len..)?,
        wire: header.total_len.checked_sub(header.len)?,
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
    let body = Body {
        data: &part.data[FIXED_V6..],
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
    /// The flow of the packet, without tags.
    #[inline(always)]
    pub(super) fn read(&self, in_udp: impl InUdp) -> Found {
        self.read_as(FiveTupleKey::v4, in_udp)
    }
}

impl Usual<'_, [u64; 2]> {
    /// The same.
    #[inline(always)]
    pub(super) fn read(&self, in_udp: impl InUdp) -> Found {
        self.read_as(FiveTupleKey::v6, in_udp)
    }
}

impl<'a, A: Copy> Usual<'a, A> {
    #[inline(always)]
    fn read_as(
        &self,
        key: impl FnOnce(u8, (A, u16), (A, u16), u64) -> (FiveTupleKey, Orientation),
        in_udp: impl InUdp,
    ) -> Found {
        let plain = transport::plain(self.protocol, self.body.data, self.body.wire, in_udp)?;
        let source = (self.source, plain.ports.0);
        let destination = (self.destination, plain.ports.1);
        let (key, orientation) = key(self.protocol, source, destination, Tags::NONE);
        Ok(plain.of(key, orientation, self.body.start))
    }

    /// What follows its header, and nothing behind its end.
    #[inline(always)]
    pub(super) fn part(&self) -> Part<'a> {
        let Body { data, wire, start } = self.body;
        let data = &data[..data.len().min(wire)];
        Part { data, wire, start }
    }

    /// The facts that [`nested`](super::nested) needs.
    #[inline(always)]
    pub(super) fn before(
        &self,
        in_udp: Option<TunnelKind>,
        vlans: Vlans,
        left: u8,
        whole: bool,
    ) -> Before {
        Before {
            vlans,
            protocol: self.protocol,
            in_udp,
            left,
            whole,
        }
    }

    /// Where its body is.
    #[inline(always)]
    pub(super) fn place(&self) -> Place {
        Place {
            start: self.body.start as u32,
            wire: self.body.wire as u32,
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
                4 => (Version::V4, v4(part).and_then(|ip| ip.read(|_, _| None).ok())),
                _ => (Version::V6, v6(part).and_then(|ip| ip.read(|_, _| None).ok())),
            };
            if let Some(plain) = plain {
                let rules = Rules {
                    vlan: false,
                    tunnel: false,
                    quoted: true,
                    whole: true,
                    tunnels: Tunnels::none(),
                };
                let layered = ip_packet(version, part, Tags::NONE, rules).unwrap();
                prop_assert_eq!(format!("{plain:?}"), format!("{layered:?}"));
            }
        }
    }
}
