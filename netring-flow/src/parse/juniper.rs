//! The header that Juniper's routers put before each frame of a capture.

use super::link::Step;
use super::{Layer, Part, be16};
use crate::extract::Skip;

const MAGIC: [u8; 3] = *b"MGC";
/// Only the packet is there, behind its protocol in four bytes.
const NO_LINK_LAYER: u8 = 0x02;
/// Two bytes with the length of extensions follow.
const EXTENDED: u8 = 0x80;

/// The header, before a frame of this layer.
pub(super) fn header(part: &mut Part<'_>, frame: Layer) -> Step {
    let [magic @ .., flags] = *part.take::<4>()?;
    if magic != MAGIC {
        return Err(Skip::NotIp);
    }
    if flags & EXTENDED != 0 {
        let extensions = be16(part.data, 0).ok_or(Skip::Short)?;
        let len = 2 + usize::from(extensions);
        part.data.get(len..).ok_or(Skip::Short)?;
        part.skip(len);
    }
    if flags & NO_LINK_LAYER == 0 {
        return Ok(frame);
    }
    part.take::<4>()?;
    Ok(Layer::Ip)
}
