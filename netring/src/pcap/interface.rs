//! Interface descriptions of pcapng.

use super::link::link_type;
use super::order::ByteOrder;
use super::time::TickRate;
use crate::LinkType;

/// An interface of a section.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) link_type: LinkType,
    /// 0 if there is no limit.
    pub(super) snap_len: u32,
    pub(super) rate: TickRate,
}

// Codes of options.
const END_OF_OPTIONS: u16 = 0;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// Bytes of an interface description before its options.
const BEFORE_OPTIONS: usize = 8;

impl Interface {
    /// Reads the body of an interface description; `None` if it is too short. Adds the number of
    /// options that it had to ignore to `ignored`.
    pub(super) fn parse(order: ByteOrder, body: &[u8], ignored: &mut u64) -> Option<Self> {
        let options = body.get(BEFORE_OPTIONS..)?;
        Some(Self {
            link_type: link_type(order.u16(body, 0)?),
            snap_len: order.u32(body, 4)?,
            rate: rate(order, options, ignored),
        })
    }
}

/// The clock of an interface.
///
/// An option that makes no sense does not end the file: it is ignored and counted. If an option is
/// repeated, the first one applies, as in Wireshark.
fn rate(order: ByteOrder, mut options: &[u8], ignored: &mut u64) -> TickRate {
    let (mut resolution, mut offset) = (None, None);
    while !options.is_empty() {
        let Some((code, value, rest)) = split_option(order, options) else {
            // It runs past the end of the block.
            *ignored += 1;
            break;
        };
        let sound = match code {
            END_OF_OPTIONS => value.is_empty(),
            IF_TSRESOL => set(&mut resolution, value.try_into().ok()),
            IF_TSOFFSET => set(&mut offset, value.try_into().ok()),
            _ => true,
        };
        *ignored += u64::from(!sound);
        if code == END_OF_OPTIONS {
            break;
        }
        options = rest;
    }
    let resolution = resolution.map_or(6, u8::from_ne_bytes);
    let offset = offset.map_or(0, |bytes| order.i64(bytes));
    TickRate::new(resolution, offset)
}

/// Returns the code and the value of the first option, and the bytes after it.
fn split_option(order: ByteOrder, options: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    const HEADER: usize = 4;
    let (code, len) = (order.u16(options, 0)?, order.u16(options, 2)?);
    let (value, _) = options.get(HEADER..)?.split_at_checked(len.into())?;
    // An option without its padding can only be the last.
    let rest = options.get(HEADER + value.len().next_multiple_of(4)..);
    Some((code, value, rest.unwrap_or_default()))
}

/// Stores the value if there is one and the slot is free; returns whether it did.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let sound = slot.is_none() && value.is_some();
    if sound {
        *slot = value;
    }
    sound
}
