//! The changes of an interface as a stream.

use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_sys::Error;
use netring_sys::wait::{LinkMonitor, LinkState};
use tokio::io::unix::AsyncFd;

use crate::source::{lost_runtime, register};

/// The changes of an interface, in order, for a task that reads no packets.
///
/// The stream ends after [`LinkState::Removed`], once the capture that made the monitor is stopped,
/// and after an error. Cancelling `next()` loses nothing.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::{AsyncSource, LinkStream};
/// # async fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) -> Result<(), netring_sys::Error> {
///
/// let mut changes = LinkStream::new(source.get_ref().link_monitor()?)?;
/// tokio::spawn(async move {
///     while let Some(Ok(state)) = changes.next().await {
///         println!("the link is {state:?}");
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LinkStream {
    // Dropped first: the runtime forgets the set before its member is closed.
    set: AsyncFd<OwnedFd>,
    monitor: LinkMonitor,
    done: bool,
}

impl LinkStream {
    /// Registers the monitor with the current runtime.
    ///
    /// # Errors
    /// [`Error::Config`] outside a tokio runtime; the failed call: there are too many open files.
    ///
    /// # Panics
    /// Panics if the runtime was built without `enable_io`.
    pub fn new(monitor: LinkMonitor) -> Result<Self, Error> {
        Ok(Self {
            set: register(monitor.as_fd(), "LinkStream::new")?,
            monitor,
            done: false,
        })
    }

    /// The state as of the last change that was yielded; at first, the state in which the interface
    /// was found.
    pub const fn state(&self) -> LinkState {
        self.monitor.state()
    }
}

impl Stream for LinkStream {
    type Item = Result<LinkState, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.done {
                return Poll::Ready(None);
            }
            match this.monitor.look() {
                Ok(Some(state)) => return Poll::Ready(Some(Ok(state))),
                Ok(None) if this.monitor.is_ended() => this.done = true,
                Ok(None) => match ready!(this.set.poll_read_ready(cx)) {
                    // Before the next look: an edge between the two wakes the task once more.
                    Ok(mut guard) => guard.clear_ready(),
                    Err(error) => {
                        this.done = true;
                        return Poll::Ready(Some(Err(lost_runtime(error))));
                    }
                },
                Err(error) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl FusedStream for LinkStream {
    fn is_terminated(&self) -> bool {
        self.done
    }
}
