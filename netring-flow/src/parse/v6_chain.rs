//! The extension headers of IPv6, and lengths that the fixed header does not state.

use super::Part;
use crate::extract::Skip;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;

/// The minimum length of an extension header.
const SMALLEST: usize = 8;
/// The padding that brings a bare IPv6 header to the shortest Ethernet frame. It is too short for
/// any header.
const PADDING: usize = 6;
/// The largest length that the fixed header can state.
const LARGEST: usize = u16::MAX as usize;

/// The end of a chain of extension headers.
pub(super) struct Chain<'a> {
    /// The last known protocol.
    pub(super) protocol: u8,
    /// What follows the headers. It has no captured bytes if one of them is incomplete.
    pub(super) body: Part<'a>,
    /// The packet is the first of several fragments.
    pub(super) more: bool,
    /// Why the chain could not be followed to its end.
    pub(super) broken: Option<Broken>,
}

/// Why a chain could not be followed to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// A snap length cut off the end of a header.
    Cut,
    /// A header does not end within the packet.
    Malformed,
}

/// Whether another header follows that of this protocol.
pub(super) const fn is_extension(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION
    )
}

/// Follows the extension headers to the first protocol that is not an extension header.
#[inline]
pub(super) fn follow(protocol: u8, part: Part<'_>) -> Result<Chain<'_>, Skip> {
    if is_extension(protocol) {
        return walk(protocol, part);
    }
    Ok(Chain {
        protocol,
        body: part,
        more: false,
        broken: None,
    })
}

fn walk(protocol: u8, part: Part<'_>) -> Result<Chain<'_>, Skip> {
    let mut chain = Chain {
        protocol,
        body: part,
        more: false,
        broken: None,
    };
    loop {
        let header = chain.body.data;
        let len = match (chain.protocol, header.get(1)) {
            (FRAGMENT, _) => Some(8),
            // In units of 8 bytes, not counting the first.
            (HOP_BY_HOP | ROUTING | DESTINATION, Some(len)) => Some(8 + usize::from(*len) * 8),
            // In units of 4 bytes, not counting the first two.
            (AUTHENTICATION, Some(len)) => Some(8 + usize::from(*len) * 4),
            (HOP_BY_HOP | ROUTING | DESTINATION | AUTHENTICATION, None) => None,
            _ => return Ok(chain),
        };
        if chain.protocol == FRAGMENT
            && let Some(fragment) = header.first_chunk::<4>()
        {
            let (offset, more) = place(fragment);
            if offset != 0 {
                return Err(Skip::Fragment);
            }
            chain.more = more;
        }
        // Its first byte alone identifies the next header.
        let next = header.first().copied();
        chain.protocol = next.unwrap_or(chain.protocol);
        chain.broken = match len {
            _ if chain.body.wire < len.unwrap_or(SMALLEST) => Some(Broken::Malformed),
            Some(_) if next.is_some() => None,
            _ => Some(Broken::Cut),
        };
        if chain.broken.is_some() {
            chain.body = chain.body.behind(usize::MAX);
            return Ok(chain);
        }
        chain.body = chain.body.behind(len.unwrap_or(SMALLEST));
    }
}

/// The offset in bytes, and whether more fragments follow.
fn place(header: &[u8; 4]) -> (u32, bool) {
    let word = u16::from_be_bytes([header[2], header[3]]);
    (u32::from(word & 0xfff8), word & 1 != 0)
}

/// A fragment header that makes its packet a fragment.
pub(super) struct FragmentHeader<'a> {
    /// The next header in the packet that was fragmented.
    pub(super) protocol: u8,
    pub(super) offset: u32,
    pub(super) more: bool,
    pub(super) id: u32,
    pub(super) body: Part<'a>,
}

/// The fragment header in a chain; `None` if there is none, or it says that the packet is whole.
pub(super) fn fragment(protocol: u8, part: Part<'_>) -> Option<FragmentHeader<'_>> {
    let (mut protocol, mut body) = (protocol, part);
    loop {
        let header = body.data;
        let len = match protocol {
            FRAGMENT => {
                let (header, _) = header.split_first_chunk::<8>()?;
                let (offset, more) = place(header.first_chunk()?);
                let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                (protocol, body) = (header[0], body.behind(8));
                if offset == 0 && !more {
                    continue;
                }
                return Some(FragmentHeader {
                    protocol,
                    offset,
                    more,
                    id,
                    body,
                });
            }
            HOP_BY_HOP | ROUTING | DESTINATION => 8 + usize::from(*header.get(1)?) * 8,
            AUTHENTICATION => 8 + usize::from(*header.get(1)?) * 4,
            _ => return None,
        };
        protocol = header[0];
        body = body.behind(len);
    }
}

/// The length of what follows the fixed header if the header states 0, and whether 0 is valid.
///
/// Zero means more than the field can hold: a jumbogram, whose length is in an option (RFC 2675),
/// or a segment that a card has yet to split, which has the length of its frame.
#[cold]
pub(super) fn length_of_0(next: u8, rest: Part<'_>) -> (usize, bool) {
    match next {
        NO_NEXT_HEADER => (0, true),
        HOP_BY_HOP => jumbo(rest),
        _ if rest.wire <= PADDING => (0, true),
        _ => (rest.wire, true),
    }
}

/// The length in the jumbo option of a hop-by-hop header.
fn jumbo(rest: Part<'_>) -> (usize, bool) {
    const PAD_1: u8 = 0;
    const JUMBO: u8 = 0xc2;
    let header_len = rest
        .data
        .get(1)
        .map_or(SMALLEST, |len| 8 + usize::from(*len) * 8);
    let header = rest.up_to(header_len);
    let mut options = header.data.get(2..).unwrap_or_default();
    loop {
        options = match options {
            [PAD_1, rest @ ..] => rest,
            [JUMBO, 4, a, b, c, d, ..] => {
                let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                return (len, len > LARGEST);
            }
            [_, len, rest @ ..] if rest.len() >= usize::from(*len) => &rest[usize::from(*len)..],
            // The option may be in the part that was cut off.
            _ if header.data.len() < header.wire => return (rest.wire, true),
            _ => return (0, false),
        };
    }
}
