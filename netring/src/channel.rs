//! A source on its own thread, read through a bounded channel.

mod batches;
mod builder;
mod forward;
mod queue;
#[cfg(test)]
mod tests;
mod thread;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Count, Error, PacketSource, PacketVec, Readiness, Stats, Timed};

use queue::{Item, Queue, Taken};

pub use batches::Batches;
pub use builder::ChannelBuilder;
pub use forward::{Forwarded, Forwarding};

/// A source read by its own thread, behind a bounded channel: for programs without a runtime that
/// have other work to do while packets arrive.
///
/// The thread copies packets into owned batches ([`PacketVec`]), so the ring is free again at once,
/// however long you hold a batch. Nothing is allocated per packet, and in steady state nothing per
/// batch that is [lent](PacketSource::next_batch): its memory is reused.
///
/// ```no_run
/// # #[cfg(feature = "afpacket")]
/// # fn main() -> Result<(), netring::Error> {
/// use netring::{Capture, ChannelCapture, PacketSource};
///
/// let mut capture = ChannelCapture::new(Capture::open("eth0")?)?;
/// while let Some(batch) = capture.next_batch()? {
///     for packet in batch {
///         println!("{} {} bytes", packet.timestamp(), packet.wire_len());
///     }
/// }
/// println!("{}, of which the channel lost {}", capture.stats()?, capture.lost());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "afpacket"))]
/// # fn main() {}
/// ```
///
/// It is a [`PacketSource`] itself, so flows, filters and tees work on it. [`recv`](Self::recv),
/// [`recv_timeout`](Self::recv_timeout) and [`batches`](Self::batches) return batches that you own.
/// Each of those costs two allocations. [`ChannelBuilder::start_into`] sends them into your own
/// channel instead, for example one that other threads share or select on.
///
/// # A full channel
///
/// The channel holds 65,536 packets unless [`ChannelBuilder::capacity`] says otherwise. If it is
/// full, the newest packets are lost and counted: [`lost`](Self::lost), and [`Stats::dropped`]
/// together with what the ring dropped. With [`ChannelBuilder::lossless`] the thread waits instead,
/// and the ring takes packets while it has room.
///
/// # The end
///
/// The end of the source, whether by a [stop](Self::stop), an error or a panic, reaches the reader
/// after all earlier packets. The source is closed by then. Dropping the channel stops the source
/// and waits until it is closed, which takes 20 to 35 ms for a packet socket; a full channel does
/// not delay it.
pub struct ChannelCapture {
    queue: Arc<Queue>,
    /// Received, and not yet lent.
    next: Option<PacketVec>,
    /// Lent, until the next one is.
    lent: PacketVec,
    thread: Option<JoinHandle<()>>,
    /// `None` for a source that never waits.
    stop: Option<StopHandle>,
    is_live: bool,
}

impl ChannelCapture {
    /// Reads a source that can be stopped on its own thread, with the default settings.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new<S: Stop + Send + 'static>(source: S) -> Result<Self, Error> {
        Self::builder().start(source)
    }

    /// Reads a source that is never empty before its end, such as a file, on its own thread, with
    /// the default settings except that it is [`lossless`](ChannelBuilder::lossless): a file can
    /// wait.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn replay<S: PacketSource + Send + 'static>(source: S) -> Result<Self, Error> {
        Self::builder().lossless(true).replay(source)
    }

    /// Captures from the interface with this name, with the default settings.
    ///
    /// # Errors
    /// There is no such interface, a capability is missing, a call failed, or the thread cannot be
    /// started.
    #[cfg(feature = "afpacket")]
    pub fn open(interface: &str) -> Result<Self, Error> {
        Self::new(crate::Capture::open(interface)?)
    }

    /// The settings.
    pub fn builder() -> ChannelBuilder {
        ChannelBuilder::default()
    }

    /// Waits for the next batch, of 1 to 1,024 packets, and returns it. `None` at the end.
    ///
    /// # Errors
    /// The error that ended the source, once, after all packets; [`Error::Closed`] from then on.
    /// Reports, such as a link that went down, are not returned: [`PacketSource::wait`] and
    /// [`PacketSource::ready`] return them, unless a full channel had no room for one.
    pub fn recv(&mut self) -> Result<Option<PacketVec>, Error> {
        if self.next_batch()?.is_none() {
            return Ok(None);
        }
        Ok(Some(mem::take(&mut self.lent)))
    }

    /// Like [`recv`](Self::recv), but stops waiting when the timeout expires. Zero looks without
    /// waiting; [`Duration::MAX`] waits forever.
    ///
    /// # Errors
    /// The errors of [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Timed<PacketVec>, Error> {
        Ok(match self.next_batch_timeout(timeout)? {
            Timed::Batch(_) => Timed::Batch(mem::take(&mut self.lent)),
            Timed::TimedOut => Timed::TimedOut,
            Timed::Ended => Timed::Ended,
        })
    }

    /// Returns a batch that is available now, without waiting: [`recv_timeout`](Self::recv_timeout)
    /// with zero.
    ///
    /// # Errors
    /// The errors of [`recv`](Self::recv).
    pub fn try_recv(&mut self) -> Result<Timed<PacketVec>, Error> {
        self.recv_timeout(Duration::ZERO)
    }

    /// Iterates over the batches until the end, waiting for each; an error is the last item.
    pub fn batches(&mut self) -> Batches<'_> {
        Batches::new(self)
    }

    /// Packets that were lost because the channel was full.
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Stops the source. Packets in the channel are still received, and then the end; a
    /// [replayed](Self::replay) source first delivers the batch at hand. Packets that a ring still
    /// holds are not received: they stay [pending](Stats::pending). Further calls have no effect.
    /// It never blocks.
    ///
    /// To stop from another thread, or on a signal, take the source's own
    /// [handle](Stop::stop_handle) before it is moved into the channel.
    pub fn stop(&self) {
        match &self.stop {
            Some(handle) => handle.stop(),
            None => self.queue.stop(),
        }
    }

    /// Fills `next`. `Empty` only if the deadline passed, or without a wait.
    fn look(&mut self, wait: bool, deadline: Option<Instant>) -> Result<Readiness, Error> {
        if self.next.is_some() {
            return Ok(Readiness::Ready);
        }
        match self.queue.take(wait, deadline) {
            Taken::Item(Item::Packets(batch)) => {
                self.next = Some(batch);
                Ok(Readiness::Ready)
            }
            Taken::Item(Item::Report(error)) => Err(error),
            Taken::Nothing => Ok(Readiness::Empty),
            Taken::End(end) => end.map(|()| Readiness::Ended),
        }
    }
}

impl PacketSource for ChannelCapture {
    type Batch<'a> = &'a PacketVec;

    fn ready(&mut self) -> Result<Readiness, Error> {
        self.look(false, None)
    }

    fn batch(&mut self) -> &PacketVec {
        let next = self.next.take().unwrap_or_default();
        let read = mem::replace(&mut self.lent, next);
        self.queue.give_back(read);
        &self.lent
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.look(true, deadline)
    }

    /// The figures of the source, except that a packet counts as delivered once it was received
    /// from the channel, and as dropped if the channel lost it. [Pending](Stats::pending) packets
    /// are in the ring or in the channel.
    ///
    /// The thread reads them between two batches, so this blocks for up to 100 ms while the source
    /// is idle; for a replayed source, for as long as one read of it takes. After the end they are
    /// final, and available at once.
    fn stats(&mut self) -> Result<Stats, Error> {
        let (stats, queued, lost) = self.queue.stats();
        let mut stats = stats?;
        let waiting = queued + self.next.as_ref().map_or(0, |next| next.len() as u64);
        stats.delivered = match stats.delivered {
            Count::Exact(lent) => Count::Exact(lent.saturating_sub(waiting + lost)),
            Count::AtLeast(lent) => Count::AtLeast(lent.saturating_sub(waiting + lost)),
            other => other,
        };
        stats.dropped += Count::Exact(lost);
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        self.is_live
    }
}

impl Drop for ChannelCapture {
    fn drop(&mut self) {
        self.queue.close();
        // A replayed source may be in a read that nothing can wake: its thread ends after that
        // read.
        if let (Some(handle), Some(thread)) = (&self.stop, self.thread.take()) {
            handle.stop();
            // It catches the panics of the source.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for ChannelCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self
            .thread
            .as_ref()
            .and_then(|thread| thread.thread().name());
        f.debug_struct("ChannelCapture")
            .field("thread", &name)
            .field("lost", &self.lost())
            .field("is_live", &self.is_live)
            .finish_non_exhaustive()
    }
}
