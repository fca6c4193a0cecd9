//! Any packet source for tokio.

mod open;

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Error, PacketSource, Readiness, Stats};
use tokio::io::unix::AsyncFd;

use crate::held::Held;
use crate::time_slice::TimeSlice;
pub use open::OpenAsync;

pub(crate) use open::{in_a_runtime, no_thread, register, register_set};

/// A [`PacketSource`] with awaitable batches.
///
/// [`next_batch`](Self::next_batch) lends batches as the source itself does, without a copy. Every
/// wait can be cancelled at any moment, by `select!` or a timeout, without losing a packet: a batch
/// is taken only in the step that returns it.
///
/// ```no_run
/// use netring_async::AsyncSource;
/// use netring_sys::{Error, PacketBatch};
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), Error> {
///
/// let mut source = AsyncSource::new(capture)?;
/// while let Some(batch) = source.next_batch().await? {
///     println!("{} packets", batch.packets().count());
/// }
/// # Ok(())
/// # }
/// ```
///
/// This loop ends when a capture is stopped or a file is at its end. It continues while an
/// interface is silent or down, and returns an error if the interface is removed.
///
/// A task that always finds packets yields to timers and other tasks after a millisecond.
///
/// # Opening and closing
///
/// The kernel needs time to allocate a ring and to close a packet socket. Opening a capture with
/// the default settings takes 20 to 170 ms: about 12 ms until every processor has released the
/// socket's state, and the rest to clear and map 64 MiB. Closing takes 20 to 35 ms, nearly all of
/// it the same wait; 10 to 20 ms for a packet socket without a ring. The thread blocks meanwhile.
/// To keep a runtime's other tasks running, most of this happens on other threads:
///
/// | | opened | closed |
/// |---|---|---|
/// | [`open_with`](Self::open_with)`(…).await` | on a thread of its own | on a thread of its own |
/// | [`open`](Self::open) | in place | on a thread of its own |
/// | [`new`](Self::new) | by you | in place; on a thread of its own after [`close_in_background`](Self::close_in_background), and in a broadcast |
///
/// A source that closes on a separate thread is closed shortly after it is dropped. Await
/// [`close`](Self::close) before you open the same queue of an interface again, or rely on
/// promiscuous mode having ended.
#[derive(Debug)]
pub struct AsyncSource<S> {
    // Dropped first: the runtime forgets the set before the source closes its members.
    set: Option<AsyncFd<OwnedFd>>,
    source: Held<S>,
    time_slice: TimeSlice,
    /// The source was empty at the last look, so a pending wait is for the source, not for the next
    /// time slice.
    empty: bool,
}

impl<S: PacketSource> AsyncSource<S> {
    /// Waits for a batch. Returns `None` once the source has ended or was stopped.
    ///
    /// A link that goes down is neither the end nor an error: the wait continues, and
    /// [`Stats::link_downs`] counts it. The same is true of every error that is not
    /// [terminal](Error::is_terminal).
    ///
    /// # Errors
    /// What ends the source: [`Error::InterfaceRemoved`] once the interface is gone and its last
    /// packets were lent, damage in a file, or the call that failed. Every later call returns an
    /// error too.
    pub async fn next_batch(&mut self) -> Result<Option<S::Batch<'_>>, Error> {
        Ok(self
            .readable()
            .await?
            .then(|| self.source.get_mut().batch()))
    }

    /// Waits until a batch is available (true) or the source has ended (false), without taking it.
    /// Use it with several sources, or to take the batch later from [`get_mut`](Self::get_mut).
    ///
    /// # Errors
    /// The errors of [`next_batch`](Self::next_batch).
    pub async fn readable(&mut self) -> Result<bool, Error> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// The poll form of [`readable`](Self::readable), for hand-written futures and streams.
    ///
    /// # Errors
    /// The errors of [`next_batch`](Self::next_batch).
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        self.empty = false;
        ready!(self.time_slice.poll_proceed(cx));
        loop {
            match self.source.get_mut().ready() {
                Ok(Readiness::Ready) => return Poll::Ready(Ok(true)),
                Ok(Readiness::Ended) => return Poll::Ready(Ok(false)),
                Ok(Readiness::Empty) => {}
                Err(error) if error.is_terminal() => return Poll::Ready(Err(error)),
                // A report, such as that the link went down: the source continues.
                Err(_) => continue,
            }
            self.empty = true;
            self.time_slice.rest();
            let Some(set) = &self.set else {
                return Poll::Ready(Err(never_empty()));
            };
            // Clears readiness before the source is checked again: an edge between the two causes a
            // spurious wake-up, never a missed one.
            ready!(set.poll_read_ready(cx))
                .map_err(lost_runtime)?
                .clear_ready();
        }
    }

    /// Returns a handle that ends the source from any thread or task, for this value and for every
    /// stream or broadcast made from it.
    pub fn stop_handle(&self) -> StopHandle
    where
        S: Stop,
    {
        self.source.get().stop_handle()
    }

    /// The fate of every packet so far. Can be called at any time.
    ///
    /// # Errors
    /// The system call that reads the source's figures failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.source.get_mut().stats()
    }
}

impl<S> AsyncSource<S> {
    /// The source.
    pub const fn get_ref(&self) -> &S {
        self.source.get()
    }

    /// The source, to take batches from or to change. Do not replace it with another: the runtime
    /// would still wait for the old descriptor.
    pub const fn get_mut(&mut self) -> &mut S {
        self.source.get_mut()
    }

    /// Returns the source, and removes it from the runtime.
    pub fn into_inner(self) -> S {
        self.source.into_inner()
    }
}

#[cfg(feature = "flow")]
impl<S> AsyncSource<S> {
    /// Whether a pending wait is for the source, which was empty.
    pub(crate) const fn is_empty(&self) -> bool {
        self.empty
    }

    /// The time slice of the task that reads the source, for its other work.
    pub(crate) const fn time_slice(&mut self) -> &mut TimeSlice {
        &mut self.time_slice
    }
}

fn never_empty() -> Error {
    Error::Config {
        setting: "AsyncSource::replay",
        why: "the source was empty before its end; a source that has to be waited for needs a descriptor and \
              `AsyncSource::new`"
            .into(),
    }
}

/// The runtime reports this if it is shut down under the task.
pub(crate) fn lost_runtime(source: io::Error) -> Error {
    Error::Source {
        what: "the tokio runtime no longer waits for the packet source".into(),
        source: source.into(),
    }
}
