//! The task behind a broadcast: takes items from a producer, publishes them, answers requests.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use netring_sys::{__event, Error};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::channel::Sender;
use super::control::{Command, Control};
use super::error::BroadcastRecvError;
use super::message::{Contents, Pending};
use super::produce::{ContentsOf, Produce};
use super::shared::{Shared, Wait};

pub(crate) struct Task<P: Produce> {
    produce: P,
    /// Items that are not yet published.
    pending: P::Pending,
    /// A batch for which the queue of the lossless subscribers had no room.
    made: Option<Arc<ContentsOf<P>>>,
    control: Control<P::Request>,
    sender: Arc<Sender<ContentsOf<P>>>,
    peers: Peers<P::Request>,
}

enum Step {
    /// There are pending items.
    Items,
    /// The producer has nothing for now, and the pending items must wait for room.
    Full,
    End(Option<Error>),
}

impl<P: Produce> Task<P> {
    pub(crate) fn new(
        produce: P,
        pending: P::Pending,
        commands: mpsc::UnboundedReceiver<Command<P::Request>>,
        sender: Arc<Sender<ContentsOf<P>>>,
        others: Vec<mpsc::WeakUnboundedSender<Command<P::Request>>>,
    ) -> Self {
        Self {
            produce,
            pending,
            made: None,
            control: Control::new(commands),
            peers: Peers {
                shared: sender.shared().clone(),
                others,
                done: false,
            },
            sender,
        }
    }

    /// Publishes until the producer ends. A producer that can wait starts when a subscriber is
    /// polled for the first time.
    pub(crate) async fn run(mut self) {
        if self.produce.can_wait() {
            let shared = self.sender.shared().clone();
            self.answer_until(shared.until_polled()).await;
        }
        let error = loop {
            self.publish(false).await;
            match self.step().await {
                Step::Items => {}
                Step::Full => self.publish(true).await,
                Step::End(error) => break error,
            }
        };
        self.publish(true).await;
        if let Some(error) = error {
            let error = BroadcastRecvError::Source(Arc::new(error));
            __event!(
                "broadcast",
                WARN,
                events = self.sender.shared().published(),
                why = %error,
                "the broadcast has failed"
            );
            self.peers.fail(error);
        }
        // Before the end is published, so that a subscriber that sees the end gets the final
        // figures.
        self.produce.finish(self.control.published);
        match self.control.release.take() {
            // If nobody waits for it any more, it is dropped.
            Some(reply) => drop(reply.send(Box::new(self.produce))),
            // The source is closed by the time that subscribers see the end.
            None => self.produce.close().await,
        }
        self.peers.done = true;
        // The last task closes the queues.
        if let Some(sender) = Arc::into_inner(self.sender) {
            __event!(
                "broadcast",
                INFO,
                events = sender.shared().published(),
                "the broadcast has ended"
            );
            sender.end(None);
        }
        // Callers that wait for the task wait for this.
        drop(self.control);
    }

    /// Waits for more items, and answers requests. Pending items are published before the task
    /// sleeps or its time slice ends.
    async fn step(&mut self) -> Step {
        poll_fn(|cx| {
            self.control.poll(&mut self.produce, cx);
            if self.control.is_released(&mut self.produce) {
                return Poll::Ready(Step::End(None));
            }
            match self.produce.poll_produce(cx, &mut self.pending) {
                Poll::Ready(Some(Ok(()))) => Poll::Ready(Step::Items),
                Poll::Ready(Some(Err(error))) => Poll::Ready(Step::End(Some(error))),
                Poll::Ready(None) => Poll::Ready(Step::End(None)),
                Poll::Pending if self.publish_rest() => Poll::Pending,
                Poll::Pending => Poll::Ready(Step::Full),
            }
        })
        .await
    }

    /// Publishes the pending items, fewer than a full batch. Returns false if it must wait for
    /// room.
    fn publish_rest(&mut self) -> bool {
        if self.skip() {
            return true;
        }
        if let Some(batch) = self.pending.batches(true).next() {
            if !self.sender.try_send(&batch, self.control.stopped) {
                self.made = Some(batch);
                return false;
            }
            self.control.published += batch.count() as u64;
        }
        true
    }

    /// Publishes full batches, and also the rest if `all` is true.
    ///
    /// If the queue of the lossy subscribers is full, subscribers on this thread get to run before
    /// each batch, so a burst larger than the queue is not lost to subscribers that keep up. A
    /// subscriber that does not use the chance costs only one yield.
    async fn publish(&mut self, all: bool) {
        if self.made.is_none() && self.skip() {
            return;
        }
        let (sender, control) = (&self.sender, &mut self.control);
        let batches = self.made.take().into_iter();
        for batch in batches.chain(self.pending.batches(all)) {
            if sender.would_overflow() {
                yield_now().await;
            }
            while !sender.try_send(&batch, control.stopped) {
                wait_for_room(sender, control, &mut self.produce).await;
            }
            control.published += batch.count() as u64;
        }
    }

    /// Drops and counts what is pending if there are no subscribers.
    fn skip(&mut self) -> bool {
        let items = self.pending.count();
        if items > 0 && self.sender.skip(items) {
            self.control.published += items as u64;
            self.pending.clear();
        }
        self.pending.count() == 0
    }

    /// Answers requests until `start` is ready or the broadcast is to stop.
    async fn answer_until(&mut self, start: impl Future<Output = ()>) {
        let mut start = pin!(start);
        poll_fn(|cx| match self.control.poll(&mut self.produce, cx) {
            true => Poll::Ready(()),
            false => start.as_mut().poll(cx),
        })
        .await;
    }
}

/// Waits until the queue of the lossless subscribers has room or the broadcast is to stop, and
/// answers requests meanwhile.
async fn wait_for_room<P: Produce>(
    sender: &Sender<ContentsOf<P>>,
    control: &mut Control<P::Request>,
    produce: &mut P,
) {
    let shared = sender.shared();
    let _counted = Wait::new(shared);
    loop {
        // It is notified of everything from now on, so nothing is missed after checking the queue.
        let mut room = pin!(shared.room.notified());
        if !sender.is_full() {
            return;
        }
        poll_fn(|cx| match control.poll(produce, cx) {
            true => Poll::Ready(()),
            false => room.as_mut().poll(cx),
        })
        .await;
        if control.stopped {
            return;
        }
    }
}

/// The other tasks of the same broadcast. If this one fails or is dropped before its end, they
/// stop.
struct Peers<R> {
    shared: Arc<Shared>,
    others: Vec<mpsc::WeakUnboundedSender<Command<R>>>,
    done: bool,
}

impl<R> Peers<R> {
    fn fail(&self, error: BroadcastRecvError) {
        self.shared.set_end(Some(error));
        for other in self.others.iter().filter_map(|other| other.upgrade()) {
            // It may have ended.
            let _ = other.send(Command::Stop);
        }
    }
}

impl<R> Drop for Peers<R> {
    fn drop(&mut self) {
        if !self.done {
            self.fail(BroadcastRecvError::Aborted);
        }
    }
}
