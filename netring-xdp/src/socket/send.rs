//! Chunks are sent, one for a packet or several.

use netring_sys::Error;
use netring_sys::kernel::xdp::XDP_PKT_CONTD;

use super::{NotSent, Transmitter};
use crate::socket::chunk::Chunk;
use crate::socket::rx::OwnedChunk;

impl<'umem> Transmitter<'umem> {
    /// Sends a chunk: one of [`take`](Self::take), or one that was received. It is on its way after
    /// [`flush`](netring_sys::PacketSink::flush).
    ///
    /// # Errors
    /// The chunk comes back with the reason.
    pub fn send(&mut self, chunk: Chunk<'umem>) -> Result<(), NotSent<'umem>> {
        if let Err(error) = chunk
            .request()
            .check(&self.half.features.offloads, chunk.len(), true)
        {
            return Err(NotSent::Request(chunk, error));
        }
        self.send_with(chunk, 0)
    }

    /// Sends a packet that lies in several chunks, all of them or none (kernel 6.6,
    /// [`SocketBuilder::multi_buffer`](crate::SocketBuilder::multi_buffer)): the vector is empty
    /// then. False where the transmit ring has no room for all of them now, or there are none; the
    /// chunks stay where they are.
    ///
    /// # Errors
    /// [`Error::FramePieces`] for more chunks than one packet may have: 18, no more than the
    /// transmit or the completion ring has entries, and one on a socket that was not opened
    /// with multi-buffer. [`Error::Request`] for what cannot be asked for, or is asked of another
    /// chunk than the first. The chunks stay where they are.
    pub fn send_chain(&mut self, chunks: &mut Vec<Chunk<'umem>>) -> Result<bool, Error> {
        let (count, max) = (chunks.len(), self.half.max_pieces);
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
        let offloads = &self.half.features.offloads;
        for (n, chunk) in chunks.iter().enumerate() {
            if n > 0 && !chunk.request().is_none() {
                return Err(Error::Request {
                    request: "chunk",
                    why: "what is asked for with a packet is asked of its first chunk".into(),
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
                "there is room, and chunks hold what is in them"
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
