//! The common part of all broadcast handles.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Published;
use super::channel::{Subscriptions, channel};
use super::control::Command;
use super::feed::Feed;
use super::message::{Contents, Pending};
use super::produce::Produce;
use super::task::Task;

/// The subscribers of a broadcast, and its tasks. The tasks stop when it is dropped.
pub(crate) struct Handle<C: ?Sized, R> {
    pub(crate) subscriptions: Subscriptions<C>,
    /// To each task.
    commands: Vec<mpsc::UnboundedSender<Command<R>>>,
    producer: TypeId,
}

impl<C, R> Handle<C, R>
where
    C: Contents + ?Sized + Send + Sync + 'static,
    R: Send + 'static,
{
    /// Spawns a task for each producer, with the items it has already produced.
    pub(crate) fn spawn<P>(producers: Vec<(P, P::Pending)>, capacity: usize) -> Self
    where
        P: Produce<Request = R>,
        P::Pending: Pending<Contents = C>,
    {
        let (sender, subscriptions) = channel(capacity);
        let sender = Arc::new(sender);
        let (commands, received): (Vec<_>, Vec<_>) = producers
            .iter()
            .map(|_| mpsc::unbounded_channel::<Command<R>>())
            .unzip();
        for ((number, (produce, pending)), own) in producers.into_iter().enumerate().zip(received) {
            let others = commands.iter().enumerate();
            let others = others.filter(|(other, _)| *other != number);
            let others = others.map(|(_, other)| other.downgrade()).collect();
            tokio::spawn(Task::new(produce, pending, own, sender.clone(), others).run());
        }
        // Without a task it has ended.
        if let Some(sender) = Arc::into_inner(sender) {
            sender.end(None);
        }
        Self {
            subscriptions,
            commands,
            producer: TypeId::of::<P>(),
        }
    }

    /// The number of items published so far, and the waits.
    pub(crate) fn published(&self) -> Published {
        self.subscriptions.shared().figures()
    }

    pub(crate) fn subscribe(&self, lossless: bool) -> Feed<C> {
        self.subscriptions.subscribe(lossless)
    }

    /// Asks a task. `None` if it has ended.
    pub(crate) async fn ask<A>(
        &self,
        task: usize,
        request: impl FnOnce(oneshot::Sender<A>) -> R,
    ) -> Option<A> {
        let (reply, answer) = oneshot::channel();
        let request = Command::Ask(request(reply));
        self.commands.get(task)?.send(request).ok()?;
        answer.await.ok()
    }

    pub(crate) fn stop(&self) {
        for task in &self.commands {
            // It may have ended.
            let _ = task.send(Command::Stop);
        }
    }

    /// Ends all tasks after everything that has arrived so far, and waits until they have ended.
    pub(crate) async fn shutdown(&self) {
        for task in &self.commands {
            // It may have ended.
            let _ = task.send(Command::Drain);
        }
        for task in &self.commands {
            // The task holds the other end until all is done.
            task.closed().await;
        }
    }

    /// Whether the producer is of this type.
    pub(crate) fn is_of<P: Produce>(&self) -> bool {
        self.producer == TypeId::of::<P>()
    }

    /// Ends the broadcast and returns the producer of its only task; `None` if that has ended.
    pub(crate) async fn release<P: Produce>(&self) -> Option<P> {
        self.release_all().await.pop()?
    }

    /// Ends the broadcast and returns the producer of each task that has not ended.
    pub(crate) async fn release_all<P: Produce>(&self) -> Vec<Option<P>> {
        let release = |task: &mpsc::UnboundedSender<Command<R>>| {
            let (reply, answer) = oneshot::channel();
            // It may have ended.
            let _ = task.send(Command::Release(reply));
            answer
        };
        // All are asked before the first is awaited.
        let answers: Vec<_> = self.commands.iter().map(release).collect();
        let mut producers = Vec::with_capacity(answers.len());
        for answer in answers {
            let producer = answer.await.ok().and_then(|any| any.downcast().ok());
            producers.push(producer.map(|producer| *producer));
        }
        producers
    }
}

impl<C: ?Sized, R> fmt::Debug for Handle<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("subscribers", &self.subscriptions.receiver_count())
            .field("capacity", &self.subscriptions.capacity())
            .field("published", &self.subscriptions.shared().published())
            .finish_non_exhaustive()
    }
}

/// The methods that every broadcast has. The type has a field `handle` and creates subscribers of
/// type `$subscriber` by `new`.
macro_rules! handle_methods {
    ($subscriber:ty, $items:literal) => {
        /// Creates a subscriber that never makes anyone wait. It receives the next batch that is
        /// published and all later ones; if it is too slow, it loses the oldest.
        /// After the end of the broadcast it receives the error, if there was one, and then the
        /// end.
        pub fn subscribe(&self) -> $subscriber {
            <$subscriber>::new(self.handle.subscribe(false))
        }

        /// Creates a subscriber that loses nothing: when its queue is full, the broadcast waits
        /// until half of it is free.
        ///
        /// All lossless subscribers share a separate queue of the same
        /// [`capacity`](Self::capacity); the slowest of them decides. During a wait the source is
        /// not read, so no subscriber receives anything new, and a live source drops what its ring
        /// cannot hold, which its statistics count. A lossless subscriber that never reads stops
        /// the capture for good. A wait also ends as soon as that subscriber is dropped or the
        /// broadcast is stopped; [`published`](Self::published) counts waits and their time.
        /// Changes of the source meanwhile, such as its end, are noticed after the wait.
        ///
        /// [`stop`](Self::stop), [`shutdown`](Self::shutdown) and dropping the broadcast wait for
        /// nobody: the remaining items are queued for lossless subscribers beyond the capacity.
        pub fn subscribe_lossless(&self) -> $subscriber {
            <$subscriber>::new(self.handle.subscribe(true))
        }

        /// The number of subscribers of both kinds.
        pub fn receiver_count(&self) -> usize {
            self.handle.subscriptions.receiver_count()
        }

        #[doc = concat!("The capacity of each queue in batches of 1 to 64 ", $items, ".")]
        pub fn capacity(&self) -> usize {
            self.handle.subscriptions.capacity()
        }

        /// The number of items published so far, and the waits for lossless subscribers.
        pub fn published(&self) -> $crate::broadcast::Published {
            self.handle.published()
        }

        /// The figures of each subscriber, in the order in which they joined.
        pub fn subscribers(&self) -> Vec<$crate::broadcast::SubscriberStats> {
            self.handle.subscriptions.shared().subscribers()
        }

        /// Stops the broadcast, without waiting: nothing more is taken from the source, the
        /// remaining items are published, and subscribers receive everything queued and then the
        /// end. Further calls have no effect.
        pub fn stop(&self) {
            self.handle.stop();
        }
    };
}
pub(crate) use handle_methods;
