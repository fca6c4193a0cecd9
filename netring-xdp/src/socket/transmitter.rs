//! The sending half of a socket: chunks that the caller holds, frames that are written in place,
//! and slots.

use std::os::fd::{AsFd, BorrowedFd};

use netring_sys::Error;
use netring_sys::kernel::xdp::XDP_PKT_CONTD;

use super::chunk::Chunk;
use super::rx::OwnedChunk;
use super::tx::{TxHalf, sending_half};
use crate::memory::umem::Umem;

/// The sending half of a socket.
#[derive(Debug)]
pub struct Transmitter<'umem> {
    half: TxHalf,
    umem: Umem<'umem>,
}

/// Why a chunk was not sent, and the chunk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent<'umem> {
    /// The transmit ring is full: flush, and try again.
    #[error("the transmit ring is full")]
    Full(Chunk<'umem>),
    /// The kernel would neither send nor return it: see [`Chunk::set_range`].
    #[error("the packet is not inside its chunk")]
    Refused(Chunk<'umem>),
    /// A request with the packet is not possible: the error says why.
    #[error("{1}")]
    Request(Chunk<'umem>, #[source] Error),
}

impl<'umem> Transmitter<'umem> {
    pub(super) const fn new(half: TxHalf, umem: Umem<'umem>) -> Self {
        Self { half, umem }
    }

    #[inline]
    pub(super) const fn half_mut(&mut self) -> &mut TxHalf {
        &mut self.half
    }

    /// How many packets of one chunk can be [forwarded](super::Received::forward) to this half now,
    /// counted up to `wanted`. Frames sent from its own chunks also need free chunks:
    /// [`room`](netring_sys::PacketSink::room).
    #[inline]
    pub fn forward_room(&mut self, wanted: u32) -> u32 {
        self.half.ring_room(wanted)
    }

    /// Takes a free chunk to send from, with a packet of the greatest length; `None` if none is
    /// free.
    pub fn take(&mut self) -> Option<Chunk<'umem>> {
        let token = self.half.take()?;
        let geometry = self.umem.shared().geometry();
        let (offset, len) = (geometry.front(), geometry.transmit_room());
        Some(Chunk::new(self.umem.shared(), token, offset, len, false))
    }

    /// Sends up to `most` frames from free chunks: for each, `write` gets the bytes of a chunk,
    /// writes the frame and returns its length. Returns how many were committed, which is fewer if
    /// the ring or the chunks run out. They are sent by [`flush`](netring_sys::PacketSink::flush).
    ///
    /// This is the fastest way to send, because the work that
    /// [`slot`](netring_sys::PacketSink::slot) does for each frame is done once for all of them.
    /// Before `write`, a chunk holds old data.
    ///
    /// # Errors
    /// [`Error::FrameLength`] if `write` returns 0, or more than the chunk holds; the frames before
    /// that one are committed.
    #[inline]
    pub fn send_each(
        &mut self,
        most: usize,
        write: impl FnMut(&mut [u8]) -> usize,
    ) -> Result<usize, Error> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        match self.half.write_each(most, write) {
            (count, None) => Ok(count as usize),
            (_, Some(len)) => Err(self.half.refuse_len(len)),
        }
    }

    /// Sends a chunk: one from [`take`](Self::take), or one that was received. It is sent by
    /// [`flush`](netring_sys::PacketSink::flush).
    ///
    /// # Errors
    /// The chunk, with the reason.
    pub fn send(&mut self, chunk: Chunk<'umem>) -> Result<(), NotSent<'umem>> {
        if let Err(error) = chunk
            .request()
            .check(self.half.offloads(), chunk.len(), true)
        {
            return Err(NotSent::Request(chunk, error));
        }
        self.send_with(chunk, 0)
    }

    /// Sends a packet that spans several chunks (kernel 6.6,
    /// [`SocketBuilder::multi_buffer`](crate::SocketBuilder::multi_buffer)): all of them, which
    /// leaves the vector empty, or none. Returns false if the transmit ring has no room for all of
    /// them now, or there are none; the chunks then stay in the vector.
    ///
    /// # Errors
    /// [`Error::FramePieces`] for more chunks than a packet may have: 18, not more than the
    /// transmit or the completion ring has entries, and one on a socket that was opened without
    /// multi-buffer. [`Error::Request`] for a request that is not possible, or that is made of
    /// another chunk than the first. [`Error::FrameLength`] for an empty chunk. The chunks stay in
    /// the vector.
    pub fn send_chain(&mut self, chunks: &mut Vec<Chunk<'umem>>) -> Result<bool, Error> {
        let (count, max) = (chunks.len(), self.half.max_pieces());
        if count > max as usize {
            return Err(Error::FramePieces {
                count,
                max: max as usize,
            });
        }
        let count = count as u32;
        if count == 0 || self.half.ring_room(count) < count {
            return Ok(false);
        }
        let offloads = self.half.offloads();
        for (n, chunk) in chunks.iter().enumerate() {
            if n > 0 && !chunk.request().is_none() {
                return Err(Error::Request {
                    request: "chunk",
                    why: "requests for a packet are made with its first chunk".into(),
                });
            }
            chunk.request().check(offloads, chunk.len(), count == 1)?;
        }
        if let Some(bad) = chunks.iter().find(|chunk| chunk.is_empty()) {
            return Err(Error::FrameLength {
                len: bad.len(),
                max: bad.capacity(),
            });
        }
        for (n, chunk) in chunks.drain(..).enumerate() {
            let options = if n as u32 + 1 < count {
                XDP_PKT_CONTD
            } else {
                0
            };
            let sent = self.send_with(chunk, options);
            debug_assert!(
                sent.is_ok(),
                "there is room, and a packet is inside its chunk"
            );
        }
        Ok(true)
    }

    fn send_with(&mut self, chunk: Chunk<'umem>, options: u32) -> Result<(), NotSent<'umem>> {
        if self.half.ring_room(1) == 0 {
            return Err(NotSent::Full(chunk));
        }
        let request = *chunk.request();
        let Some(parts) = chunk.into_parts() else {
            return Ok(());
        };
        self.half
            .stage_token(parts.token, parts.offset, parts.len, options, &request)
            .map_err(|token| {
                let parts = OwnedChunk { token, ..parts };
                let chunk = Chunk::received(self.umem.shared(), parts);
                NotSent::Refused(chunk.with_request(request))
            })
    }
}

sending_half!(Transmitter<'_>);

/// Writable while at least half of the transmit ring is free.
impl AsFd for Transmitter<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.half.socket().fd()
    }
}
