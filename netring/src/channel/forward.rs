//! A source on its own thread that passes its packets to the caller's channel.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use netring_sys::wait::StopHandle;
use netring_sys::{Count, Error, PacketBatch, PacketSource, PacketVec, Readiness, Stats};

use super::thread::{LOOK, panicked};

/// The most packets of a batch.
const BATCH: usize = 1024;
/// The waits while a channel is full, each longer than the one before.
const SHORTEST: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(5);

/// The items of the caller's channel: batches of 1 to 1,024 packets, and last the error that ended
/// the source, if any.
pub type Forwarded = Result<PacketVec, Error>;

/// A source that its own thread reads into your channel; made by
/// [`ChannelBuilder::start_into`](super::ChannelBuilder::start_into).
///
/// Dropping it stops the source and waits until it is closed. A full channel does not delay that:
/// the batch at hand is lost and counted then.
#[must_use = "dropping it stops the capture"]
pub struct Forwarding {
    shared: Arc<Shared>,
    /// `None` for a source that never waits.
    stop: Option<StopHandle>,
    thread: Option<JoinHandle<()>>,
}

/// The state that the thread and its handle share.
#[derive(Debug, Default)]
struct Shared {
    sent: AtomicU64,
    lost: AtomicU64,
    /// Stop reading the source.
    stopped: AtomicBool,
    /// Do not wait for anything.
    closed: AtomicBool,
    /// The last figures of the source, once it is closed.
    stats: Mutex<Option<Result<Stats, Error>>>,
}

/// The thread's side.
struct Forward<F> {
    send: F,
    shared: Arc<Shared>,
    lossless: bool,
}

/// The channel has no receiver any more, or must not be waited for.
struct Gone;

impl Forwarding {
    pub(super) fn start<S, F>(
        source: S,
        stop: Option<StopHandle>,
        lossless: bool,
        thread: thread::Builder,
        send: F,
    ) -> std::io::Result<Self>
    where
        S: PacketSource + Send + 'static,
        F: FnMut(Forwarded) -> Result<(), TrySendError<Forwarded>> + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let forward = Forward {
            send,
            shared: Arc::clone(&shared),
            lossless,
        };
        Ok(Self {
            shared,
            stop,
            thread: Some(thread.spawn(move || forward.run(source))?),
        })
    }

    /// Packets that the channel took.
    pub fn sent(&self) -> u64 {
        // Relaxed: a count, of which nothing else depends.
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Packets that were lost because the channel was full, or had no receiver.
    pub fn lost(&self) -> u64 {
        // Relaxed: a count, of which nothing else depends.
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Stops the source; the channel then ends after the batch at hand. Never blocks.
    pub fn stop(&self) {
        // Relaxed: it publishes nothing; the handle wakes a thread that waits.
        self.shared.stopped.store(true, Ordering::Relaxed);
        if let Some(handle) = &self.stop {
            handle.stop();
        }
    }

    /// Waits for the end of the source, and returns its figures: a packet counts as delivered once
    /// the channel took it, and as dropped if it is [lost](Self::lost).
    ///
    /// Empty the channel first: if it is full, the thread waits for room for the last error, and
    /// for each batch if it is lossless.
    ///
    /// # Errors
    /// The figures cannot be read, or the source panicked. The error that ended the source is the
    /// last item of the channel.
    pub fn join(mut self) -> Result<Stats, Error> {
        if let Some(thread) = self.thread.take() {
            // It catches all panics.
            let _ = thread.join();
        }
        let mut stats = self.shared.take_stats()?;
        let lost = self.lost();
        stats.delivered = match stats.delivered {
            Count::Exact(lent) => Count::Exact(lent.saturating_sub(lost)),
            Count::AtLeast(lent) => Count::AtLeast(lent.saturating_sub(lost)),
            other => other,
        };
        stats.dropped += Count::Exact(lost);
        Ok(stats)
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        // Relaxed: it publishes nothing.
        self.shared.closed.store(true, Ordering::Relaxed);
        self.stop();
        // A replayed source may be in a read that nothing wakes: its thread ends after it.
        if let (Some(_), Some(thread)) = (&self.stop, self.thread.take()) {
            // It catches all panics.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn take_stats(&self) -> Result<Stats, Error> {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.take().unwrap_or(Err(Error::Closed))
    }

    fn count_lost(&self, packets: usize) {
        // Relaxed: a count, of which nothing else depends.
        self.lost.fetch_add(packets as u64, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        // Relaxed: nothing is published with it.
        self.stopped.load(Ordering::Relaxed) || self.closed.load(Ordering::Relaxed)
    }
}

impl<F: FnMut(Forwarded) -> Result<(), TrySendError<Forwarded>>> Forward<F> {
    /// Reads the source to its end and closes it, and then ends the channel.
    fn run<S: PacketSource>(mut self, source: S) {
        let whole = AssertUnwindSafe(|| {
            let mut source = source;
            let end = self.read(&mut source);
            (end, source.stats())
        });
        let (end, stats) = catch_unwind(whole)
            .unwrap_or_else(|panic| (Err(panicked(&*panic)), Err(panicked(&*panic))));
        let shared = Arc::clone(&self.shared);
        *shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = Some(stats);
        if let Err(error) = end {
            // The function itself may have panicked: it is not called a third time.
            let _ = catch_unwind(AssertUnwindSafe(|| self.wait(Err(error))));
        }
    }

    fn read(&mut self, source: &mut impl PacketSource) -> Result<(), Error> {
        while !self.shared.is_over() {
            match source.wait(Some(LOOK)) {
                Ok(Readiness::Ready) => {
                    if self.forward(source.batch().packets()).is_err() {
                        return Ok(());
                    }
                }
                Ok(Readiness::Empty) => {}
                Ok(Readiness::Ended) => return Ok(()),
                Err(error) if error.is_terminal() => return Err(error),
                Err(_report) => {}
            }
        }
        Ok(())
    }

    fn forward<'a>(
        &mut self,
        packets: impl Iterator<Item = netring_sys::Packet<'a>>,
    ) -> Result<(), Gone> {
        let mut packets = packets.peekable();
        while packets.peek().is_some() {
            let mut batch = PacketVec::new();
            for packet in packets.by_ref().take(BATCH) {
                batch.push(&packet);
            }
            if let Err(gone) = self.pass(batch) {
                self.shared.count_lost(packets.count());
                return Err(gone);
            }
        }
        Ok(())
    }

    /// Passes a batch on, and counts it.
    fn pass(&mut self, batch: PacketVec) -> Result<(), Gone> {
        let packets = batch.len();
        let passed = match (self.send)(Ok(batch)) {
            Err(TrySendError::Full(batch)) if self.lossless => self.wait(batch),
            Err(TrySendError::Full(_)) => {
                self.shared.count_lost(packets);
                return Ok(());
            }
            Err(TrySendError::Disconnected(_)) => Err(Gone),
            Ok(()) => Ok(()),
        };
        match &passed {
            // Relaxed: a count, of which nothing else depends.
            Ok(()) => self
                .shared
                .sent
                .fetch_add(packets as u64, Ordering::Relaxed),
            Err(Gone) => self
                .shared
                .lost
                .fetch_add(packets as u64, Ordering::Relaxed),
        };
        passed
    }

    /// Waits until the channel takes an item, until nobody receives it, or until the handle is
    /// dropped.
    fn wait(&mut self, mut item: Forwarded) -> Result<(), Gone> {
        let mut pause = SHORTEST;
        loop {
            item = match (self.send)(item) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Gone),
                Err(TrySendError::Full(item)) => item,
            };
            // Relaxed: nothing is published with it.
            if self.shared.closed.load(Ordering::Relaxed) {
                return Err(Gone);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST);
        }
    }
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarding")
            .field("sent", &self.sent())
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
