//! A replay on its own thread, which a task awaits.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

use super::{Replay, ReplayStats};
use crate::wait::StopHandle;
use crate::{Error, PacketSink, PacketSource};

/// The replay, and the result of its run.
type Ended<K> = (Replay<K>, Result<ReplayStats, Error>);

/// A replay that runs on its own thread; made by [`Replay::start`]. A future that resolves to the
/// replay and the result of its run.
///
/// Dropping it stops the replay; the thread then closes the sink and the source.
#[must_use = "dropping it stops the replay"]
pub struct Replaying<K> {
    shared: Arc<Mutex<Shared<K>>>,
    /// `None` once the replay was returned: a later run must not be stopped.
    stop: Option<StopHandle>,
}

/// The state that the thread and the task share.
struct Shared<K> {
    ended: Option<Result<Ended<K>, Box<dyn Any + Send>>>,
    /// Of the task that waits.
    waker: Option<Waker>,
}

impl<K: PacketSink + Send + 'static> Replay<K> {
    /// Replays a source on a separate thread, as [`run`](Self::run) does, so that a task can await
    /// the end without blocking its runtime. Works with any runtime.
    ///
    /// The sink may come from an `AsyncSink` (`into_inner`). The thread is in the caller's network
    /// namespace.
    ///
    /// ```no_run
    /// # #[cfg(all(feature = "afpacket", feature = "pcap"))]
    /// # async fn example() -> Result<(), netring::Error> {
    /// use netring::pcap::CaptureFile;
    /// use netring::replay::Replay;
    /// use netring::Injector;
    ///
    /// let replay = Replay::<Injector>::open("eth0")?;
    /// let (replay, stats) = replay.start(CaptureFile::open("trace.pcapng")?)?.await;
    /// println!("{}, of which {} were committed", stats?, replay.stats().committed);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The thread cannot be started. The future has the errors of [`run`](Self::run).
    ///
    /// # Panics
    /// The future panics if the source or the sink did.
    pub fn start<S: PacketSource + Send + 'static>(
        mut self,
        mut source: S,
    ) -> Result<Replaying<K>, Error> {
        let stop = self.stop_handle();
        let shared = Arc::new(Mutex::new(Shared {
            ended: None,
            waker: None,
        }));
        let ours = Arc::clone(&shared);
        let run = move || {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let result = self.run(&mut source);
                drop(source);
                (self, result)
            }));
            let mut shared = lock(&ours);
            shared.ended = Some(ended);
            let waker = shared.waker.take();
            drop(shared);
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        let thread = thread::Builder::new().name("netring-replay".into());
        thread.spawn(run).map_err(|source| Error::Source {
            what: "cannot start the thread of the replay".into(),
            source: source.into(),
        })?;
        Ok(Replaying {
            shared,
            stop: Some(stop),
        })
    }
}

impl<K> Replaying<K> {
    /// Stops the replay; the future then resolves with the results so far. To stop it from another
    /// task, take its [handle](Replay::stop_handle) before it is started.
    pub fn stop(&self) {
        if let Some(stop) = &self.stop {
            stop.stop();
        }
    }
}

impl<K> Future for Replaying<K> {
    type Output = Ended<K>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<K>> {
        let ended = {
            let mut shared = lock(&self.shared);
            shared.waker = Some(cx.waker().clone());
            shared.ended.take()
        };
        let Some(ended) = ended else {
            return Poll::Pending;
        };
        self.stop = None;
        Poll::Ready(ended.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<K> Drop for Replaying<K> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Nothing panics while it is locked.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> fmt::Debug for Replaying<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_ended = lock(&self.shared).ended.is_some();
        f.debug_struct("Replaying")
            .field("is_ended", &is_ended)
            .finish_non_exhaustive()
    }
}
