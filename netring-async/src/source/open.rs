//! Opening and closing a source.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

#[cfg(doc)]
use netring_sys::Readiness;
use netring_sys::syscall::{epoll, epoll_add};
use netring_sys::{Build, Error, Open, PacketSource, SyscallError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;

use super::AsyncSource;
use crate::held::{Held, spawn_work};
use crate::time_slice::TimeSlice;

impl<S: PacketSource + AsFd> AsyncSource<S> {
    /// Registers the source's descriptor with the current runtime.
    ///
    /// The descriptor must become readable, or report an error, when [`ready`](PacketSource::ready)
    /// has something new to report. One edge is enough: `ready` is called until it returns
    /// [`Empty`](Readiness::Empty) before each wait, and again after it.
    ///
    /// # Errors
    /// [`Error::Config`] outside a tokio runtime; the failed call: there are too many open files,
    /// or the descriptor cannot be waited for (a file: see [`replay`](Self::replay)).
    ///
    /// # Panics
    /// Panics if the runtime was built without `enable_io`.
    pub fn new(source: S) -> Result<Self, Error> {
        Self::with_descriptor(source, |source| Some(source.as_fd()))
    }

    /// Opens the interface with this name and the source's default settings. It blocks the calling
    /// thread meanwhile: see [`open_with`](Self::open_with).
    ///
    /// # Errors
    /// There is no such interface, a capability is missing, or an error of [`new`](Self::new).
    ///
    /// # Panics
    /// Panics as [`new`](Self::new) does.
    pub fn open(interface: &str) -> Result<Self, Error>
    where
        S: Open + Send + 'static,
    {
        in_a_runtime("AsyncSource::open")?;
        Ok(Self::new(S::open(interface)?)?.close_in_background())
    }

    /// Returns the default settings of the source; open it with
    /// [`OpenAsync::open`](crate::OpenAsync::open).
    ///
    /// ```no_run
    /// use netring_afpacket::{Capture, Profile};
    /// use netring_async::{AsyncSource, OpenAsync};
    /// # async fn example() -> Result<(), netring_sys::Error> {
    ///
    /// type AsyncCapture = AsyncSource<Capture>;
    /// let settings = AsyncCapture::builder().interface("eth0");
    /// let capture = settings.profile(Profile::Immediate).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> S::Builder
    where
        S: Open,
    {
        S::builder()
    }

    /// Opens a source by calling `open` on a separate thread, and later drops it on one, so that
    /// the runtime's tasks keep running.
    ///
    /// The thread is in the network namespace of the thread that first polls this future. If the
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
    /// The errors of `open` and of [`new`](Self::new), or no thread can be started.
    ///
    /// # Panics
    /// Panics as [`new`](Self::new) does, and if `open` panics.
    pub async fn open_with<F>(open: F) -> Result<Self, Error>
    where
        F: FnOnce() -> Result<S, Error> + Send + 'static,
        S: Send + 'static,
    {
        in_a_runtime("AsyncSource::open_with")?;
        let opening = spawn_work("netring-open", open).map_err(no_thread)?;
        Ok(Self::new(opening.wait().await?)?.close_in_background())
    }
}

/// Opens a source for tokio from its settings. Implemented for the builder of every source that can
/// be waited for: [`AsyncSource::builder`] returns one.
pub trait OpenAsync: Build {
    /// Opens the source on a separate thread, as [`AsyncSource::open_with`] does; the errors and
    /// panics are the same.
    fn open(self) -> impl Future<Output = Result<AsyncSource<Self::Source>, Error>> + Send;
}

impl<B> OpenAsync for B
where
    B: Build + Send + 'static,
    B::Source: AsFd + Send + 'static,
{
    fn open(self) -> impl Future<Output = Result<AsyncSource<B::Source>, Error>> + Send {
        AsyncSource::open_with(|| self.build())
    }
}

impl<S: PacketSource> AsyncSource<S> {
    /// Like [`new`](Self::new) if the source has a descriptor, and like [`replay`](Self::replay) if
    /// it has none: for a type that is a capture or a file, and for adapters around it.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new), if there is a descriptor.
    ///
    /// # Panics
    /// Panics as [`new`](Self::new) does.
    pub fn with_descriptor(
        source: S,
        descriptor: impl FnOnce(&S) -> Option<BorrowedFd<'_>>,
    ) -> Result<Self, Error> {
        let descriptor = descriptor(&source);
        let set = descriptor.map(|descriptor| register(descriptor, "AsyncSource::new"));
        let set = set.transpose()?;
        Ok(Self {
            set,
            source: Held::new(source),
            time_slice: TimeSlice::default(),
            empty: false,
        })
    }

    /// Wraps a source that never needs waiting, because it is never [`Empty`](Readiness::Empty): a
    /// capture file, a generator.
    ///
    /// It is read on the task's thread, a batch at a time. If the source returns `Empty`
    /// nevertheless, that is an [`Error::Config`]: it could only be polled in a busy loop.
    pub fn replay(source: S) -> Self {
        Self {
            set: None,
            source: Held::new(source),
            time_slice: TimeSlice::default(),
            empty: false,
        }
    }
}

impl<S: Send + 'static> AsyncSource<S> {
    /// Makes the source close on a separate thread when this value, or a stream made from it, is
    /// dropped, so that tasks on the current thread keep running. A [replay](Self::replay) is still
    /// dropped in place, because there is nothing to wait for.
    #[must_use]
    pub const fn close_in_background(mut self) -> Self {
        if self.set.is_some() {
            self.source.close_elsewhere();
        }
        self
    }

    /// Closes the source on a separate thread and waits until that is done. If the wait is
    /// cancelled, the source is closed nevertheless. A [replay](Self::replay) is dropped in place.
    pub async fn close(self) {
        let Self { set, source, .. } = self;
        let source = source.into_inner();
        if set.is_none() {
            return;
        }
        drop(set);
        // If no thread can be started, it was dropped here.
        if let Ok(closing) = spawn_work("netring-close", move || drop(source)) {
            closing.wait().await;
        }
    }
}

/// Has the current runtime wait for a descriptor.
pub(crate) fn register(
    descriptor: BorrowedFd<'_>,
    setting: &'static str,
) -> Result<AsyncFd<OwnedFd>, Error> {
    register_set(setting, |set| epoll_add(set, descriptor, 0))
}

/// Has the current runtime wait for the members that are added to a set.
pub(crate) fn register_set(
    setting: &'static str,
    add: impl FnOnce(BorrowedFd<'_>) -> Result<(), SyscallError>,
) -> Result<AsyncFd<OwnedFd>, Error> {
    in_a_runtime(setting)?;
    // An epoll set of its own. The runtime waits for edges, reports an error without data apart
    // from readability, and keeps a hang-up forever; through the set each of the three is one edge
    // of readability.
    let set = epoll()?;
    add(set.as_fd())?;
    #[allow(
        deprecated,
        reason = "tokio replaced it by an unsafe fn, for types whose descriptor may change or close; an OwnedFd's does not"
    )]
    let set = AsyncFd::with_interest(set, Interest::READABLE);
    set.map_err(|source| {
        Error::from(SyscallError {
            call: "epoll_ctl(EPOLL_CTL_ADD)",
            source,
        })
    })
}

pub(crate) fn in_a_runtime(setting: &'static str) -> Result<(), Error> {
    Handle::try_current()
        .map(drop)
        .map_err(|error| Error::Config {
            setting,
            why: format!(
                "{error} Call it inside a tokio runtime (`#[tokio::main]`, `Runtime::enter`)."
            ),
        })
}

pub(crate) fn no_thread(source: io::Error) -> SyscallError {
    SyscallError {
        call: "clone",
        source,
    }
}
