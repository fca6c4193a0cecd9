//! The log of Linux netfilter: attributes (`NFULA_*`), one of which is the packet.

use super::{Layer, Part};
use crate::extract::Skip;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const NFULA_PAYLOAD: u16 = 9;
/// Two bits of a type describe its value and are not part of the number.
const TYPE_MASK: u16 = 0x3fff;

/// The IP packet; the length that the kernel logged counts as the wire's.
pub(super) fn payload(part: &mut Part<'_>) -> Result<Layer, Skip> {
    let layer = match *part.data.first().ok_or(Skip::Short)? {
        AF_INET => Layer::V4,
        AF_INET6 => Layer::V6,
        _ => return Err(Skip::NotIp),
    };
    let mut rest = part.behind(4);
    // Lengths and types are in the byte order of the logging machine, which is not recorded. Types
    // are below 256.
    let word = match rest.data.get(2) {
        Some(0) => u16::from_be_bytes,
        _ => u16::from_le_bytes,
    };
    while !rest.data.is_empty() {
        let header = rest.data.first_chunk::<4>().ok_or(Skip::Short)?;
        let len = usize::from(word([header[0], header[1]]));
        if len < 4 {
            return Err(Skip::NotIp);
        }
        if word([header[2], header[3]]) & TYPE_MASK == NFULA_PAYLOAD {
            *part = rest.up_to(len).behind(4);
            return Ok(layer);
        }
        if rest.data.len() < len {
            return Err(Skip::Short);
        }
        rest = rest.behind(len.next_multiple_of(4));
    }
    Err(Skip::NotIp)
}
