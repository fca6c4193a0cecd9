//! The receiving side of a queue: which items of which batch come next, and how many were lost.

use std::fmt;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use netring_sys::__event;
use tokio::task::coop;

use super::error::BroadcastRecvError;
use super::message::{Contents, Message, Queue};
use super::shared::{Progress, Shared};
use super::stats::SubscriberStats;

/// Whether a subscriber wants the item with this index.
pub(crate) type Keep<C> = Box<dyn FnMut(&C, usize) -> bool + Send + Sync>;

/// Items in a row, all wanted, of one batch.
pub(crate) struct Run<C: ?Sized> {
    /// The number of the batch's first item.
    pub(crate) first: u64,
    pub(crate) contents: Arc<C>,
    pub(crate) range: Range<usize>,
}

pub(crate) struct Feed<C: ?Sized> {
    // Dropped by `drop`, before the sender learns that there may be room.
    queue: Option<Queue<C>>,
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    /// The batch whose items are yielded.
    message: Option<Message<C>>,
    /// The next wanted items in it.
    run: Range<usize>,
    /// The first item behind `run` that the filter has not seen.
    unseen: usize,
    len: usize,
    keep: Option<Keep<C>>,
    /// The number of the first item that was not yet taken from the queue.
    expected: u64,
    lost: u64,
    /// The gap of items before `message`, which was not yet reported.
    gap: u64,
    was_polled: bool,
    done: bool,
}

impl<C: Contents + ?Sized> Feed<C> {
    pub(crate) fn new(queue: Queue<C>, shared: Arc<Shared>, progress: Arc<Progress>) -> Self {
        Self {
            queue: Some(queue),
            shared,
            // Relaxed: a count that nobody else changes.
            expected: progress.position.load(Ordering::Relaxed),
            progress,
            message: None,
            run: 0..0,
            unseen: 0,
            len: 0,
            keep: None,
            lost: 0,
            gap: 0,
            was_polled: false,
            done: false,
        }
    }

    /// Yields only items that `keep` wants, and that an earlier filter wants. The rest of the
    /// current run is not filtered.
    pub(crate) fn set_keep(&mut self, mut keep: Keep<C>)
    where
        C: 'static,
    {
        self.keep = Some(match self.keep.take() {
            None => keep,
            Some(mut before) => {
                Box::new(move |contents, index| before(contents, index) && keep(contents, index))
            }
        });
    }

    /// The next item of the current batch, unless a gap before it is to be reported first.
    #[inline]
    fn next_in_run(&mut self) -> Option<(Arc<C>, usize)> {
        if self.gap > 0 {
            return None;
        }
        let index = self.run.next()?;
        let message = match self.run.is_empty() && self.unseen == self.len {
            // The last item takes over the reference to the batch.
            true => self.message.take()?.contents,
            false => self.message.as_ref()?.contents.clone(),
        };
        Some((message, index))
    }

    /// All items up to one that is not wanted, or to the end of the batch. Call it when
    /// [`poll`](Self::poll) is ready.
    fn take_run(&mut self) -> Option<Run<C>> {
        let range = std::mem::take(&mut self.run);
        let message = match self.unseen == self.len {
            true => self.message.take()?,
            false => self.message.as_ref()?.clone(),
        };
        Some(Run {
            first: message.first,
            contents: message.contents,
            range,
        })
    }

    /// The next item, as an index into its batch.
    #[inline]
    #[expect(
        clippy::type_complexity,
        reason = "an item is a handle: its batch and its index"
    )]
    pub(crate) fn poll_item(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Arc<C>, usize), BroadcastRecvError>>> {
        loop {
            if let Some(item) = self.next_in_run() {
                return Poll::Ready(Some(Ok(item)));
            }
            match ready!(self.poll(cx)) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Waits for the next wanted items in a row, or the rest of a run that was partly taken one by
    /// one. Can be cancelled at any moment.
    pub(crate) async fn next_run(&mut self) -> Option<Result<Run<C>, BroadcastRecvError>> {
        poll_fn(|cx| {
            let polled = ready!(self.poll(cx));
            Poll::Ready(polled.map(|found| found.map(|()| self.take_run()).transpose()))
        })
        .await
        .flatten()
    }

    /// Ready with something in `run`, or with an error or the end.
    // Not inlined: it would make the path of an item in a batch too long to be inlined itself,
    // which doubles the time of an item.
    #[inline(never)]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<(), BroadcastRecvError>>> {
        while self.run.is_empty() && !self.find_run() {
            if self.done {
                return Poll::Ready(None);
            }
            if !self.was_polled {
                self.was_polled = true;
                self.shared.set_polled();
            }
            let budget = ready!(coop::poll_proceed(cx));
            let message = ready!(self.poll_message(cx));
            budget.made_progress();
            let Some(message) = message else {
                self.done = true;
                return Poll::Ready(self.shared.end().map(Err));
            };
            self.begin(message);
            if self.gap > 0 {
                break;
            }
        }
        match std::mem::take(&mut self.gap) {
            0 => Poll::Ready(Some(Ok(()))),
            lost => {
                self.lost += lost;
                __event!(
                    "broadcast",
                    WARN,
                    lost,
                    lost_so_far = self.lost,
                    "a subscriber is too slow: events are lost"
                );
                // Relaxed: a count that publishes no other memory.
                self.progress.lost.store(self.lost, Ordering::Relaxed);
                Poll::Ready(Some(Err(BroadcastRecvError::Lagged(lost))))
            }
        }
    }

    /// Starts with a batch that was taken from the queue.
    fn begin(&mut self, message: Message<C>) {
        self.len = message.contents.count();
        let published = self.shared.published();
        self.progress.take(published, message.first, self.len);
        self.gap = message.first - self.expected;
        self.expected = message.first + self.len as u64;
        self.unseen = 0;
        self.message = Some(message);
    }

    /// Finds the next wanted items in a row. The filter sees each item once. If it panics at one,
    /// that one counts as not wanted, and those before it are the run.
    fn find_run(&mut self) -> bool {
        let Some(message) = &self.message else {
            return false;
        };
        let (contents, end) = (&*message.contents, self.len);
        let Some(keep) = &mut self.keep else {
            self.run = self.unseen..end;
            self.unseen = end;
            return !self.run.is_empty();
        };
        self.run = self.unseen..self.unseen;
        while self.unseen < end {
            let index = self.unseen;
            self.unseen += 1;
            if keep(contents, index) {
                if self.run.is_empty() {
                    self.run.start = index;
                }
                self.run.end = index + 1;
            } else if !self.run.is_empty() {
                return true;
            }
        }
        let found = !self.run.is_empty();
        if !found {
            self.message = None;
        }
        found
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message<C>>> {
        let Some(queue) = &mut self.queue else {
            return Poll::Ready(None);
        };
        loop {
            match ready!(Pin::new(&mut *queue).poll_recv(cx)) {
                // Its count is of batches; the number of the next item gives the exact count.
                Some(Err(_overflowed)) => {}
                Some(Ok(message)) => {
                    if self.progress.lossless && self.shared.is_awaited() && has_room(queue) {
                        self.shared.room.notify_waiters();
                    }
                    return Poll::Ready(Some(message));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Whether the sender's wait is over: half of the queue is free. At the first free place it would
/// wake up for each batch.
fn has_room<C: ?Sized>(queue: &Queue<C>) -> bool {
    queue.len() <= queue.capacity() / 2
}

impl<C: ?Sized> Feed<C> {
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, Queue::len)
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.done
    }

    pub(crate) fn stats(&self) -> SubscriberStats {
        self.progress.stats(self.shared.published())
    }
}

impl<C: ?Sized> Drop for Feed<C> {
    fn drop(&mut self) {
        // Items that were queued for this subscriber alone make room.
        self.queue = None;
        self.shared.leave(&self.progress);
    }
}

impl<C: ?Sized> fmt::Debug for Feed<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("stats", &self.stats())
            .field("queued", &self.queued())
            .field("filtered", &self.keep.is_some())
            .finish_non_exhaustive()
    }
}
