//! The settings of a channel.

use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::{io, thread};

use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Error, PacketSource, PacketVec};

use super::forward::{Forwarded, Forwarding};
use super::queue::Queue;
use super::{ChannelCapture, thread as reading};

/// The packets that a channel holds by default.
const CAPACITY: usize = 1 << 16;

/// The settings of a [`ChannelCapture`].
///
/// ```no_run
/// # #[cfg(feature = "afpacket")]
/// # fn main() -> Result<(), netring::Error> {
/// use netring::{Capture, ChannelCapture};
///
/// let settings = ChannelCapture::builder().capacity(1 << 20).lossless(true);
/// let mut capture = settings.start(Capture::open("eth0")?)?;
/// for batch in capture.batches() {
///     println!("{} packets", batch?.len());
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "afpacket"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ChannelBuilder {
    capacity: Option<usize>,
    lossless: bool,
    thread_name: String,
}

impl Default for ChannelBuilder {
    fn default() -> Self {
        Self {
            capacity: None,
            lossless: false,
            // Room for the longest name.
            thread_name: "netring-channel".into(),
        }
    }
}

impl ChannelBuilder {
    /// The maximum number of packets that the channel holds, at least 1; 65,536 by default. Memory
    /// is allocated as it fills: for each packet its captured bytes, and about 100 bytes more. The
    /// batch that the reader holds does not count.
    pub const fn capacity(mut self, packets: usize) -> Self {
        self.capacity = Some(packets);
        self
    }

    /// Whether the thread waits while the channel is full, and so loses nothing while the ring has
    /// room; false by default: the newest packets are lost and counted.
    ///
    /// The thread waits before it takes a batch from the source, and takes it whole. So the channel
    /// may exceed its capacity by one batch of the source, such as one block of a ring.
    pub const fn lossless(mut self, lossless: bool) -> Self {
        self.lossless = lossless;
        self
    }

    /// The name of the thread, `netring-channel` by default. Linux keeps its first 15 bytes.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Starts the thread that reads the source.
    ///
    /// # Errors
    /// A setting is impossible, or the thread cannot be started; the source is closed then.
    pub fn start<S: Stop + Send + 'static>(self, source: S) -> Result<ChannelCapture, Error> {
        let stop = source.stop_handle();
        self.spawn(source, Some(stop))
    }

    /// Starts the thread that reads a source that is never empty before its end, such as a file.
    /// The setting [`lossless`](Self::lossless) applies to it too.
    ///
    /// # Errors
    /// A setting is impossible, or the thread cannot be started; the source is closed then.
    pub fn replay<S: PacketSource + Send + 'static>(
        self,
        source: S,
    ) -> Result<ChannelCapture, Error> {
        self.spawn(source, None)
    }

    /// Starts a thread that reads the source and passes owned batches to `send`, which puts them
    /// into your channel, and returns them if it is full or has no receiver. The last item is the
    /// error that ended the source, if one did; then `send` is dropped, which ends the channel.
    ///
    /// ```no_run
    /// # #[cfg(feature = "afpacket")]
    /// # fn main() -> Result<(), netring::Error> {
    /// use netring::{Capture, ChannelCapture};
    /// use std::sync::mpsc;
    ///
    /// // Up to 64 batches, each of up to 1,024 packets.
    /// let (sender, receiver) = mpsc::sync_channel(64);
    /// let capture = ChannelCapture::builder()
    ///     .start_into(Capture::open("eth0")?, move |batch| sender.try_send(batch))?;
    /// for batch in receiver {
    ///     println!("{} packets, {} lost", batch?.len(), capture.lost());
    /// }
    /// # Ok(())
    /// # }
    /// # #[cfg(not(feature = "afpacket"))]
    /// # fn main() {}
    /// ```
    ///
    /// For crossbeam, convert the error type:
    ///
    /// ```
    /// use netring::Forwarded;
    /// use std::sync::mpsc::TrySendError;
    ///
    /// fn send(
    ///     to: &crossbeam_channel::Sender<Forwarded>,
    ///     batch: Forwarded,
    /// ) -> Result<(), TrySendError<Forwarded>> {
    ///     to.try_send(batch).map_err(|error| match error {
    ///         crossbeam_channel::TrySendError::Full(batch) => TrySendError::Full(batch),
    ///         crossbeam_channel::TrySendError::Disconnected(batch) => {
    ///             TrySendError::Disconnected(batch)
    ///         }
    ///     })
    /// }
    /// ```
    ///
    /// If the channel is full, the batch is lost and counted, or, if [`lossless`](Self::lossless),
    /// the thread tries again every 5 ms or more often, and the ring takes packets meanwhile. A
    /// `send` that blocks instead would delay a stop for as long. Reports, such as a link that went
    /// down, are not passed on.
    ///
    /// # Errors
    /// [`Error::Config`] if [`capacity`](Self::capacity) is set, as your channel has its own; the
    /// thread cannot be started. The source is closed then.
    pub fn start_into<S, F>(self, source: S, send: F) -> Result<Forwarding, Error>
    where
        S: Stop + Send + 'static,
        F: FnMut(Forwarded) -> Result<(), TrySendError<Forwarded>> + Send + 'static,
    {
        let stop = source.stop_handle();
        self.forward(source, Some(stop), send)
    }

    /// The same for a source that is never empty before its end, such as a file.
    ///
    /// # Errors
    /// The errors of [`start_into`](Self::start_into).
    pub fn replay_into<S, F>(self, source: S, send: F) -> Result<Forwarding, Error>
    where
        S: PacketSource + Send + 'static,
        F: FnMut(Forwarded) -> Result<(), TrySendError<Forwarded>> + Send + 'static,
    {
        self.forward(source, None, send)
    }

    fn forward<S, F>(
        self,
        source: S,
        stop: Option<StopHandle>,
        send: F,
    ) -> Result<Forwarding, Error>
    where
        S: PacketSource + Send + 'static,
        F: FnMut(Forwarded) -> Result<(), TrySendError<Forwarded>> + Send + 'static,
    {
        self.check()?;
        if self.capacity.is_some() {
            return Err(Error::Config {
                setting: "capacity",
                why: "the channel that the batches are passed to has its own".into(),
            });
        }
        let thread = thread::Builder::new().name(self.thread_name);
        let started = Forwarding::start(source, stop, self.lossless, thread, send);
        started.map_err(no_thread)
    }

    fn spawn<S: PacketSource + Send + 'static>(
        self,
        source: S,
        stop: Option<StopHandle>,
    ) -> Result<ChannelCapture, Error> {
        self.check()?;
        let queue = Arc::new(Queue::new(self.capacity.unwrap_or(CAPACITY)));
        let (shared, is_live) = (Arc::clone(&queue), source.is_live());
        let thread = thread::Builder::new().name(self.thread_name);
        let thread = thread.spawn(move || reading::run(source, &shared, self.lossless));
        let thread = thread.map_err(no_thread)?;
        Ok(ChannelCapture {
            queue,
            next: None,
            lent: PacketVec::new(),
            thread: Some(thread),
            stop,
            is_live,
        })
    }

    fn check(&self) -> Result<(), Error> {
        if self.capacity == Some(0) {
            return Err(Error::Config {
                setting: "capacity",
                why: "a channel holds at least one packet".into(),
            });
        }
        if self.thread_name.contains('\0') {
            return Err(Error::Config {
                setting: "thread_name",
                why: "the name of a thread cannot contain a zero byte".into(),
            });
        }
        Ok(())
    }
}

fn no_thread(source: io::Error) -> Error {
    Error::Source {
        what: "cannot start the thread of the channel".into(),
        source: source.into(),
    }
}
