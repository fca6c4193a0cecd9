//! Conversations as they begin.

use std::any::TypeId;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_core::stream::FusedStream;
use netring_flow::FlowTracker;
use netring_flow::extract::Extract;
use netring_flow::reassembly::{Reassembler, Subscription};
use netring_sys::{Error, PacketSource};
use tokio::sync::{mpsc, oneshot};
use tokio::task::coop;

use super::accept::{Accept, lost_task};
use super::buffer::Room;
use super::task::{Last, Request, Task};
use super::visitor::Feed;
use super::{Conversation, ConversationConfig, ConversationStats};
use crate::flows::Flows;
use crate::{AsyncSource, BroadcastRecvError};

/// The conversations of a source as they begin, from [`AsyncSource::conversations`].
///
/// A task reads the source, so conversations can be read while nobody waits for the next one. A
/// conversation begins with the first byte of either end; a connection without data never becomes
/// one.
///
/// - Each half of a conversation has a bounded buffer ([`ConversationConfig::buffer`]). While it is
///   full, arriving bytes are lost to this half alone: its reader sees a gap with their number, and
///   [`ConversationStats::overrun`] counts it.
/// - When the source ends or fails, or the stream is stopped or dropped, all conversations end with
///   [`Flow(SourceEnded)`](netring_flow::EndReason::SourceEnded), unless they had already ended.
///   Their buffers can still be read.
/// - An error of the source is the last item of the stream.
///
/// A capture file is read as fast as possible; with [`ConversationConfig::lossless`] it waits for
/// the readers.
///
/// ```no_run
/// use futures::StreamExt;
/// use netring_async::{AsyncSource, Conversation};
/// use netring_flow::extract::FiveTuple;
/// use netring_flow::reassembly::Subscription;
/// use tokio::io::AsyncReadExt;
/// # async fn example(capture: netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
///
/// let source = AsyncSource::new(capture)?;
/// let web = Subscription::all().ports([80]);
/// let mut conversations = source.conversations(FiveTuple::bidirectional(), web);
/// while let Some(conversation) = conversations.next().await {
///     let Conversation { key, mut initiator, responder, .. } = conversation?;
///     tokio::spawn(async move {
///         // Only what clients send is of interest.
///         drop(responder);
///         let mut sent = Vec::new();
///         let result = initiator.read_to_end(&mut sent).await;
///         println!("{key}: {} bytes, {result:?}", sent.len());
///     });
/// }
/// # Ok(())
/// # }
/// ```
pub struct ConversationStream<K> {
    accept: Arc<Accept<K>>,
    requests: mpsc::UnboundedSender<Request>,
    last: Arc<OnceLock<Last>>,
    /// The type of the source and the tracker.
    parts: TypeId,
    done: bool,
}

impl<S> AsyncSource<S>
where
    S: PacketSource + Send + 'static,
{
    /// Reads the TCP connections of interest as streams of bytes, with the default settings.
    ///
    /// # Panics
    /// Panics outside a tokio runtime. The task of a live source ends, with an error, if the
    /// runtime was built without `enable_time`.
    pub fn conversations<E: Extract>(
        self,
        extract: E,
        subscription: Subscription<E::Key>,
    ) -> ConversationStream<E::Key> {
        let config = ConversationConfig::new();
        self.conversations_with(FlowTracker::new(extract), subscription, &config)
            .expect("the default settings are in range")
    }

    /// Reads the TCP connections of interest as streams of bytes, with these settings. Flows that
    /// the tracker knows already have no conversation.
    ///
    /// ```no_run
    /// use netring_async::ConversationConfig;
    /// use netring_flow::{FlowTracker, extract::FiveTuple};
    /// use netring_flow::reassembly::Subscription;
    /// # fn example(source: netring_async::AsyncSource<netring_afpacket::Capture>) -> Result<(), netring_sys::Error> {
    ///
    /// let config = ConversationConfig::new().buffer(64 << 10);
    /// let tracker = FlowTracker::new(FiveTuple::bidirectional());
    /// let all = source.conversations_with(tracker, Subscription::all(), &config)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of range.
    ///
    /// # Panics
    /// Panics as [`conversations`](Self::conversations) does.
    pub fn conversations_with<E: Extract>(
        self,
        tracker: FlowTracker<E>,
        subscription: Subscription<E::Key>,
        config: &ConversationConfig,
    ) -> Result<ConversationStream<E::Key>, Error> {
        config.check()?;
        let room = Arc::new(Room::new(config.buffer, config.lossless));
        let accept = Arc::new(Accept::new(config.backlog, room.clone()));
        let feed = Feed::new(subscription, accept.clone(), room);
        let streams = Reassembler::new(config.reassembly.clone(), feed)?;
        let (requests, received) = mpsc::unbounded_channel();
        let last = Arc::default();
        let flows = Flows::new(self, tracker);
        tokio::spawn(Task::new(flows, streams, received, Arc::clone(&last)).run());
        Ok(ConversationStream {
            accept,
            requests,
            last,
            parts: TypeId::of::<(Self, FlowTracker<E>)>(),
            done: false,
        })
    }
}

impl<K> ConversationStream<K> {
    /// The figures so far; after the end, the last ones.
    ///
    /// # Errors
    /// [`BroadcastRecvError::Source`] if the source's figures cannot be read, or the task was
    /// dropped with its runtime.
    pub async fn stats(&self) -> Result<ConversationStats, BroadcastRecvError> {
        let (reply, answer) = oneshot::channel();
        // The task may have ended before, or meanwhile.
        if self.requests.send(Request::Stats(reply)).is_ok()
            && let Ok(figures) = answer.await
        {
            return figures;
        }
        match self.last.get() {
            Some(last) => last.clone(),
            None => Err(BroadcastRecvError::Source(Arc::new(lost_task()))),
        }
    }

    /// Stops reading the source, without waiting. All conversations end; those that wait are still
    /// yielded, and then the stream ends.
    pub fn stop(&self) {
        // The task may have ended.
        let _ = self.requests.send(Request::Stop);
    }

    /// Ends the stream after the packets that are in the ring of a live source now, and waits until
    /// the source is closed. All conversations have ended by then, and can be read to their end.
    /// Returns the remaining items: the conversations that were not yet taken, and the error if the
    /// source had failed. If the source announces packets but does not lend them, the wait for them
    /// ends after one second.
    pub async fn shutdown(mut self) -> Vec<Result<Conversation<K>, Error>> {
        // The task may have ended.
        let _ = self.requests.send(Request::Drain);
        self.requests.closed().await;
        self.rest().await
    }

    /// Stops the stream without ending its flows. Returns the source, the tracker with its flows,
    /// and the conversations that were not yet taken. `S` and `E` are the types of its source and
    /// extractor.
    ///
    /// Nothing feeds the conversations any more, so they end with
    /// [`Flow(SourceEnded)`](netring_flow::EndReason::SourceEnded); what is in their buffers can be
    /// read. If this future is dropped, the stream stops.
    ///
    /// # Errors
    /// Returns the stream, which continues, if its source or extractor has another type; or if it
    /// is already ending, with its remaining contents.
    #[allow(clippy::type_complexity, reason = "each part has its own type")]
    pub async fn into_parts<S, E>(
        mut self,
    ) -> Result<(AsyncSource<S>, FlowTracker<E>, Vec<Conversation<K>>), Self>
    where
        S: PacketSource + Send + 'static,
        E: Extract<Key = K>,
    {
        type Parts<S, E> = (AsyncSource<S>, FlowTracker<E>);
        if self.parts != TypeId::of::<Parts<S, E>>() {
            return Err(self);
        }
        let (reply, answer) = oneshot::channel();
        // The task may have ended.
        let _ = self.requests.send(Request::Release(reply));
        let parts = answer.await.ok().and_then(|any| any.downcast().ok());
        let Some(parts) = parts else {
            return Err(self);
        };
        let (source, tracker): Parts<S, E> = *parts;
        let waiting = self.rest().await.into_iter().flatten().collect();
        Ok((source, tracker, waiting))
    }

    /// The rest after the end of the task.
    async fn rest(&mut self) -> Vec<Result<Conversation<K>, Error>> {
        let mut items = Vec::with_capacity(self.accept.len());
        while let Some(item) = poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await {
            items.push(item);
        }
        items
    }
}

impl<K> Stream for ConversationStream<K> {
    type Item = Result<Conversation<K>, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        // A stream that always finds something lets others run.
        let budget = ready!(coop::poll_proceed(cx));
        let next = ready!(this.accept.poll_pop(cx));
        budget.made_progress();
        this.done = next.is_none();
        Poll::Ready(next)
    }
}

impl<K> FusedStream for ConversationStream<K> {
    fn is_terminated(&self) -> bool {
        self.done
    }
}

impl<K> Drop for ConversationStream<K> {
    fn drop(&mut self) {
        self.stop();
        self.accept.close();
    }
}

impl<K> fmt::Debug for ConversationStream<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationStream")
            .field("waiting", &self.accept.len())
            .finish_non_exhaustive()
    }
}
