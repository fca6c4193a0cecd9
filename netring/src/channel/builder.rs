//! The settings of a channel.

use std::sync::Arc;
use std::thread;

use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Error, PacketSource, PacketVec};

use super::queue::Queue;
use super::{ChannelCapture, thread as reading};

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
    capacity: usize,
    lossless: bool,
    thread_name: String,
}

impl Default for ChannelBuilder {
    fn default() -> Self {
        Self {
            capacity: 1 << 16,
            lossless: false,
            // As long as a name can be.
            thread_name: "netring-channel".into(),
        }
    }
}

impl ChannelBuilder {
    /// The most packets that the channel holds, at least 1; 65,536 by default. Memory is allocated
    /// as it fills: for each packet its captured bytes, and about 100 bytes more. The batch that
    /// the reader holds is not part of it.
    pub const fn capacity(mut self, packets: usize) -> Self {
        self.capacity = packets;
        self
    }

    /// Whether the thread waits while the channel is full, and so loses nothing as long as the ring
    /// has room; false by default: the newest packets are lost and counted.
    ///
    /// The thread waits before it takes a batch from the source, and takes it whole. So the channel
    /// may exceed its capacity by one batch of the source: by the packets of one block of a ring.
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

    /// Starts the thread that reads a source which is never empty before its end, such as a file.
    /// The setting [`lossless`](Self::lossless) holds for it too.
    ///
    /// # Errors
    /// A setting is impossible, or the thread cannot be started; the source is closed then.
    pub fn replay<S: PacketSource + Send + 'static>(
        self,
        source: S,
    ) -> Result<ChannelCapture, Error> {
        self.spawn(source, None)
    }

    fn spawn<S: PacketSource + Send + 'static>(
        self,
        source: S,
        stop: Option<StopHandle>,
    ) -> Result<ChannelCapture, Error> {
        self.check()?;
        let queue = Arc::new(Queue::new(self.capacity));
        let (shared, is_live) = (Arc::clone(&queue), source.is_live());
        let thread = thread::Builder::new().name(self.thread_name);
        let thread = thread.spawn(move || reading::run(source, &shared, self.lossless));
        let thread = thread.map_err(|source| Error::Source {
            what: "the thread of the channel cannot be started".into(),
            source: source.into(),
        })?;
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
        if self.capacity == 0 {
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
