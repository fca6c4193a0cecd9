//! Opening and dropping a source on a separate thread.
//!
//! Opening a ring allocates and maps megabytes of kernel memory, and closing a packet socket waits
//! until every processor has released it. Both take tens of milliseconds, during which a runtime's
//! thread could run nothing else. New threads are used instead of the runtime's blocking pool,
//! because a new thread is in the network namespace of the thread that starts it.

use std::thread::{Builder, JoinHandle};
use std::{fmt, io, panic};

use tokio::sync::oneshot;

/// A source that can be dropped on a separate thread.
pub(crate) struct Held<S> {
    /// `None` only while this is dropped or taken apart.
    source: Option<S>,
    /// Drops the source on another thread.
    close: Option<fn(S)>,
}

impl<S> Held<S> {
    pub(crate) const fn new(source: S) -> Self {
        let source = Some(source);
        Self {
            source,
            close: None,
        }
    }

    pub(crate) const fn get(&self) -> &S {
        self.source.as_ref().expect(HELD)
    }

    pub(crate) const fn get_mut(&mut self) -> &mut S {
        self.source.as_mut().expect(HELD)
    }

    pub(crate) fn into_inner(mut self) -> S {
        self.source.take().expect(HELD)
    }
}

impl<S: Send + 'static> Held<S> {
    /// Makes the source drop on a separate thread from now on.
    pub(crate) const fn close_elsewhere(&mut self) {
        self.close = Some(|source| {
            // If no thread can be started, it is dropped here, with its closure.
            let _ = spawn_work("netring-close", move || drop(source));
        });
    }
}

impl<S> Drop for Held<S> {
    fn drop(&mut self) {
        if let (Some(close), Some(source)) = (self.close, self.source.take()) {
            close(source);
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Held<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

const HELD: &str = "a source is held until its holder is dropped";

/// Work on a separate thread, and its result.
pub(crate) struct Work<T> {
    thread: JoinHandle<()>,
    done: oneshot::Receiver<T>,
}

/// Starts work on a new thread. A result that nobody awaits is dropped on that thread.
///
/// # Errors
/// There are too many threads, or not enough memory. The work was dropped.
pub(crate) fn spawn_work<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Work<T>> {
    let (reply, done) = oneshot::channel();
    let thread = Builder::new().name(name.into()).spawn(move || {
        let _ = reply.send(work());
    })?;
    Ok(Work { thread, done })
}

impl<T> Work<T> {
    /// Waits for the result. A panic of the work is resumed here.
    pub(crate) async fn wait(self) -> T {
        match self.done.await {
            Ok(result) => result,
            // The sender was dropped without a result: the thread is unwinding and about to end.
            Err(_) => match self.thread.join() {
                Err(payload) => panic::resume_unwind(payload),
                Ok(()) => unreachable!("work that returns sends its result"),
            },
        }
    }
}
