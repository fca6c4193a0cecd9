//! Any packet sink for tokio.

mod open;
mod pause;

use std::future::poll_fn;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netring_sys::wait::Pacer;
use netring_sys::{Error, PacketSink, SinkStats};
use tokio::task::coop;

use crate::held::Held;
use crate::time_slice::TimeSlice;
use pause::Pause;

/// A [`PacketSink`] with awaitable room and completions.
///
/// ```no_run
/// use std::time::Duration;
/// use netring_async::AsyncSink;
/// use netring_sys::Error;
/// # async fn example(injector: netring_afpacket::Injector) -> Result<(), Error> {
///
/// let mut sink = AsyncSink::new(injector)?;
/// for n in 0..1000_u32 {
///     sink.send(&n.to_be_bytes().repeat(16)).await?;
/// }
/// let in_flight = sink.drain(Duration::from_secs(1)).await?;
/// println!("{}, {in_flight} in flight", sink.stats()?);
/// # Ok(())
/// # }
/// ```
///
/// Every wait can be cancelled at any moment: each frame is either committed or not in the step
/// that returns. Committed frames stay in the sink.
///
/// A link that goes down is not an error: the frames stay in the sink, and the wait continues until
/// the link is up. To wait for a limited time, use a timeout, or [`drain`](Self::drain).
///
/// A task that always finds room yields to timers and other tasks after a millisecond.
///
/// # Waiting
///
/// No sink announces reliably that it has room: a packet socket is writable long before its ring
/// is, and reports nothing at all if the queue of the interface is full. So a wait ends when the
/// descriptor announces something *and* frames were completed, or after a pause, which doubles from
/// 50 µs to a quarter of a second while nothing happens. A task that waits for a stalled interface
/// wakes up fewer than ten times a second; a task with frames going out at any rate waits for a
/// fraction of the time that a frame takes.
#[derive(Debug)]
pub struct AsyncSink<S> {
    // Dropped first: the runtime forgets the set before the sink closes its descriptor.
    pause: Pause,
    sink: Held<S>,
    time_slice: TimeSlice,
}

impl<S: PacketSink + AsFd> AsyncSink<S> {
    /// Copies a frame into the sink and commits it, waiting for room if necessary. While there is
    /// none, frames that were committed before are flushed. The frame itself is sent by the next
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`Error::FrameLength`] for a frame that is empty or too long, or what ends the sink:
    /// [`Error::InterfaceRemoved`], or the failed call.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), Error> {
        self.pause.start();
        // Before the frame is committed: a wait that is cancelled here has not committed it.
        poll_fn(|cx| coop::poll_proceed(cx).map(|unit| unit.made_progress())).await;
        while !self.sink.get_mut().send(frame)? {
            self.proceed().await;
            self.flush_some()?;
            if self.sink.get_mut().send(frame)? {
                break;
            }
            self.pause(None).await?;
        }
        Ok(())
    }

    /// Waits for room for one frame of `len` bytes, and lends it.
    ///
    /// # Errors
    /// The errors of [`send`](Self::send).
    pub async fn slot(&mut self, len: usize) -> Result<S::Slot<'_>, Error> {
        self.pause.start();
        // Each slot but the last is dropped at once, without effect: a slot returned from a loop
        // would be borrowed for the whole loop.
        self.proceed().await;
        while self.sink.get_mut().slot(len)?.is_none() {
            self.flush_some()?;
            if self.sink.get_mut().slot(len)?.is_some() {
                break;
            }
            self.pause(None).await?;
        }
        self.sink.get_mut().slot(len)?.ok_or(Error::Closed)
    }

    /// Waits until the kernel has taken all committed frames. It does not wait until they are sent:
    /// see [`drain`](Self::drain).
    ///
    /// # Errors
    /// [`Error::InterfaceRemoved`], or the failed call.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.pause.start();
        self.proceed().await;
        while self.flush_some()? {
            self.pause(None).await?;
        }
        Ok(())
    }

    /// Sends all committed frames, and waits until the fate of each is known or the timeout
    /// expires. Returns how many frames are still in flight; `None` waits forever.
    ///
    /// # Errors
    /// [`Error::InterfaceRemoved`], or the failed call.
    pub async fn drain(&mut self, timeout: impl Into<Option<Duration>>) -> Result<u64, Error> {
        let timeout: Option<Duration> = timeout.into();
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.pause.start();
        self.proceed().await;
        loop {
            self.flush_some()?;
            let pending = self.sink.get_mut().pending()?;
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if pending == 0 || left == Some(Duration::ZERO) {
                return Ok(pending);
            }
            self.pause(left).await?;
        }
    }

    /// Sends one frame when the pacer says that it is due: waits until then, after flushing those
    /// before it, and then for room. See [`Pacer::send`].
    ///
    /// # Errors
    /// The errors of [`send`](Self::send).
    pub async fn send_paced(&mut self, pacer: &mut Pacer, frame: &[u8]) -> Result<(), Error> {
        loop {
            let left = pacer.until_due();
            if left.is_zero() {
                break;
            }
            // Frames that the kernel does not take now wait for the next one.
            self.flush_some()?;
            self.time_slice.rest();
            self.pause.sleep(left)?;
            poll_fn(|cx| self.pause.poll_sleep(cx)).await?;
        }
        self.send(frame).await?;
        pacer.sent(frame.len());
        Ok(())
    }

    /// The fate of every frame so far. Can be called at any time.
    ///
    /// # Errors
    /// The system call that reads the sink's figures failed.
    pub fn stats(&mut self) -> Result<SinkStats, Error> {
        self.sink.get_mut().stats()
    }

    /// Lets other tasks run after a time slice: a flush may send a whole ring.
    async fn proceed(&mut self) {
        poll_fn(|cx| self.time_slice.poll_proceed(cx)).await;
    }

    /// Waits until a retry may help, but no longer than `limit`.
    async fn pause(&mut self, limit: Option<Duration>) -> Result<(), Error> {
        self.time_slice.rest();
        let (pause, sink) = (&mut self.pause, self.sink.get_mut());
        pause.arm(sink, limit)?;
        poll_fn(|cx| pause.poll(cx, sink)).await
    }

    /// Returns true if the kernel does not take everything now.
    fn flush_some(&mut self) -> Result<bool, Error> {
        match self.sink.get_mut().flush() {
            Ok(left) => Ok(left > 0),
            Err(error) if error.is_terminal() => Err(error),
            // A report, such as that the link is down: the frames wait.
            Err(_) => Ok(true),
        }
    }
}

impl<S> AsyncSink<S> {
    /// The sink.
    pub const fn get_ref(&self) -> &S {
        self.sink.get()
    }

    /// The sink, to take slots from or to change. Do not replace it with another: the runtime would
    /// still wait for the old descriptor.
    pub const fn get_mut(&mut self) -> &mut S {
        self.sink.get_mut()
    }

    /// Returns the sink, and removes it from the runtime.
    pub fn into_inner(self) -> S {
        self.sink.into_inner()
    }
}
