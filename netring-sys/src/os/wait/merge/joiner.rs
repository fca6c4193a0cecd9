//! Adding sources to a merge from another thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use crate::SyscallError;
use crate::syscall::{event, event_clear, event_signal};

/// Adds sources to a [`Merge`](super::Merge) from another thread or task.
///
/// Opening a source takes time, during which the merged sources should not wait. A merge does not
/// end while it has a joiner.
#[derive(Debug)]
pub struct Joiner<S> {
    /// `None` only while this is dropped.
    to: Option<Sender<S>>,
    event: Arc<OwnedFd>,
}

impl<S> Joiner<S> {
    /// Adds a source, and wakes the reader of the merge. It gets the next number when the reader
    /// looks.
    ///
    /// # Errors
    /// Returns the source if the merge was dropped.
    pub fn join(&self, source: S) -> Result<(), S> {
        let Some(to) = &self.to else {
            return Err(source);
        };
        to.send(source).map_err(|error| error.0)?;
        // It fails only for a descriptor that is not an event.
        let _ = event_signal(self.event.as_fd());
        Ok(())
    }
}

impl<S> Clone for Joiner<S> {
    fn clone(&self) -> Self {
        Self {
            to: self.to.clone(),
            event: Arc::clone(&self.event),
        }
    }
}

/// The merge checks whether it was the last.
impl<S> Drop for Joiner<S> {
    fn drop(&mut self) {
        // First, so that the reader that is woken finds it gone.
        self.to = None;
        let _ = event_signal(self.event.as_fd());
    }
}

/// The end of a merge at which sources arrive.
#[derive(Debug)]
pub(super) struct Joins<S> {
    event: Arc<OwnedFd>,
    from: Vec<Receiver<S>>,
}

impl<S> Joins<S> {
    pub(super) fn new() -> Result<Self, SyscallError> {
        Ok(Self {
            event: Arc::new(event()?),
            from: Vec::new(),
        })
    }

    pub(super) fn joiner(&mut self) -> Joiner<S> {
        let (to, from) = channel();
        self.from.push(from);
        Joiner {
            to: Some(to),
            event: Arc::clone(&self.event),
        }
    }

    /// The descriptor that a joiner makes readable.
    pub(super) fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Whether more sources may come, as of the last [`take`](Self::take).
    pub(super) const fn is_open(&self) -> bool {
        !self.from.is_empty()
    }

    /// Takes what has arrived.
    pub(super) fn take(&mut self) -> Result<Vec<S>, SyscallError> {
        // First: a source that arrives after the last look makes it readable again.
        event_clear(self.event.as_fd())?;
        let mut arrived = Vec::new();
        self.from.retain(|from| {
            loop {
                match from.try_recv() {
                    Ok(source) => arrived.push(source),
                    Err(error) => return error == TryRecvError::Empty,
                }
            }
        });
        Ok(arrived)
    }
}
