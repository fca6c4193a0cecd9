//! Sessions from packets.

use std::fmt;

use netring_sys::{Error, Packet, PacketBatch, Timestamp};

use super::{Parser, SessionEvent, SessionStats, Sessions};
use crate::extract::Extract;
use crate::reassembly::{Reassembler, ReassemblyConfig, ReassemblyStats, Subscription};
use crate::{FlowTracker, Segment};

/// Tracks flows, and reports the messages of those with a parser. See the [module](crate::session).
pub struct SessionTracker<E: Extract, P: Parser> {
    tracker: FlowTracker<E>,
    streams: Reassembler<E::Key, Sessions<E::Key, P>>,
}

/// An event of a [`SessionTracker`].
type Events<E, P> = Vec<SessionEvent<<E as Extract>::Key, <P as Parser>::Message>>;

impl<E: Extract, P: Parser> SessionTracker<E, P> {
    /// Creates a tracker that gives each flow of interest the parser that `start` returns for its
    /// first packet, if any. Flows already in `tracker` get none.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of range.
    pub fn new(
        tracker: FlowTracker<E>,
        config: ReassemblyConfig,
        subscription: Subscription<E::Key>,
        start: impl FnMut(&Segment<'_, E::Key>) -> Option<P> + Send + 'static,
    ) -> Result<Self, Error> {
        let sessions = Sessions::new(subscription, start);
        let streams = Reassembler::new(config, sessions)?;
        Ok(Self::with_streams(tracker, streams))
    }

    /// Creates a tracker with this reassembler, so that its [`Sessions`] may have other bounds.
    pub const fn with_streams(
        tracker: FlowTracker<E>,
        streams: Reassembler<E::Key, Sessions<E::Key, P>>,
    ) -> Self {
        Self { tracker, streams }
    }

    /// Takes a packet, and appends what happened in the sessions.
    pub fn track(&mut self, packet: &Packet<'_>, events: &mut Events<E, P>) {
        self.with(events, |tracker, streams| tracker.track(packet, streams));
    }

    /// Takes the packets of a batch, and appends what happened in the sessions.
    pub fn track_batch(&mut self, batch: &impl PacketBatch, events: &mut Events<E, P>) {
        self.with(events, |tracker, streams| {
            tracker.track_batch(batch, streams);
        });
    }

    /// Advances the time while no packets arrive; see [`FlowTracker::expire`]. Returns true if more
    /// is due; call it again then.
    pub fn expire(&mut self, now: Timestamp, events: &mut Events<E, P>) -> bool {
        self.with(events, |tracker, streams| {
            streams.expire(now) || tracker.expire(now, streams)
        })
    }

    /// Ends all flows because the source has ended, at most 256 in a call. Returns true if there
    /// are more; call it again then.
    pub fn finish(&mut self, events: &mut Events<E, P>) -> bool {
        self.with(events, FlowTracker::finish)
    }

    fn with<R>(
        &mut self,
        events: &mut Events<E, P>,
        step: impl FnOnce(&mut FlowTracker<E>, &mut Reassembler<E::Key, Sessions<E::Key, P>>) -> R,
    ) -> R {
        // The caller's memory collects the events, so nothing is copied.
        std::mem::swap(events, &mut self.streams.visitor_mut().events);
        let result = step(&mut self.tracker, &mut self.streams);
        std::mem::swap(events, &mut self.streams.visitor_mut().events);
        result
    }

    /// The tracker of the flows.
    pub const fn tracker(&self) -> &FlowTracker<E> {
        &self.tracker
    }

    /// The outcome of the payload of flows with a parser.
    pub fn stats(&self) -> ReassemblyStats {
        self.streams.stats()
    }

    /// The outcome of the sessions so far.
    pub const fn session_stats(&self) -> SessionStats {
        self.streams.visitor().stats()
    }

    /// Sessions that have not ended, including those of closed flows that linger.
    pub fn active_sessions(&self) -> usize {
        self.streams.active()
    }
}

impl<E: Extract, P: Parser> fmt::Debug for SessionTracker<E, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionTracker")
            .field("tracker", &self.tracker)
            .field("active_sessions", &self.active_sessions())
            .finish_non_exhaustive()
    }
}
