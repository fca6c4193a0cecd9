//! Tunnels in UDP: VXLAN, Geneve, GTP-U and Teredo.

use super::Inside;
use crate::extract::{TunnelKind, Tunnels};
use crate::parse::transport::{self, Body};
use crate::parse::{Layer, Part, link};

/// The contents of a datagram of any kind of tunnel in UDP.
pub(super) fn any<'a>(body: Body<'a>, tunnels: &Tunnels) -> Option<Inside<'a>> {
    let (source, destination) = transport::ports(body.part.data)?;
    let kind = tunnels.of_ports(source, destination)?;
    let mut part = body.part;
    let header = part.take::<8>().ok()?;
    match u16::from_be_bytes([header[4], header[5]]) {
        0 if body.large => {}
        // In a first fragment, the length is that of all fragments together.
        len => part = part.up_to(usize::from(len).checked_sub(8)?),
    }
    if kind == TunnelKind::Teredo {
        return in_teredo(part);
    }
    let header = *part.take::<8>().ok()?;
    behind(kind, header, part)
}

/// The contents of a datagram with a stated length that fits.
#[inline(always)]
pub(super) fn usual(kind: TunnelKind, part: Part<'_>) -> Option<Inside<'_>> {
    if kind == TunnelKind::Teredo {
        let mut rest = part;
        let header = rest.take::<8>().ok()?;
        let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
        return in_teredo(rest.up_to(len.checked_sub(8)?));
    }
    let (both, rest) = part.data.split_first_chunk::<16>()?;
    let [_, _, _, _, high, low, _, _, header @ ..] = *both;
    let len = usize::from(u16::from_be_bytes([high, low])).checked_sub(16)?;
    let part = Part {
        data: &rest[..rest.len().min(len)],
        wire: len,
        start: part.start + 16,
    };
    behind(kind, header, part)
}

/// The layer after the first eight bytes of a tunnel's header.
#[inline(always)]
fn behind(kind: TunnelKind, header: [u8; 8], mut part: Part<'_>) -> Option<Inside<'_>> {
    let (layer, id) = match kind {
        TunnelKind::Vxlan => vxlan(header)?,
        TunnelKind::Geneve => geneve(header, &mut part)?,
        _ => gtp(header, &mut part)?,
    };
    Some(Inside {
        layer,
        part,
        kind,
        id,
        is_fragment: false,
    })
}

/// The layer after the fields of Teredo.
#[inline(always)]
fn in_teredo(part: Part<'_>) -> Option<Inside<'_>> {
    let mut rest = part;
    teredo(&mut rest)?;
    Some(Inside {
        layer: Layer::V6,
        part: rest,
        kind: TunnelKind::Teredo,
        id: 0,
        is_fragment: false,
    })
}

/// The layer inside, and the identifier.
type Found = Option<(Layer, u32)>;

#[inline(always)]
fn vxlan(header: [u8; 8]) -> Found {
    /// The identifier is valid.
    const INSTANCE: u8 = 0x08;
    /// VXLAN-GPE only: byte 3 names the next protocol; the packet is for the tunnel's ends.
    const NEXT_PROTOCOL: u8 = 0x04;
    const OAM: u8 = 0x01;
    let flags = header[0];
    let layer = match (flags & INSTANCE, flags & NEXT_PROTOCOL) {
        (0, _) => return None,
        (_, 0) => Layer::Ethernet,
        _ if flags & OAM != 0 => return None,
        _ => match header[3] {
            1 => Layer::V4,
            2 => Layer::V6,
            3 => Layer::Ethernet,
            5 => Layer::Mpls,
            _ => return None,
        },
    };
    Some((layer, network(header)))
}

#[inline(always)]
fn geneve(header: [u8; 8], part: &mut Part<'_>) -> Found {
    /// The version, which is 0, and the flag of packets that are for the tunnel's ends.
    const ZEROS: u32 = 0xc080_0000;
    const TYPE: u32 = 0xffff;
    const ETHERNET: u32 = 0x6558;
    let [first, b, c, d, ..] = header;
    let start = u32::from_be_bytes([first, b, c, d]);
    let layer = match start & (ZEROS | TYPE) {
        ETHERNET => Layer::Ethernet,
        other => link::above(u16::try_from(other).ok()?).ok()?,
    };
    let options = usize::from(first & 0x3f) * 4;
    if part.data.len() < options {
        return None;
    }
    part.skip(options);
    Some((layer, network(header)))
}

/// The 24 bits before the last byte.
const fn network([.., a, b, c, d]: [u8; 8]) -> u32 {
    u32::from_be_bytes([a, b, c, d]) >> 8
}

/// The first half of a header of GTP: version 1 of GTP, not of GTP', without options, and data. Its
/// length is the lower half.
const GTP: u32 = 0x30ff_0000;

#[inline(always)]
fn gtp(header: [u8; 8], part: &mut Part<'_>) -> Found {
    let [a, b, c, d, id @ ..] = header;
    let start = u32::from_be_bytes([a, b, c, d]);
    // Nearly all packets fill their datagram.
    if (start ^ GTP) as usize != part.wire {
        // A copy: a value whose reference is passed to a function must live in memory from then on.
        let mut rest = *part;
        pass_options(start, &mut rest)?;
        *part = rest;
    }
    let layer = match part.data.first()? >> 4 {
        4 => Layer::V4,
        6 => Layer::V6,
        _ => return None,
    };
    Some((layer, u32::from_be_bytes(id)))
}

/// Cuts the bytes after a GTP header at its length, and skips the optional fields and the extension
/// headers.
#[inline(never)]
fn pass_options(start: u32, part: &mut Part<'_>) -> Option<()> {
    /// The version, and the kind of message.
    const KIND: u32 = 0xf0ff_0000;
    const EXTENSION: u32 = 0x0400_0000;
    /// An extension, a sequence number, or an N-PDU number: all three are there.
    const OPTIONAL: u32 = 0x0700_0000;
    if start & KIND != GTP {
        return None;
    }
    match start & 0xffff {
        // As in a segment that a card has yet to split.
        0 => {}
        len => *part = part.up_to(len as usize),
    }
    if start & OPTIONAL == 0 {
        return Some(());
    }
    let [.., mut next] = *part.take::<4>().ok()?;
    while start & EXTENSION != 0 && next != 0 {
        let len = usize::from(*part.data.first()?) * 4;
        next = *part.data.get(len.checked_sub(1)?)?;
        part.skip(len);
    }
    Some(())
}

#[inline(never)]
fn teredo(part: &mut Part<'_>) -> Option<()> {
    if let [0, 1, id_len, auth_len, ..] = *part.data {
        // Four bytes, two values, a nonce of eight bytes, a confirmation.
        let len = 13 + usize::from(id_len) + usize::from(auth_len);
        part.data.get(len..)?;
        part.skip(len);
    }
    if let [0, 0, ..] = *part.data {
        part.take::<8>().ok()?;
    }
    match part.data.first()? >> 4 {
        6 => Some(()),
        _ => None,
    }
}
