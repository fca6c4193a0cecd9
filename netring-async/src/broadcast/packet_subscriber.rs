//! A subscriber to packets.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_sys::{Packet, PacketBatch, PacketVec};

use super::error::BroadcastRecvError;
use super::feed::Feed;
use super::stats::SubscriberStats;

/// Receives every packet published since it subscribed, or the number of those it lost: the
/// counterpart of [`Subscriber`](crate::Subscriber) for packets.
///
/// As a stream it yields packets one by one, each as a handle that costs two atomic operations;
/// [`next_batch`](Self::next_batch) returns whole batches at that cost per batch. Lagging, closing,
/// filters and fairness work as in `Subscriber`, in packets.
pub struct PacketSubscriber {
    feed: Feed<PacketVec>,
}

/// Packets that were published together, oldest first. All subscribers share them.
///
/// It is a [`PacketBatch`], so a flow tracker or a writer accepts it directly.
#[derive(Clone, Debug)]
pub struct SharedPackets {
    first: u64,
    packets: Arc<PacketVec>,
    range: Range<usize>,
}

/// A packet that all subscribers share. It is a cheap handle, which keeps the batch of the packet
/// alive.
#[derive(Clone, Debug)]
pub struct SharedPacket {
    packets: Arc<PacketVec>,
    index: usize,
}

impl PacketSubscriber {
    pub(crate) const fn new(feed: Feed<PacketVec>) -> Self {
        Self { feed }
    }

    /// Restricts this subscriber to the packets for which `wanted` returns true; after a second
    /// call, both must. See [`Subscriber`](crate::Subscriber#filters).
    ///
    /// ```
    /// use netring_async::{PacketBroadcast, PacketSubscriber};
    /// use netring_sys::{Error, Filter, Matcher};
    ///
    /// fn dns(packets: &PacketBroadcast) -> Result<PacketSubscriber, Error> {
    ///     let matcher = Matcher::new("udp port 53".parse::<Filter>()?)?;
    ///     Ok(packets
    ///         .subscribe()
    ///         .filtered(move |packet| matcher.matches(packet)))
    /// }
    /// ```
    #[must_use]
    pub fn filtered(
        mut self,
        mut wanted: impl FnMut(&Packet<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        let keep = move |packets: &PacketVec, index| packets.get(index).is_some_and(|p| wanted(&p));
        self.feed.set_keep(Box::new(keep));
        self
    }

    /// Returns the next batch, or the rest of a batch from which packets were taken one by one. Can
    /// be cancelled at any moment without losing a packet.
    ///
    /// # Errors
    /// The errors of the stream's items.
    pub async fn next_batch(&mut self) -> Option<Result<SharedPackets, BroadcastRecvError>> {
        let found = self.feed.next_run().await?;
        Some(found.map(|run| SharedPackets {
            first: run.first,
            packets: run.contents,
            range: run.range,
        }))
    }

    /// The number of packets lost to this subscriber so far: the sum of all
    /// [`BroadcastRecvError::Lagged`].
    pub const fn lost(&self) -> u64 {
        self.feed.lost()
    }

    /// The number of batches that wait for this subscriber in the queue.
    pub fn queued(&self) -> usize {
        self.feed.queued()
    }

    /// The figures of this subscriber.
    pub fn stats(&self) -> SubscriberStats {
        self.feed.stats()
    }
}

impl Stream for PacketSubscriber {
    type Item = Result<SharedPacket, BroadcastRecvError>;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let item = ready!(this.feed.poll_item(cx));
        Poll::Ready(item.map(|item| item.map(|(packets, index)| SharedPacket { packets, index })))
    }
}

impl FusedStream for PacketSubscriber {
    fn is_terminated(&self) -> bool {
        self.feed.is_done()
    }
}

impl fmt::Debug for PacketSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.feed.fmt(f)
    }
}

impl SharedPackets {
    /// The number of the first packet, counted from 0 over all published packets: the same for
    /// every subscriber.
    pub const fn first(&self) -> u64 {
        self.first + self.range.start as u64
    }

    /// The number of packets.
    pub const fn len(&self) -> usize {
        self.range.end - self.range.start
    }

    /// Whether there are no packets. A subscriber never yields such a batch.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The packets, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Packet<'_>> {
        let range = self.range.clone();
        range.filter_map(|index| self.packets.get(index))
    }
}

impl PacketBatch for SharedPackets {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.iter()
    }
}

impl SharedPacket {
    /// The packet.
    pub fn packet(&self) -> Packet<'_> {
        self.packets.get(self.index).expect("it is in its batch")
    }
}
