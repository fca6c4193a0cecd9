//! The bytes of one end of a connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use netring_flow::reassembly::{Side, StreamEnd};
use netring_sys::Timestamp;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop;

use super::buffer::{Buffer, Kind, Shared};

/// The bytes that one end of a connection sends, in order: part of a
/// [`Conversation`](crate::Conversation).
///
/// [`next_chunk`](Self::next_chunk) yields the bytes with their times, and the gaps. With
/// [`AsyncRead`] it is a plain stream of bytes:
/// - at a gap, a read fails once, with an error of the kind
///   [`InvalidData`](io::ErrorKind::InvalidData) around [`MissingBytes`]; the next read continues
///   behind the gap;
/// - a stream that was finished by its sender ends. If it ended otherwise, a read fails once before
///   the end: with [`ConnectionReset`](io::ErrorKind::ConnectionReset) or
///   [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), around [`UnfinishedStream`].
///
/// A wait can be cancelled without losing a byte. The reader may be on any thread and in any
/// runtime, or in none.
#[derive(Debug)]
pub struct ConversationHalf {
    shared: Arc<Shared>,
    side: Side,
    /// Taken from the other side of the buffer.
    taken: Buffer,
    /// The item that is read next.
    item: usize,
    /// The bytes that are read next.
    next: usize,
    /// Bytes of the item that were read.
    read: usize,
    /// An end without a FIN was reported to the reader of plain bytes.
    told_end: bool,
}

/// The next part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// Bytes of one segment.
    Data {
        /// The bytes, at least one.
        bytes: &'a [u8],
        /// When they were captured.
        time: Timestamp,
        /// The offset of the first in the stream: all bytes count that the sender sent before.
        offset: u64,
    },
    /// Bytes are missing.
    Gap {
        /// How many.
        missing: u64,
        /// How many of them were captured, and lost because the
        /// [buffer](crate::ConversationConfig::buffer) was full.
        overrun: u64,
        /// When the gap was detected.
        time: Timestamp,
        /// The offset of the first in the stream.
        offset: u64,
    },
    /// The stream has ended, for this reason. Nothing follows; further calls return it again.
    End(StreamEnd),
}

/// Bytes of a stream are missing: the cause of the error of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{missing} bytes are missing at offset {offset}: {overrun} of them were captured, \
     but lost because they were not read in time"
)]
#[non_exhaustive]
pub struct MissingBytes {
    /// How many.
    pub missing: u64,
    /// How many of them were captured, and lost because the buffer was full.
    pub overrun: u64,
    /// The offset of the first in the stream.
    pub offset: u64,
}

/// A stream ended before its sender finished it: the cause of the error of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream ended before its sender finished it: {reason}")]
#[non_exhaustive]
pub struct UnfinishedStream {
    /// Why it ended.
    pub reason: StreamEnd,
}

impl ConversationHalf {
    pub(super) fn new(shared: Arc<Shared>, side: Side) -> Self {
        Self {
            shared,
            side,
            taken: Buffer::default(),
            item: 0,
            next: 0,
            read: 0,
            told_end: false,
        }
    }

    /// Which end sends it.
    pub const fn side(&self) -> Side {
        self.side
    }

    /// Waits for the next bytes, the next gap, or the end. Bytes are lent from the buffer. Can be
    /// cancelled at any moment without losing anything.
    ///
    /// ```
    /// # async fn example(mut half: netring_async::ConversationHalf) {
    /// use netring_async::Chunk;
    ///
    /// loop {
    ///     match half.next_chunk().await {
    ///         Chunk::Data { bytes, time, .. } => println!("{time} {}", bytes.escape_ascii()),
    ///         Chunk::Gap { missing, .. } => println!("{missing} bytes are missing"),
    ///         Chunk::End(reason) => break println!("{reason}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn next_chunk(&mut self) -> Chunk<'_> {
        match poll_fn(|cx| self.poll_item(cx)).await {
            Some(end) => Chunk::End(end),
            None => self.take_chunk(usize::MAX),
        }
    }

    /// Ready with an item to read, or with the reason of the end.
    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<StreamEnd>> {
        if self.item < self.taken.items.len() {
            return Poll::Ready(None);
        }
        // A reader that always finds something lets others run.
        let budget = ready!(coop::poll_proceed(cx));
        self.taken.clear();
        (self.item, self.next) = (0, 0);
        let half = self.side as usize;
        let end = ready!(self.shared.poll_take(half, cx, &mut self.taken));
        budget.made_progress();
        Poll::Ready(end)
    }

    /// Takes the next item, or at most `max` bytes of it.
    fn take_chunk(&mut self, max: usize) -> Chunk<'_> {
        let item = self.taken.items[self.item];
        match item.kind {
            Kind::Data(len) => {
                let count = max.min(len - self.read);
                let offset = item.offset + self.read as u64;
                let bytes = &self.taken.bytes[self.next..self.next + count];
                self.next += count;
                self.read += count;
                if self.read == len {
                    (self.item, self.read) = (self.item + 1, 0);
                }
                Chunk::Data {
                    bytes,
                    time: item.time,
                    offset,
                }
            }
            Kind::Gap { missing, overrun } => {
                self.item += 1;
                Chunk::Gap {
                    missing,
                    overrun,
                    time: item.time,
                    offset: item.offset,
                }
            }
        }
    }

    /// Whether the next item that was taken is data.
    fn has_data(&self) -> bool {
        matches!(
            self.taken.items.get(self.item),
            Some(item) if matches!(item.kind, Kind::Data(_))
        )
    }

    /// The end for a reader of plain bytes.
    fn read_end(&mut self, reason: StreamEnd) -> io::Result<()> {
        if reason == StreamEnd::Finished || std::mem::replace(&mut self.told_end, true) {
            return Ok(());
        }
        let kind = match reason {
            StreamEnd::Reset => io::ErrorKind::ConnectionReset,
            _ => io::ErrorKind::UnexpectedEof,
        };
        Err(io::Error::new(kind, UnfinishedStream { reason }))
    }
}

impl AsyncRead for ConversationHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = ready!(this.poll_item(cx)) {
            return Poll::Ready(this.read_end(reason));
        }
        if !this.has_data()
            && let Chunk::Gap {
                missing,
                overrun,
                offset,
                ..
            } = this.take_chunk(0)
        {
            let missing = MissingBytes {
                missing,
                overrun,
                offset,
            };
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, missing)));
        }
        while buf.remaining() > 0 && this.has_data() {
            if let Chunk::Data { bytes, .. } = this.take_chunk(buf.remaining()) {
                buf.put_slice(bytes);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for ConversationHalf {
    fn drop(&mut self) {
        self.shared.drop_reader(self.side as usize);
    }
}
