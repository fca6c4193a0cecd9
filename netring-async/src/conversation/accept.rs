//! Conversations on their way from the task to the stream.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use netring_sys::Error;

use super::Conversation;
use super::buffer::Room;

/// Conversations on their way from the task to the stream.
pub(super) struct Accept<K> {
    waiting: Mutex<Waiting<K>>,
    backlog: usize,
    room: Arc<Room>,
}

struct Waiting<K> {
    queue: VecDeque<Conversation<K>>,
    /// The task waits for the queue.
    full: bool,
    /// The stream was dropped.
    closed: bool,
    /// The task has ended, with this error.
    end: Option<Option<Error>>,
    stream: Option<Waker>,
}

/// The outcome for a conversation that began.
pub(super) enum Pushed {
    Queued { more_than_half_full: bool },
    Refused,
}

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            full: false,
            closed: false,
            end: None,
            stream: None,
        }
    }
}

impl<K> Accept<K> {
    pub(super) fn new(backlog: usize, room: Arc<Room>) -> Self {
        Self {
            waiting: Mutex::default(),
            backlog,
            room,
        }
    }

    /// How many wait for the stream.
    pub(super) fn len(&self) -> usize {
        self.waiting().queue.len()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<K>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a conversation, unless too many wait or nobody takes them.
    pub(super) fn push(&self, new: impl FnOnce() -> Conversation<K>) -> Pushed {
        let mut waiting = self.waiting();
        let is_full = waiting.queue.len() >= self.backlog;
        if waiting.closed || is_full && !self.room.lossless {
            return Pushed::Refused;
        }
        waiting.queue.push_back(new());
        if self.room.lossless && !waiting.full && waiting.queue.len() >= self.backlog {
            waiting.full = true;
            self.room.take();
        }
        let more_than_half_full = waiting.queue.len() > self.backlog / 2;
        wake(waiting);
        Pushed::Queued {
            more_than_half_full,
        }
    }

    pub(super) fn poll_pop(
        &self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Conversation<K>, Error>>> {
        let mut waiting = self.waiting();
        if let Some(conversation) = waiting.queue.pop_front() {
            self.leave(waiting);
            return Poll::Ready(Some(Ok(conversation)));
        }
        match &mut waiting.end {
            Some(error) => Poll::Ready(error.take().map(Err)),
            None => {
                waiting.stream = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// No more conversations are wanted.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let queue = std::mem::take(&mut waiting.queue);
        self.leave(waiting);
        // Each takes its own locks.
        drop(queue);
    }

    /// There is room again.
    fn leave(&self, mut waiting: MutexGuard<'_, Waiting<K>>) {
        let was_full = std::mem::take(&mut waiting.full);
        drop(waiting);
        if was_full {
            self.room.leave();
        }
    }

    /// The task has ended. Only the first call counts.
    pub(super) fn end(&self, error: Option<Error>) {
        let mut waiting = self.waiting();
        waiting.end.get_or_insert(error);
        wake(waiting);
    }
}

fn wake<K>(mut waiting: MutexGuard<'_, Waiting<K>>) {
    if let Some(stream) = waiting.stream.take() {
        drop(waiting);
        stream.wake();
    }
}

/// The task ended without a reason.
pub(super) fn lost_task() -> Error {
    Error::Source {
        what: "the task that reads conversations is gone".into(),
        source: io::Error::other("its runtime was shut down, or it panicked").into(),
    }
}
