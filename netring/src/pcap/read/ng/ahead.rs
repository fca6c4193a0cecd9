//! The time for packets at the start of a file that have none.

use super::super::super::block::{ENHANCED_PACKET, OBSOLETE_PACKET};
use super::super::place::Step;
use super::Ng;

/// How far to look ahead, in bytes.
const LOOK_AHEAD: usize = 256 * 1024;

/// Looks for the first packet that has a time, within the bytes that are available.
///
/// The result depends on the file only, not on how much of it was read at a time.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    walk: Ng,
    /// Bytes from the block that needs the time to the next block to look at.
    at: usize,
}

impl Ahead {
    /// Starts at the block that `walk` is at.
    pub(super) fn of(walk: &Ng) -> Self {
        Self {
            walk: walk.clone(),
            at: 0,
        }
    }

    /// Returns the time, or the epoch if none is near enough. The error is the number of bytes
    /// needed to continue. `bytes` begin where they did in the previous call; `whole` if the file
    /// ends with them.
    pub(super) fn time(&mut self, bytes: &[u8], whole: bool) -> Result<i64, usize> {
        let window = &bytes[..bytes.len().min(LOOK_AHEAD)];
        loop {
            let block = match self.walk.block(&window[self.at..]) {
                Ok(block) => block,
                Err(Step::Short(needed)) if !whole && window.len() < LOOK_AHEAD => {
                    return Err((self.at + needed).min(LOOK_AHEAD));
                }
                Err(_) => return Ok(0),
            };
            let found = match block.kind {
                ENHANCED_PACKET => self.walk.enhanced_packet(block.body).map(Some),
                OBSOLETE_PACKET => self.walk.obsolete_packet(block.body).map(Some),
                _ => self.walk.describe(&block).map(|()| None),
            };
            match found {
                Ok(Some(record)) => return Ok(record.time),
                Ok(None) => self.at += block.total,
                Err(_) => return Ok(0),
            }
        }
    }
}
