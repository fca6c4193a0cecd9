//! The time for packets without one that begin a file.

use super::super::record::Step;
use super::{ENHANCED_PACKET, Ng, OBSOLETE_PACKET};

/// How far to look for it, in bytes.
const LOOK_AHEAD: usize = 256 * 1024;

/// Looks for the first packet that has a time, as far as the bytes that are there go.
///
/// What it finds depends on the file only, and not on how much of it was read at a time.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    walk: Ng,
    /// Bytes from the block that needs the time to the next one to look at.
    at: usize,
}

impl Ahead {
    /// Begins at the block where this walk stands.
    pub(super) fn of(walk: &Ng) -> Self {
        Self {
            walk: walk.clone(),
            at: 0,
        }
    }

    /// The time, or the epoch if there is none near enough; otherwise how many bytes it takes to go on. The bytes begin where
    /// they did in the call before; `whole` if the file ends with them.
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
