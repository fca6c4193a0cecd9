//! The security tag of MACsec (IEEE 802.1AE), of frames that are not encrypted.

use super::Part;
use super::link::{self, Step};
use crate::extract::Skip;

const VERSION: u8 = 0x80;
/// An identifier of the channel, of eight bytes, is there.
const CHANNEL: u8 = 0x20;
const ENCRYPTED: u8 = 0x08;
/// The bytes are not those of the frame, although they are not encrypted.
const CHANGED: u8 = 0x04;
/// The lower bits of the short length.
const SHORT_LENGTH: u8 = 0x3f;
/// Bytes of the check value at the end, with every cipher that the standard has.
const CHECK_VALUE: usize = 16;

/// Takes off the tag, and the check value.
pub(super) fn tag(part: &mut Part<'_>) -> Step {
    let [control, short, ..] = *part.take::<6>()?;
    if control & (VERSION | ENCRYPTED | CHANGED) != 0 {
        return Err(Skip::NotIp);
    }
    if control & CHANNEL != 0 {
        part.take::<8>()?;
    }
    // A short frame gives its length, as padding follows the check value.
    let len = match usize::from(short & SHORT_LENGTH) {
        0 => part.wire.saturating_sub(CHECK_VALUE),
        len => len,
    };
    *part = part.up_to(len);
    link::above(u16::from_be_bytes(*part.take()?))
}
