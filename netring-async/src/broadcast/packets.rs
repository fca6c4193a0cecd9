//! The packets of one source for many subscribers.

use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use netring_sys::{Error, PacketSource, PacketVec, Stats};
use tokio::sync::oneshot;

use super::error::BroadcastRecvError;
use super::handle::{Handle, handle_methods};
use super::message::PendingPackets;
use super::packet_subscriber::PacketSubscriber;
use super::produce::Produce;
use crate::AsyncSource;
use crate::drain::Drain;

/// Shares the packets of one source among any number of subscribers; created by
/// [`AsyncSource::broadcast`].
///
/// A task copies each packet once; all subscribers share the copy. The memory of batches that all
/// subscribers have dropped is reused; up to 4 MiB are kept for that. Lagging, lossless subscribers
/// and closing work as in [`FlowBroadcast`](crate::FlowBroadcast), in packets.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::{AsyncSource, BroadcastRecvError};
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), Box<dyn std::error::Error>> {
///
/// let broadcast = AsyncSource::new(capture)?.broadcast(256);
/// let mut packets = broadcast.subscribe();
/// while let Some(packet) = packets.next().await {
///     match packet {
///         Ok(packet) => println!("{} bytes", packet.packet().wire_len()),
///         Err(BroadcastRecvError::Lagged(lost)) => println!("{lost} packets lost"),
///         Err(error) => return Err(error.into()),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PacketBroadcast {
    handle: Handle<PacketVec, PacketRequest>,
    /// The final figures of the task, once it has ended.
    last: Arc<OnceLock<Figures>>,
}

type Figures = Result<Stats, BroadcastRecvError>;

struct PacketRequest(oneshot::Sender<Figures>);

/// Copies the packets of a source.
struct PacketProducer<S> {
    source: AsyncSource<S>,
    stopped: bool,
    /// Takes only the packets that had arrived when draining began.
    drain: Option<Drain>,
    last: Arc<OnceLock<Figures>>,
}

impl<S: PacketSource + Send + 'static> AsyncSource<S> {
    /// Shares the packets among any number of subscribers: a new task reads and copies them.
    ///
    /// Packets travel in batches of 1 to 64, oldest first. A batch is published when it is full,
    /// when the source has nothing more for the moment, or when the task's time slice of one
    /// millisecond ends.
    ///
    /// Each queue holds `capacity` **batches**, 1 to 65 536 (other values are clamped): at most 64
    /// × `capacity` packets with their captured bytes. A subscriber that falls further behind loses
    /// the oldest, and receives the number of lost packets.
    ///
    /// A live source is read from now on, with or without subscribers. A replay starts when a
    /// subscriber is polled for the first time, so those that subscribed before miss nothing.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    pub fn broadcast(self, capacity: usize) -> PacketBroadcast {
        let last = Arc::default();
        let producer = PacketProducer {
            source: self,
            stopped: false,
            drain: None,
            last: Arc::clone(&last),
        };
        PacketBroadcast {
            handle: Handle::spawn(vec![(producer, PendingPackets::default())], capacity),
            last,
        }
    }
}

impl PacketBroadcast {
    handle_methods!(PacketSubscriber, "packets");

    /// The fate of every packet so far, or the final figures after the end. The task answers
    /// between two batches, and while it waits for a lossless subscriber.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the system call that reads the source's figures failed;
    /// [`BroadcastRecvError::Aborted`].
    pub async fn stats(&self) -> Result<Stats, BroadcastRecvError> {
        match self.handle.ask(0, PacketRequest).await {
            Some(figures) => figures,
            None => self.last(),
        }
    }

    /// Ends the broadcast and waits until its task has ended: the packets that were in the source's
    /// ring are published, and the source is closed. Returns the final figures. Packets that arrive
    /// meanwhile may not be published: [`Stats::pending`] counts them. Subscribers need not have
    /// read to the end; they still can. [`stop`](Self::stop) leaves the packets in the ring.
    ///
    /// If a live source announces packets but does not lend them, the wait ends after one second.
    /// If the runtime was built without `enable_time`, the task panics instead.
    ///
    /// # Errors
    /// Those of [`stats`](Self::stats). If the source failed, subscribers receive that error.
    pub async fn shutdown(&self) -> Result<Stats, BroadcastRecvError> {
        self.handle.shutdown().await;
        self.last()
    }

    /// Ends the broadcast and returns its source, of type `S`, with what it has not yet lent: the
    /// opposite of [`AsyncSource::broadcast`].
    ///
    /// No packet is lost or repeated: subscribers receive those before, and then the end. If this
    /// future is dropped, the broadcast stops.
    ///
    /// # Errors
    /// Returns the broadcast, which continues, if its source has another type; or if its task has
    /// ended, with its remaining contents.
    pub async fn into_source<S>(self) -> Result<AsyncSource<S>, Self>
    where
        S: PacketSource + Send + 'static,
    {
        if !self.handle.is_of::<PacketProducer<S>>() {
            return Err(self);
        }
        match self.handle.release::<PacketProducer<S>>().await {
            Some(producer) => Ok(producer.source),
            None => Err(self),
        }
    }

    /// The final figures: the task stored them before it stopped answering.
    fn last(&self) -> Figures {
        let last = self.last.get().cloned();
        last.unwrap_or(Err(BroadcastRecvError::Aborted))
    }
}

impl<S: PacketSource> PacketProducer<S> {
    fn figures(&mut self) -> Figures {
        let figures = self.source.stats();
        figures.map_err(|error| BroadcastRecvError::Source(Arc::new(error)))
    }
}

impl<S: PacketSource + Send + 'static> Produce for PacketProducer<S> {
    type Pending = PendingPackets;
    type Request = PacketRequest;

    fn poll_produce(
        &mut self,
        cx: &mut Context<'_>,
        pending: &mut PendingPackets,
    ) -> Poll<Option<Result<(), Error>>> {
        while !self.stopped {
            match self.source.poll_readable(cx) {
                Poll::Ready(Ok(true)) => {
                    let copied = pending.copy(&self.source.get_mut().batch());
                    if let Some(drain) = &mut self.drain {
                        self.stopped = drain.is_done(&mut self.source);
                    }
                    if copied {
                        return Poll::Ready(Some(Ok(())));
                    }
                }
                Poll::Ready(Ok(false)) => self.stopped = true,
                Poll::Ready(Err(error)) => {
                    self.stopped = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Pending => match &mut self.drain {
                    Some(drain) if self.source.is_empty() => {
                        ready!(drain.poll_silence(cx));
                        self.stopped = true;
                    }
                    _ => return Poll::Pending,
                },
            }
        }
        Poll::Ready(None)
    }

    /// A replay can; a live source cannot.
    fn can_wait(&self) -> bool {
        !self.source.get_ref().is_live()
    }

    fn answer(&mut self, PacketRequest(reply): PacketRequest, _: u64) {
        // A requester that no longer waits loses its answer.
        let _ = reply.send(self.figures());
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn drain(&mut self) {
        if !self.stopped && self.drain.is_none() {
            self.drain = Drain::begin(&mut self.source);
            self.stopped = self.drain.is_none();
        }
    }

    fn finish(&mut self, _: u64) {
        let figures = self.figures();
        let _ = self.last.set(figures);
    }

    async fn close(self) {
        self.source.close().await;
    }
}
