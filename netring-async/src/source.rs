//! Any packet source, for tokio.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use netring_sys::syscall::{epoll, epoll_add};
use netring_sys::{Error, Open, PacketSource, Readiness, Stats, SyscallError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use crate::held::{Held, on_a_thread};
use crate::time_slice::TimeSlice;

/// A [`PacketSource`] that can be awaited.
///
/// Batches are lent as by the source itself, without a copy: [`next_batch`](Self::next_batch). Each
/// form that waits can be dropped at any moment, by `select!` or a time-out, and no packet is lost:
/// a batch is taken only in the step that returns it.
///
/// ```no_run
/// use netring_async::AsyncSource;
/// use netring_sys::{Error, PacketBatch};
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), Error> {
///
/// let mut source = AsyncSource::new(capture)?;
/// loop {
///     match source.next_batch().await {
///         Ok(Some(batch)) => println!("{} packets", batch.packets().count()),
///         Ok(None) => return Ok(()),
///         Err(report) if !report.is_terminal() => println!("{report}"),
///         Err(error) => return Err(error),
///     }
/// }
/// # }
/// ```
///
/// A task that finds packets at every look gives timers and other tasks their turn after a
/// millisecond.
///
/// # Opening and closing
///
/// The kernel takes its time to allocate a ring and to close a packet socket. For a capture with
/// the default settings, opening takes 20 to 170 ms: about 12 for the kernel to let go of the
/// socket's state on every processor, and the rest to clear and map 64 MiB. Closing takes 20 to 35
/// ms, nearly all of it the same wait; a packet socket without a ring takes 10 to 20. The
/// thread does nothing else meanwhile. So that other tasks of a runtime go on:
///
/// | | opened | closed |
/// |---|---|---|
/// | [`open_with`](Self::open_with)`(…).await` | on a thread of its own | on a thread of its own |
/// | [`open`](Self::open) | in place | on a thread of its own |
/// | [`new`](Self::new) | by you | in place; on a thread of its own after [`close_in_background`](Self::close_in_background), and in a broadcast |
///
/// What is closed on a thread of its own is closed a little after it was dropped. To open the same
/// queue of an interface again, or to see promiscuous mode end, wait for [`close`](Self::close).
#[derive(Debug)]
pub struct AsyncSource<S> {
    // Goes first: the runtime forgets the set before the source closes what is in it.
    set: Option<AsyncFd<OwnedFd>>,
    source: Held<S>,
    time_slice: TimeSlice,
    /// The last look found nothing: what is waited for is the source, and not the next turn.
    empty: bool,
}

impl<S: PacketSource + AsFd> AsyncSource<S> {
    /// Waits for the source's descriptor in the runtime of the caller.
    ///
    /// The descriptor has to be readable, or to have an error, once [`ready`](PacketSource::ready)
    /// has something new to say. One edge is enough: `ready` is asked until it says
    /// [`Empty`](Readiness::Empty) before each wait, and again after.
    ///
    /// # Errors
    /// [`Error::Config`] outside of a tokio runtime; the call that failed: there are too many open
    /// files, or the descriptor cannot be waited for (a file: see [`replay`](Self::replay)).
    ///
    /// # Panics
    /// The runtime was built without `enable_io`.
    pub fn new(source: S) -> Result<Self, Error> {
        in_a_runtime("AsyncSource::new")?;
        // A set of its own, with one descriptor in it. The runtime waits for edges, and tells an
        // error without data apart from readability, and keeps a hang-up for ever; through
        // the set each of the three is an edge of readability, and no more.
        let set = epoll()?;
        epoll_add(set.as_fd(), source.as_fd(), 0)?;
        #[allow(
            deprecated,
            reason = "tokio replaced it by an unsafe fn, for types whose descriptor may change or close; an OwnedFd's does not"
        )]
        let set = AsyncFd::with_interest(set, Interest::READABLE).map_err(register)?;
        Ok(Self {
            set: Some(set),
            source: Held::new(source),
            time_slice: TimeSlice::default(),
            empty: false,
        })
    }

    /// Opens the interface of this name with the source's default settings, and meanwhile holds up
    /// the thread that calls: see [`open_with`](Self::open_with).
    ///
    /// # Errors
    /// There is no such interface, a capability is missing, or as [`new`](Self::new).
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn open(interface: &str) -> Result<Self, Error>
    where
        S: Open + Send + 'static,
    {
        in_a_runtime("AsyncSource::open")?;
        Ok(Self::new(S::open(interface)?)?.close_in_background())
    }

    /// Opens a source by calling `open` on a thread of its own, and drops it on one: the tasks of
    /// the runtime go on meanwhile.
    ///
    /// The thread is in the network namespace of the thread that polls this future first. If the
    /// future is dropped while the source is being opened, the source is closed again.
    ///
    /// ```no_run
    /// use netring_afpacket::{Capture, Profile};
    /// use netring_async::AsyncSource;
    /// # async fn example() -> Result<(), netring_sys::Error> {
    ///
    /// let settings = Capture::builder()
    ///     .interface("eth0")
    ///     .profile(Profile::Immediate);
    /// let source = AsyncSource::open_with(|| settings.build()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `open` returns; no thread can be started; or as [`new`](Self::new).
    ///
    /// # Panics
    /// As [`new`](Self::new), and where `open` does.
    pub async fn open_with<F>(open: F) -> Result<Self, Error>
    where
        F: FnOnce() -> Result<S, Error> + Send + 'static,
        S: Send + 'static,
    {
        in_a_runtime("AsyncSource::open_with")?;
        let opening = on_a_thread("netring-open", open).map_err(no_thread)?;
        Ok(Self::new(opening.wait().await?)?.close_in_background())
    }
}

impl<S: PacketSource> AsyncSource<S> {
    /// Takes a source that has nothing to wait for, as it is never [`Empty`](Readiness::Empty): a
    /// capture file, a generator.
    ///
    /// It is read on the thread of the task, a batch at a time. A source that says `Empty` all the
    /// same is an [`Error::Config`] there: it could only be asked again and again.
    pub fn replay(source: S) -> Self {
        Self {
            set: None,
            source: Held::new(source),
            time_slice: TimeSlice::default(),
            empty: false,
        }
    }

    /// Waits for a batch. `None` once the source has ended, or was stopped.
    ///
    /// # Errors
    /// [`Error::LinkDown`] once each time the interface goes down, after which the source goes on
    /// (any error whose [`is_terminal`](Error::is_terminal) is false). Any other error is
    /// final, and comes again.
    pub async fn next_batch(&mut self) -> Result<Option<S::Batch<'_>>, Error> {
        Ok(self
            .readable()
            .await?
            .then(|| self.source.get_mut().batch()))
    }

    /// Waits until there is a batch (true), or never will be one (false), and takes nothing: for
    /// who holds several sources, or takes the batch later from [`get_mut`](Self::get_mut).
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub async fn readable(&mut self) -> Result<bool, Error> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// [`readable`](Self::readable), for who writes a future or a stream of their own.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        self.empty = false;
        ready!(self.time_slice.poll_proceed(cx));
        loop {
            match self.source.get_mut().ready()? {
                Readiness::Ready => return Poll::Ready(Ok(true)),
                Readiness::Ended => return Poll::Ready(Ok(false)),
                Readiness::Empty => {}
            }
            self.empty = true;
            self.time_slice.rest();
            let Some(set) = &self.set else {
                return Poll::Ready(Err(never_empty()));
            };
            // Forgotten first, and the source asked again after: an edge between the two is a
            // wake-up too many, never one too few.
            ready!(set.poll_read_ready(cx)).map_err(wait)?.clear_ready();
        }
    }

    /// What became of every packet so far, also while it runs.
    ///
    /// # Errors
    /// The call by which the source asks its kernel failed.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.source.get_mut().stats()
    }
}

impl<S> AsyncSource<S> {
    /// The source.
    pub const fn get_ref(&self) -> &S {
        self.source.get()
    }

    /// The source, to take batches from or to change. Do not put another in its place: its
    /// descriptor would not be waited for.
    pub const fn get_mut(&mut self) -> &mut S {
        self.source.get_mut()
    }

    /// The source, which the runtime forgets.
    pub fn into_inner(self) -> S {
        self.source.into_inner()
    }
}

impl<S: Send + 'static> AsyncSource<S> {
    /// From now on the source is closed on a thread of its own when this is dropped, or the stream
    /// that is made of it: tasks on this thread go on meanwhile. A [replay](Self::replay) is
    /// dropped in place all the same, as it has nothing to wait for.
    #[must_use]
    pub const fn close_in_background(mut self) -> Self {
        if self.set.is_some() {
            self.source.close_elsewhere();
        }
        self
    }

    /// Closes the source on a thread of its own, and waits until that is done. If the wait is
    /// dropped, it is closed all the same. A [replay](Self::replay) is dropped in place.
    pub async fn close(self) {
        let Self { set, source, .. } = self;
        let source = source.into_inner();
        if set.is_none() {
            return;
        }
        drop(set);
        // Without a thread it was dropped here.
        if let Ok(closing) = on_a_thread("netring-close", move || drop(source)) {
            closing.wait().await;
        }
    }
}

#[cfg(feature = "flow")]
impl<S> AsyncSource<S> {
    /// Whether a wait that is pending is one for the source, which had nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        self.empty
    }

    /// The turn of the task that reads the source, for what else it does.
    pub(crate) const fn time_slice(&mut self) -> &mut TimeSlice {
        &mut self.time_slice
    }
}

fn in_a_runtime(setting: &'static str) -> Result<(), Error> {
    Handle::try_current()
        .map(drop)
        .map_err(|error| Error::Config {
            setting,
            why: format!(
                "{error} Call it inside of a tokio runtime (`#[tokio::main]`, `Runtime::enter`)."
            ),
        })
}

fn never_empty() -> Error {
    Error::Config {
        setting: "AsyncSource::replay",
        why: "the source was empty before its end; a source that has to be waited for needs a descriptor and \
              `AsyncSource::new`"
            .into(),
    }
}

fn no_thread(source: io::Error) -> SyscallError {
    SyscallError {
        call: "clone",
        source,
    }
}

fn register(source: io::Error) -> SyscallError {
    SyscallError {
        call: "epoll_ctl(EPOLL_CTL_ADD)",
        source,
    }
}

/// The runtime says so when it is shut down under the task.
fn wait(source: io::Error) -> Error {
    Error::Source {
        what: "the tokio runtime no longer waits for the packet source".into(),
        source: source.into(),
    }
}
