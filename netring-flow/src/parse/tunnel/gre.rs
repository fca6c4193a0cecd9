//! GRE (RFC 2784, 2890, 1701), that of PPTP (RFC 2637), and ERSPAN.

use super::Inside;
use crate::extract::TunnelKind;
use crate::parse::{Layer, Part, link};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Version 1 only.
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 0x0007;

const ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;
const ERSPAN: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;

#[inline(always)]
pub(super) fn inside(mut part: Part<'_>) -> Option<Inside<'_>> {
    let [flags, protocol] = words(part.take::<4>().ok()?);
    let layer = match protocol {
        ETHERNET => Ok(Layer::Ethernet),
        ether_type => link::above(ether_type),
    };
    let (layer, kind, id) = match layer {
        Ok(layer) if flags & (ROUTING | VERSION) == 0 => {
            let key = fields(flags, &mut part)?;
            (layer, TunnelKind::Gre, key)
        }
        _ => {
            let mut rest = part;
            let found = seldom(flags, protocol, &mut rest)?;
            part = rest;
            found
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

/// Takes the optional fields off, and returns the key; 0 if there is none.
#[inline(always)]
fn fields(flags: u16, part: &mut Part<'_>) -> Option<u32> {
    let mut key = 0;
    if flags & (CHECKSUM | ROUTING) != 0 && flags & VERSION == 0 {
        part.take::<4>().ok()?;
    }
    if flags & KEY != 0 {
        key = u32::from_be_bytes(*part.take::<4>().ok()?);
    }
    if flags & SEQUENCE != 0 {
        part.take::<4>().ok()?;
    }
    Some(key)
}

/// Rare packets: PPP, mirrored frames, source routes.
#[inline(never)]
fn seldom(flags: u16, protocol: u16, part: &mut Part<'_>) -> Option<(Layer, TunnelKind, u32)> {
    let key = fields(flags, part)?;
    match (flags & VERSION, protocol) {
        (0, _) => {
            if flags & ROUTING != 0 {
                pass_routes(part)?;
            }
            payload(protocol, flags, key, part)
        }
        // Without a sequence number it only acknowledges.
        (1, PPP) if flags & SEQUENCE != 0 => {
            if flags & ACKNOWLEDGEMENT != 0 {
                part.take::<4>().ok()?;
            }
            // The upper half of the key is the length of what follows.
            *part = part.up_to((key >> 16) as usize);
            Some((Layer::Hdlc, TunnelKind::Gre, 0))
        }
        _ => None,
    }
}

fn payload(
    protocol: u16,
    flags: u16,
    key: u32,
    part: &mut Part<'_>,
) -> Option<(Layer, TunnelKind, u32)> {
    Some(match protocol {
        ETHERNET => (Layer::Ethernet, TunnelKind::Gre, key),
        PPP => (Layer::Hdlc, TunnelKind::Gre, key),
        // In type I, a frame directly follows GRE.
        ERSPAN if flags & SEQUENCE == 0 => (Layer::Ethernet, TunnelKind::Erspan, 0),
        ERSPAN => {
            let [version, session, ..] = words4(part.take::<8>().ok()?);
            if version >> 12 != 1 {
                return None;
            }
            (Layer::Ethernet, TunnelKind::Erspan, session & 0x3ff)
        }
        ERSPAN_3 => {
            let header = part.take::<12>().ok()?;
            let [version, session, ..] = words4(header.first_chunk()?);
            let [.., last] = *header;
            // The frame type: Ethernet only.
            let frame_type = (u16::from_be_bytes([header[10], header[11]]) >> 10) & 0x1f;
            if version >> 12 != 2 || frame_type != 0 {
                return None;
            }
            // A platform's own header.
            if last & 1 != 0 {
                part.take::<8>().ok()?;
            }
            (Layer::Ethernet, TunnelKind::Erspan, session & 0x3ff)
        }
        ether_type => (link::above(ether_type).ok()?, TunnelKind::Gre, key),
    })
}

/// Skips the source routes, the last of which is empty.
fn pass_routes(part: &mut Part<'_>) -> Option<()> {
    loop {
        let [family_high, family_low, _, len] = *part.take::<4>().ok()?;
        if (family_high, family_low, len) == (0, 0, 0) {
            return Some(());
        }
        part.data.get(usize::from(len)..)?;
        part.skip(len.into());
    }
}

fn words(bytes: &[u8; 4]) -> [u16; 2] {
    let [a, b, c, d] = *bytes;
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

fn words4(bytes: &[u8; 8]) -> [u32; 4] {
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]).into();
    [word(0), word(2), word(4), word(6)]
}
