//! A source, and the thread on which it is opened and dropped.
//!
//! Opening a ring allocates and maps megabytes of kernel memory, and closing a packet socket waits
//! until every processor has let go of it: tens of milliseconds, in which a runtime's thread would
//! run nothing else. The threads are new ones, not those of the runtime's blocking pool: a new
//! thread is in the network namespace of the thread that starts it.

use std::thread::{Builder, JoinHandle};
use std::{fmt, io, panic};

use tokio::sync::oneshot;

/// A source that may be dropped on a thread of its own.
pub(crate) struct Held<S> {
    /// `None` only while this is dropped or taken apart.
    source: Option<S>,
    /// Drops the source elsewhere.
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
    /// From now on the source is dropped on a thread of its own.
    pub(crate) const fn close_elsewhere(&mut self) {
        self.close = Some(|source| {
            // Without a thread it is dropped here, with the closure that has it.
            let _ = on_a_thread("netring-close", move || drop(source));
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

/// Work on a thread of its own, and what it comes to.
pub(crate) struct Work<T> {
    thread: JoinHandle<()>,
    done: oneshot::Receiver<T>,
}

/// Starts work on a new thread. What nobody waits for is dropped on that thread.
///
/// # Errors
/// There are too many threads, or there is not enough memory. The work was dropped.
pub(crate) fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Work<T>> {
    let (tell, done) = oneshot::channel();
    let thread = Builder::new().name(name.into()).spawn(move || {
        let _ = tell.send(work());
    })?;
    Ok(Work { thread, done })
}

impl<T> Work<T> {
    /// Waits for the work. A panic in it goes on here.
    pub(crate) async fn wait(self) -> T {
        match self.done.await {
            Ok(result) => result,
            // The sender went without a word: the thread is unwinding, and at its end.
            Err(_) => match self.thread.join() {
                Err(payload) => panic::resume_unwind(payload),
                Ok(()) => unreachable!("work that returns tells its result"),
            },
        }
    }
}
