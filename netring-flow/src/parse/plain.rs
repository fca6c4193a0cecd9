//! The fast path for nearly every packet: a consistent TCP segment or UDP datagram, whole or cut
//! after its header. [`ip`](super::ip) and [`transport`](super::transport) read all others, and
//! read these the same.

use super::header::{self, FIXED_V6};
use super::{Part, Version, transport};
use crate::extract::{Extracted, FiveTupleKey, Tunnels};

/// Reads an IP packet. `None` if it needs the general path.
#[inline]
pub(super) fn read(
    version: Version,
    part: Part<'_>,
    tags: u64,
    tunnels: &Tunnels,
) -> Option<Extracted<FiveTupleKey>> {
    match version {
        Version::V4 => v4(part, tags, tunnels),
        Version::V6 => v6(part, tags, tunnels),
        Version::Any => None,
    }
}

#[inline(always)]
pub(super) fn v4(part: Part<'_>, tags: u64, tunnels: &Tunnels) -> Option<Extracted<FiveTupleKey>> {
    let header = header::v4(part.data).ok()?;
    if header.total_len > part.wire || header.fragment != 0 {
        return None;
    }
    let end = header.total_len.min(part.data.len());
    let body = part.data.get(header.len..end)?;
    let plain = transport::plain(
        header.protocol,
        body,
        header.total_len - header.len,
        tunnels,
    )?;
    let source = (header.source, plain.ports.0);
    let destination = (header.destination, plain.ports.1);
    let (key, orientation) = FiveTupleKey::v4(header.protocol, source, destination, tags);
    Some(plain.of(key, orientation, part.start + header.len))
}

#[inline(always)]
pub(super) fn v6(part: Part<'_>, tags: u64, tunnels: &Tunnels) -> Option<Extracted<FiveTupleKey>> {
    let header = header::v6(part.data).ok()?;
    if header.payload_len > part.wire.saturating_sub(FIXED_V6) {
        return None;
    }
    let rest = &part.data[FIXED_V6..];
    let body = &rest[..rest.len().min(header.payload_len)];
    let plain = transport::plain(header.protocol, body, header.payload_len, tunnels)?;
    let source = (header.source, plain.ports.0);
    let destination = (header.destination, plain.ports.1);
    let (key, orientation) = FiveTupleKey::v6(header.protocol, source, destination, tags);
    Some(plain.of(key, orientation, part.start + FIXED_V6))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::parse::{Rules, ip_packet};

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
                4 => (Version::V4, v4(part, 3, &Tunnels::none())),
                _ => (Version::V6, v6(part, 3, &Tunnels::none())),
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
