//! The slow path of a frame: in several chunks, not from the start of its chunk, or with a request.
#![deny(unsafe_code)]

use netring_sys::kernel::xdp::{XDP_PKT_CONTD, XDP_TX_METADATA, xdp_desc};
use netring_sys::{TimestampStats, TransmitTimestamps};

use super::in_flight::InFlight;
use super::{Request, TxHalf};
use crate::memory::geometry::{ByteRange, ChunkIndex};
use crate::memory::token::ChunkToken;

impl TxHalf {
    /// Stages `len` bytes of a chunk from `offset` on, with a request. Returns the token if the
    /// kernel would refuse the descriptor, or the ring is full.
    pub(crate) fn stage_token(
        &mut self,
        mut token: ChunkToken,
        offset: u32,
        len: u32,
        options: u32,
        request: &Request,
    ) -> Result<(), ChunkToken> {
        let geometry = self.shared.geometry();
        let span = ByteRange {
            chunk: token.chunk(),
            start: geometry.base(token.chunk()) + u64::from(offset),
            len,
        };
        let asks = if request.is_none() {
            0
        } else {
            XDP_TX_METADATA
        };
        let desc = xdp_desc {
            addr: geometry.transmit_addr(&span),
            len,
            options: options | asks,
        };
        let front = geometry.front();
        // The kernel does not check where an unaligned chunk starts: the bytes before the frame
        // could be the end of another chunk.
        let inside = (front..=geometry.chunk_size()).contains(&offset)
            && len <= geometry.chunk_size() - offset;
        if !inside || !geometry.takes_transmit(&desc) || self.tx.room(1) == 0 {
            return Err(token);
        }
        if front > 0 {
            // Also if nothing is requested: some drivers read the words all the same.
            let words = self
                .shared
                .region()
                .bytes_mut(&mut token, offset - front, front);
            words.copy_from_slice(&request.words());
        }
        let words = ByteRange {
            start: span.start - u64::from(front),
            len: front,
            ..span
        };
        let chunk = token.chunk();
        if !self.pool.range().contains(&chunk) {
            self.foreign.sends_one(chunk);
        }
        self.note_sent(&desc, chunk, Some((words, request)));
        token.into_ring();
        self.stage(desc);
        self.publish_count();
        Ok(())
    }

    /// Stages a frame of `len` bytes on the slow path, for which there is room: from the scratch if
    /// it does not fit a chunk, otherwise from the pool's next chunk.
    pub(crate) fn stage_slot(&mut self, len: u32) {
        let (front, room) = (
            self.shared.geometry().front(),
            self.shared.geometry().transmit_room(),
        );
        let shared = self.shared.clone();
        let mut at = 0;
        while at < len {
            let piece = room.min(len - at);
            let Some(mut token) = self.pool.pop() else {
                debug_assert!(false, "the caller checked for room");
                return;
            };
            if len > room {
                let from = self.features.scratch.get(at as usize..).unwrap_or_default();
                let bytes = shared.region().bytes_mut(&mut token, front, piece);
                bytes.copy_from_slice(&from[..piece as usize]);
            }
            let request = if at == 0 {
                self.features.request
            } else {
                Request::NONE
            };
            at += piece;
            let options = if at < len { XDP_PKT_CONTD } else { 0 };
            if let Err(token) = self.stage_token(token, front, piece, options, &request) {
                debug_assert!(false, "there is room, and it was checked");
                self.pool.push(token);
            }
        }
    }

    /// How many chunks a frame of this length takes.
    pub(crate) fn pieces(&self, len: usize) -> u32 {
        len.div_ceil(self.shared.geometry().transmit_room() as usize) as u32
    }

    /// Whether a frame in this many chunks can be committed now.
    pub(crate) fn has_room(&mut self, pieces: u32) -> bool {
        if self.pool.len().min(self.tx.room(pieces)) < pieces {
            self.reclaim();
        }
        self.pool.len().min(self.tx.room(pieces)) >= pieces
    }

    /// Notes the data needed when a chunk is completed.
    pub(crate) fn note_sent(
        &mut self,
        desc: &xdp_desc,
        chunk: ChunkIndex,
        asked: Option<(ByteRange, &Request)>,
    ) {
        if let Some(in_flight) = &mut self.features.in_flight {
            in_flight.sent(chunk, desc.options & XDP_PKT_CONTD != 0, asked);
        }
    }

    /// As [`write_each`](Self::write_each), if a frame does not start with its chunk.
    #[cold]
    pub(super) fn write_each_slowly(
        &mut self,
        most: u32,
        mut write: impl FnMut(&mut [u8]) -> usize,
    ) -> (u32, Option<usize>) {
        let shared = self.shared.clone();
        let (front, room) = (shared.geometry().front(), shared.geometry().transmit_room());
        self.features.request = Request::NONE;
        let mut count = 0;
        while count < most && self.has_room(1) {
            let Some(token) = self.pool.next_mut() else {
                break;
            };
            let len = write(shared.region().bytes_mut(token, front, room));
            if len == 0 || len > room as usize {
                return (count, Some(len));
            }
            self.stage_slot(len as u32);
            count += 1;
        }
        (count, None)
    }

    pub(crate) fn transmit_timestamps(&mut self) -> TransmitTimestamps<'_> {
        self.reclaim();
        let in_flight = self.features.in_flight.as_mut();
        TransmitTimestamps::new(in_flight.map(InFlight::timestamps_mut))
    }

    pub(crate) fn timestamp_stats(&mut self) -> TimestampStats {
        self.reclaim();
        let in_flight = self.features.in_flight.as_ref();
        in_flight.map_or_else(TimestampStats::default, |all| all.timestamps().stats())
    }
}
