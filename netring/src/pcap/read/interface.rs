//! Interface descriptions of pcapng, as they are needed to read packets.

use super::super::block::{END_OF_OPTIONS, IF_TSOFFSET, IF_TSRESOL};
use super::super::interface::{InterfaceDescription, MICROS};
use super::super::link::link_type;
use super::super::options::{Of, Options, split};
use super::super::order::ByteOrder;
use super::super::time::TickRate;
use crate::LinkType;

/// An interface of a section.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) link_type: LinkType,
    /// 0 if there is no limit.
    pub(super) snap_len: u32,
    pub(super) rate: TickRate,
    resolution: u8,
    /// What else was described; `None` if it was nothing.
    options: Option<Box<Options>>,
}

/// Bytes of an interface description before its options.
const BEFORE_OPTIONS: usize = 8;

impl Known {
    /// Reads the body of an interface description; `None` if it is too short. Adds the number of
    /// options that it had to ignore to `ignored`. Options that need more than `room` bytes are
    /// ignored too, and `room` is what is left.
    pub(super) fn parse(
        order: ByteOrder,
        body: &[u8],
        ignored: &mut u64,
        room: &mut usize,
    ) -> Option<Self> {
        let options = body.get(BEFORE_OPTIONS..)?;
        let found = Found::parse(order, options, ignored, room);
        let resolution = found.resolution.map_or(MICROS, u8::from_ne_bytes);
        let offset = found.offset.map_or(0, |bytes| order.i64(bytes));
        let kept = found.kept;
        Some(Self {
            link_type: link_type(order.u16(body, 0)?),
            snap_len: order.u32(body, 4)?,
            rate: TickRate::new(resolution, offset),
            resolution,
            options: (!kept.bytes().is_empty()).then(|| Box::new(kept)),
        })
    }

    pub(super) fn description(&self) -> InterfaceDescription {
        InterfaceDescription {
            link_type: self.link_type,
            snap_len: self.snap_len,
            resolution: self.resolution,
            offset: self.rate.offset(),
            options: self.options.as_deref().cloned().unwrap_or_default(),
        }
    }
}

/// The options of an interface.
#[derive(Default)]
struct Found {
    resolution: Option<[u8; 1]>,
    offset: Option<[u8; 8]>,
    kept: Options,
}

impl Found {
    /// An option that makes no sense does not end the file: it is ignored and counted. If an option
    /// is repeated, the first one applies, as in Wireshark.
    fn parse(order: ByteOrder, mut options: &[u8], ignored: &mut u64, room: &mut usize) -> Self {
        let mut found = Self::default();
        while !options.is_empty() {
            let Some((code, value, rest)) = split(order, options) else {
                // It runs past the end of the block.
                *ignored += 1;
                break;
            };
            let sound = match code {
                END_OF_OPTIONS => value.is_empty(),
                IF_TSRESOL => set(&mut found.resolution, value.try_into().ok()),
                IF_TSOFFSET => set(&mut found.offset, value.try_into().ok()),
                _ => found.kept.keep(order, Of::Interface, (code, value), room),
            };
            *ignored += u64::from(!sound);
            if code == END_OF_OPTIONS {
                break;
            }
            options = rest;
        }
        found
    }
}

/// Stores the value if there is one and the slot is free; returns whether it did.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let sound = slot.is_none() && value.is_some();
    if sound {
        *slot = value;
    }
    sound
}
