//! Opening and closing a sink.

use std::os::fd::AsFd;

use netring_sys::{Error, OpenSink, PacketSink};

use super::AsyncSink;
use super::pause::Pause;
use crate::held::{Held, spawn_work};
use crate::source::{in_a_runtime, no_thread};
use crate::time_slice::TimeSlice;

impl<S: PacketSink + AsFd> AsyncSink<S> {
    /// Registers the sink's descriptor with the current runtime.
    ///
    /// # Errors
    /// [`Error::Config`] outside a tokio runtime; the failed call: there are too many open files,
    /// or the descriptor cannot be waited for.
    ///
    /// # Panics
    /// Panics if the runtime was built without `enable_io`.
    pub fn new(sink: S) -> Result<Self, Error> {
        Ok(Self {
            pause: Pause::new(sink.as_fd())?,
            sink: Held::new(sink),
            time_slice: TimeSlice::default(),
        })
    }

    /// Opens the interface with this name and the sink's default settings. It blocks the calling
    /// thread meanwhile, for 10 to 40 ms: see [`open_with`](Self::open_with).
    ///
    /// # Errors
    /// There is no such interface, a capability is missing, or an error of [`new`](Self::new).
    ///
    /// # Panics
    /// Panics as [`new`](Self::new) does.
    pub fn open(interface: &str) -> Result<Self, Error>
    where
        S: OpenSink + Send + 'static,
    {
        in_a_runtime("AsyncSink::open")?;
        Ok(Self::new(S::open(interface)?)?.close_in_background())
    }

    /// Opens a sink by calling `open` on a separate thread, and later drops it on one, so that the
    /// runtime's tasks keep running.
    ///
    /// The thread is in the network namespace of the thread that first polls this future. If the
    /// future is dropped while the sink is being opened, the sink is closed again.
    ///
    /// ```no_run
    /// use netring_afpacket::Injector;
    /// use netring_async::AsyncSink;
    /// # async fn example() -> Result<(), netring_sys::Error> {
    ///
    /// let settings = Injector::builder("eth0").qdisc_bypass(true);
    /// let sink = AsyncSink::open_with(|| settings.build()).await?;
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
        in_a_runtime("AsyncSink::open_with")?;
        let opening = spawn_work("netring-open", open).map_err(no_thread)?;
        Ok(Self::new(opening.wait().await?)?.close_in_background())
    }
}

impl<S: Send + 'static> AsyncSink<S> {
    /// Makes the sink close on a separate thread when this value is dropped, so that tasks on the
    /// current thread keep running. Frames that are not sent yet are lost as when the sink itself
    /// is dropped.
    #[must_use]
    pub const fn close_in_background(mut self) -> Self {
        self.sink.close_elsewhere();
        self
    }

    /// Closes the sink on a separate thread and waits until that is done. If the wait is cancelled,
    /// the sink is closed nevertheless.
    pub async fn close(self) {
        let Self { pause, sink, .. } = self;
        let sink = sink.into_inner();
        drop(pause);
        // If no thread can be started, it was dropped here.
        if let Ok(closing) = spawn_work("netring-close", move || drop(sink)) {
            closing.wait().await;
        }
    }
}
