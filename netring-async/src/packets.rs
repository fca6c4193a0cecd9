//! A stream of packets, as copies.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_sys::{Error, Packet, PacketBatch, PacketBuf, PacketSource, Stats};

use crate::AsyncSource;

/// A stream of owned packets, from [`AsyncSource::packets`].
///
/// It ends after the first error and at the end of the source. A link that goes down is neither:
/// [`Stats::link_downs`] counts it.
///
/// The packets of a batch are copied at once, and the batch is returned before the first of them is
/// yielded: no batch is held while the stream waits. So the stream queues at most one batch: a
/// block of the ring, by default 4 MiB. Cancelling `next()` loses nothing. Dropping the stream
/// drops its queue and its source; [`into_parts`](Self::into_parts) keeps both.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::AsyncSource;
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
///
/// let mut packets = AsyncSource::new(capture)?.packets();
/// while let Some(packet) = packets.next().await {
///     println!("{} bytes", packet?.data().len());
/// }
/// # Ok(())
/// # }
/// ```
pub struct PacketStream<S, T = PacketBuf, F = fn(Packet<'_>) -> Option<T>> {
    source: AsyncSource<S>,
    keep: F,
    queue: VecDeque<T>,
    done: bool,
}

impl<S: PacketSource> AsyncSource<S> {
    /// Copies the packets, one by one.
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// # async fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) -> Result<(), netring_sys::Error> {
    ///
    /// let mut packets = source.packets();
    /// while let Some(packet) = packets.next().await {
    ///     println!("{} bytes", packet?.wire_len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn packets(self) -> PacketStream<S> {
        PacketStream::new(self, |packet| Some(packet.to_buf()))
    }

    /// Yields what `keep` returns for each packet, skipping those for which it returns `None`, so
    /// only what is needed is copied.
    ///
    /// ```no_run
    /// # fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) {
    /// let long =
    ///     source.packets_with(|packet| (packet.wire_len() > 1000).then(|| packet.to_buf()));
    /// # }
    /// ```
    pub fn packets_with<T, F>(self, keep: F) -> PacketStream<S, T, F>
    where
        F: FnMut(Packet<'_>) -> Option<T>,
    {
        PacketStream::new(self, keep)
    }
}

impl<S, T, F> PacketStream<S, T, F> {
    const fn new(source: AsyncSource<S>, keep: F) -> Self {
        Self {
            source,
            keep,
            queue: VecDeque::new(),
            done: false,
        }
    }

    /// Packets taken from the source and not yet yielded.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The source.
    pub const fn get_ref(&self) -> &AsyncSource<S> {
        &self.source
    }

    /// The source. A batch that is taken from it comes after the packets that are queued here.
    pub const fn get_mut(&mut self) -> &mut AsyncSource<S> {
        &mut self.source
    }

    /// Returns the source and the queued packets, oldest first.
    pub fn into_parts(self) -> (AsyncSource<S>, VecDeque<T>) {
        (self.source, self.queue)
    }
}

impl<S: PacketSource, T, F> PacketStream<S, T, F> {
    /// The fate of every packet so far. [Queued](Self::queued) packets count as delivered.
    ///
    /// # Errors
    /// The system call that reads the source's figures failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.source.stats()
    }
}

impl<S, T, F> Stream for PacketStream<S, T, F>
where
    S: PacketSource,
    F: FnMut(Packet<'_>) -> Option<T>,
{
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(packet) = this.queue.pop_front() {
                return Poll::Ready(Some(Ok(packet)));
            }
            if this.done {
                return Poll::Ready(None);
            }
            match ready!(this.source.poll_readable(cx)) {
                Ok(true) => {
                    let batch = this.source.get_mut().batch();
                    this.queue
                        .extend(batch.packets().filter_map(&mut this.keep));
                }
                Ok(false) => this.done = true,
                Err(error) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.queue.len(), self.done.then_some(self.queue.len()))
    }
}

impl<S, T, F> FusedStream for PacketStream<S, T, F>
where
    S: PacketSource,
    F: FnMut(Packet<'_>) -> Option<T>,
{
    fn is_terminated(&self) -> bool {
        self.done && self.queue.is_empty()
    }
}

// No field is ever pinned.
impl<S, T, F> Unpin for PacketStream<S, T, F> {}

impl<S: std::fmt::Debug, T, F> std::fmt::Debug for PacketStream<S, T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketStream")
            .field("source", &self.source)
            .field("queued", &self.queue.len())
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
