//! Tunnels in UDP: VXLAN, Geneve, GTP-U and Teredo.

use super::Inside;
use crate::extract::{TunnelKind, Tunnels};
use crate::parse::transport::{self, Body};
use crate::parse::{Layer, Part, be16, link};

/// The contents of a datagram of any kind of tunnel in UDP.
pub(super) fn any<'a>(body: Body<'a>, tunnels: &Tunnels) -> Option<Inside<'a>> {
    let (source, destination) = transport::ports(body.part.data)?;
    let kind = tunnels.of_ports(source, destination)?;
    match be16(body.part.data, 4)? {
        0 if body.large => {
            let mut payload = body.part;
            payload.take::<8>().ok()?;
            inside(kind, payload)
        }
        // In a first fragment, the length is that of all fragments together.
        _ => usual(kind, body.part),
    }
}

/// The contents of a datagram that states its length.
#[inline(always)]
pub(super) fn usual(kind: TunnelKind, mut part: Part<'_>) -> Option<Inside<'_>> {
    let header = part.take::<8>().ok()?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    inside(kind, part.up_to(len.checked_sub(8)?))
}

#[inline(always)]
fn inside(kind: TunnelKind, part: Part<'_>) -> Option<Inside<'_>> {
    let (layer, part, id) = match kind {
        TunnelKind::Vxlan => vxlan(part)?,
        TunnelKind::Geneve => geneve(part)?,
        TunnelKind::GtpU => gtp(part)?,
        _ => {
            let mut rest = part;
            let layer = teredo(&mut rest)?;
            (layer, rest, 0)
        }
    };
    Some(Inside {
        layer,
        part,
        kind,
        id,
        is_fragment: false,
    })
}

/// The layer inside, its bytes, and the identifier.
type Found<'a> = Option<(Layer, Part<'a>, u32)>;

#[inline(always)]
fn vxlan(mut part: Part<'_>) -> Found<'_> {
    /// The identifier is valid.
    const INSTANCE: u8 = 0x08;
    /// VXLAN-GPE only: byte 3 names the next protocol; the packet is for the tunnel's ends.
    const NEXT_PROTOCOL: u8 = 0x04;
    const OAM: u8 = 0x01;
    let header = *part.take::<8>().ok()?;
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
    Some((layer, part, network(&header)))
}

#[inline(always)]
fn geneve(mut part: Part<'_>) -> Found<'_> {
    const ETHERNET: u16 = 0x6558;
    const CONTROL: u8 = 0x80;
    let header = *part.take::<8>().ok()?;
    let options = usize::from(header[0] & 0x3f) * 4;
    if header[0] >> 6 != 0 || header[1] & CONTROL != 0 || part.data.len() < options {
        return None;
    }
    part.skip(options);
    let layer = match u16::from_be_bytes([header[2], header[3]]) {
        ETHERNET => Layer::Ethernet,
        ether_type => link::above(ether_type).ok()?,
    };
    Some((layer, part, network(&header)))
}

/// The 24 bits before the last byte.
const fn network(header: &[u8; 8]) -> u32 {
    u32::from_be_bytes([0, header[4], header[5], header[6]])
}

#[inline(always)]
fn gtp(mut part: Part<'_>) -> Found<'_> {
    /// Version 1 of GTP, not of GTP'.
    const VERSION: u8 = 0x30;
    const EXTENSION: u8 = 0x04;
    /// An extension, a sequence number, or an N-PDU number: all three are there.
    const OPTIONAL: u8 = 0x07;
    const DATA: u8 = 255;
    let [flags, message, high, low, id @ ..] = *part.take::<8>().ok()?;
    if flags & 0xf0 != VERSION || message != DATA {
        return None;
    }
    match u16::from_be_bytes([high, low]) {
        // As in a segment that a card has yet to split.
        0 => {}
        len => part = part.up_to(len.into()),
    }
    if flags & OPTIONAL != 0 {
        let mut rest = part;
        pass_options(&mut rest, flags & EXTENSION != 0)?;
        part = rest;
    }
    let layer = match part.data.first()? >> 4 {
        4 => Layer::V4,
        6 => Layer::V6,
        _ => return None,
    };
    Some((layer, part, u32::from_be_bytes(id)))
}

/// Skips the optional fields of GTP, and the extension headers.
#[inline(never)]
fn pass_options(part: &mut Part<'_>, are_extended: bool) -> Option<()> {
    let [.., mut next] = *part.take::<4>().ok()?;
    while are_extended && next != 0 {
        let len = usize::from(*part.data.first()?) * 4;
        next = *part.data.get(len.checked_sub(1)?)?;
        part.skip(len);
    }
    Some(())
}

#[inline(never)]
fn teredo(part: &mut Part<'_>) -> Option<Layer> {
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
        6 => Some(Layer::V6),
        _ => None,
    }
}
