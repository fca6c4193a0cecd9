//! A chunk held by the user.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use netring_sys::Error;

use crate::memory::token::ChunkToken;
use crate::memory::umem::{Brand, Shared};
use crate::program::Metadata;
use crate::socket::rx::OwnedChunk;
use crate::socket::tx::{Request, not_opened};

/// A chunk of a UMEM that nobody else holds, and the bytes of a packet in it.
///
/// It comes from a receiving half ([`Received::take`](crate::Received::take)) or a sending half
/// ([`Transmitter::take`](crate::Transmitter::take)), and goes into a transmit ring
/// ([`Transmitter::send`](crate::Transmitter::send)), which consumes it: sending it twice, or
/// touching it afterwards, does not compile. If it is dropped, it returns to the half that it came
/// from.
pub struct Chunk<'umem> {
    shared: &'umem Arc<Shared>,
    /// `None` once the chunk has left.
    token: Option<ChunkToken>,
    offset: u32,
    len: u32,
    continues: bool,
    request: Request,
    /// Where the received packet started, if metadata may precede it.
    described: Option<NonZeroU32>,
    _brand: Brand<'umem>,
}

impl<'umem> Chunk<'umem> {
    /// A chunk that came out of a receive ring.
    pub(crate) fn received(shared: &'umem Arc<Shared>, taken: OwnedChunk) -> Self {
        let mut chunk = Self::new(
            shared,
            taken.token,
            taken.offset,
            taken.len,
            taken.continues,
        );
        chunk.described = taken.described;
        chunk
    }

    pub(crate) fn new(
        shared: &'umem Arc<Shared>,
        token: ChunkToken,
        offset: u32,
        len: u32,
        continues: bool,
    ) -> Self {
        // Relaxed, with no partner: a count.
        shared.user.fetch_add(1, Ordering::Relaxed);
        Self {
            shared,
            token: Some(token),
            offset,
            len,
            continues,
            request: Request::NONE,
            described: None,
            _brand: std::marker::PhantomData,
        }
    }

    pub(crate) fn with_request(mut self, request: Request) -> Self {
        self.request = request;
        self
    }

    /// Bytes of the whole chunk, of which the packet is part.
    pub fn capacity(&self) -> usize {
        self.shared.geometry().chunk_size() as usize
    }

    /// Where in the chunk the packet is.
    pub const fn range(&self) -> Range<usize> {
        self.offset as usize..self.offset as usize + self.len as usize
    }

    /// Sets where in the chunk the packet is: more at the front to prepend a header, less at the
    /// end to cut it.
    ///
    /// # Errors
    /// [`Error::FrameLength`] for a range that is empty or not inside the chunk; [`Error::Request`]
    /// for one that starts in the bytes that belong to the kernel with
    /// [`UmemConfig::transmit_metadata`](crate::UmemConfig::transmit_metadata). Nothing changes
    /// then.
    pub fn set_range(&mut self, range: Range<usize>) -> Result<(), Error> {
        let (max, front) = (self.capacity(), self.shared.geometry().front());
        if range.start >= range.end || range.end > max {
            let len = range.end.saturating_sub(range.start);
            return Err(Error::FrameLength { len, max });
        }
        if range.start < front as usize {
            return Err(Error::Request {
                request: "range",
                why: format!(
                    "with `transmit_metadata` a packet starts at byte {front} of its chunk or later"
                ),
            });
        }
        self.offset = range.start as u32;
        self.len = (range.end - range.start) as u32;
        Ok(())
    }

    /// Sets the length of the packet, and keeps its start.
    ///
    /// # Errors
    /// Those of [`set_range`](Self::set_range).
    pub fn set_len(&mut self, len: usize) -> Result<(), Error> {
        let start = self.offset as usize;
        self.set_range(start..start.saturating_add(len))
    }

    /// Whether the packet continues in the chunk that was taken after this one.
    pub const fn continues(&self) -> bool {
        self.continues
    }

    /// Requests a checksum for the packet in this chunk, as
    /// [`Slot::request_checksum`](crate::Slot::request_checksum) does. The request is checked again
    /// when the chunk is sent, because its range may change.
    ///
    /// # Errors
    /// [`Error::Request`] if the socket was opened without `transmit_metadata`, or the two bytes
    /// are not inside the packet. If the driver does not support it,
    /// [`Transmitter::send`](crate::Transmitter::send) returns the error.
    pub fn request_checksum(&mut self, start: usize, offset: usize) -> Result<(), Error> {
        if self.shared.geometry().front() == 0 {
            return Err(not_opened("checksum"));
        }
        self.request.set_checksum(start, offset, self.len as usize)
    }

    /// Requests a transmit timestamp, as
    /// [`Slot::request_timestamp`](crate::Slot::request_timestamp) does.
    ///
    /// # Errors
    /// [`Error::Request`] if the socket was opened without `transmit_metadata`. If the driver does
    /// not support it, [`Transmitter::send`](crate::Transmitter::send) returns the error.
    pub fn request_timestamp(&mut self, id: u64) -> Result<(), Error> {
        if self.shared.geometry().front() == 0 {
            return Err(not_opened("timestamp"));
        }
        self.request.timestamp = Some(id);
        Ok(())
    }

    pub(crate) const fn request(&self) -> &Request {
        &self.request
    }

    /// The driver's metadata of the packet that was received in it, if the socket reads that
    /// ([`SocketBuilder::metadata`](crate::SocketBuilder::metadata)).
    ///
    /// It is in the bytes before the received packet: read it before you write a header there.
    pub fn metadata(&self) -> Option<Metadata> {
        let before = self.described?.get().checked_sub(Metadata::LEN as u32)?;
        let token = self.token.as_ref()?;
        let bytes = self
            .shared
            .region()
            .bytes(token, before, Metadata::LEN as u32);
        Metadata::read(bytes.first_chunk()?)
    }

    /// Takes it apart: the chunk has no owner until the token is placed.
    pub(crate) fn into_parts(mut self) -> Option<OwnedChunk> {
        let token = self.token.take()?;
        // Relaxed, with no partner: a count.
        self.shared.user.fetch_sub(1, Ordering::Relaxed);
        Some(OwnedChunk {
            token,
            offset: self.offset,
            len: self.len,
            continues: self.continues,
            described: self.described,
        })
    }
}

impl Deref for Chunk<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.token.as_ref().map_or(&[], |token| {
            self.shared.region().bytes(token, self.offset, self.len)
        })
    }
}

impl DerefMut for Chunk<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.token {
            Some(token) => self.shared.region().bytes_mut(token, self.offset, self.len),
            None => &mut [],
        }
    }
}

impl Drop for Chunk<'_> {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            // Relaxed, with no partner: a count.
            self.shared.user.fetch_sub(1, Ordering::Relaxed);
            self.shared.return_to_owner(std::iter::once(token));
        }
    }
}

impl fmt::Debug for Chunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("number", &self.token.as_ref().map(ChunkToken::chunk))
            .field("range", &self.range())
            .field("continues", &self.continues)
            .finish_non_exhaustive()
    }
}
