//! The flow engine.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;

use netring_sys::{Error, Packet, PacketBatch, Timestamp};

use crate::extract::{Extract, Extracted};
use crate::{
    DirectionStats, EndReason, FlowEvent, FlowId, FlowStats, History, TrackerConfig, TrackerStats,
};

/// The most flows that one call of [`FlowTracker::expire`] or [`FlowTracker::finish`] ends.
const BUDGET: usize = 1024;

/// Tracks the flows of the packets it is given, and reports what happens to them.
///
/// Time is packet time: the tracker has no clock of its own, and a packet that is older than one before it breaks nothing.
#[derive(Debug)]
pub struct FlowTracker<E: Extract> {
    extract: E,
    config: TrackerConfig,
    flows: HashMap<E::Key, (FlowId, FlowStats)>,
    stats: TrackerStats,
    latest: Option<Timestamp>,
}

impl<E: Extract> FlowTracker<E> {
    /// A tracker with the default settings.
    pub fn new(extract: E) -> Self {
        Self {
            extract,
            config: TrackerConfig::default(),
            flows: HashMap::new(),
            stats: TrackerStats::default(),
            latest: None,
        }
    }

    /// A tracker with these settings.
    ///
    /// # Errors
    /// [`Error::Config`]: a setting is out of its range.
    pub fn with_config(extract: E, config: TrackerConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            config,
            ..Self::new(extract)
        })
    }

    /// Counts a packet in its flow, and appends what happened to `events`.
    pub fn track(&mut self, packet: &Packet<'_>, events: &mut Vec<FlowEvent<E::Key>>) {
        self.stats.packets += 1;
        let time = packet.timestamp();
        self.latest = self.latest.max(Some(time));
        let found = match self.extract.extract(packet) {
            Ok(found) => found,
            Err(cause) => return self.stats.untracked.count(cause),
        };
        let bytes = u64::from(packet.wire_len());
        self.stats.tracked += 1;
        self.stats.tracked_bytes += bytes;
        self.count(&found, time, bytes, events);
    }

    fn count(
        &mut self,
        found: &Extracted<E::Key>,
        time: Timestamp,
        bytes: u64,
        events: &mut Vec<FlowEvent<E::Key>>,
    ) {
        if !self.flows.contains_key(&found.key) {
            self.stats.flows_started += 1;
            let id = FlowId(NonZeroU64::new(self.stats.flows_started).unwrap_or(NonZeroU64::MIN));
            events.push(FlowEvent::Started {
                key: found.key.clone(),
                flow: id,
                time,
                initiator: found.orientation,
            });
            let stats = FlowStats {
                initiator: found.orientation,
                established: false,
                cut: false,
                forward: DirectionStats::default(),
                reverse: DirectionStats::default(),
            };
            self.flows.insert(found.key.clone(), (id, stats));
        }
        if let Some((_, stats)) = self.flows.get_mut(&found.key) {
            let side = match found.orientation {
                crate::extract::Orientation::Forward => &mut stats.forward,
                crate::extract::Orientation::Reverse => &mut stats.reverse,
            };
            side.packets += 1;
            side.bytes += bytes;
            side.payload_bytes += u64::from(found.payload_len);
            side.first = Some(side.first.map_or(time, |first| first.min(time)));
            side.last = side.last.max(Some(time));
        }
    }

    /// Counts the packets of a batch: the same as [`track`](Self::track) for each, and faster.
    pub fn track_batch(&mut self, batch: &impl PacketBatch, events: &mut Vec<FlowEvent<E::Key>>) {
        for packet in batch.packets() {
            self.track(&packet, events);
        }
    }

    /// Ends flows that were silent for too long at `now`, and reports those that live for long: at most 1024 a call. True: more are
    /// due, call again.
    pub fn expire(&mut self, now: Timestamp, events: &mut Vec<FlowEvent<E::Key>>) -> bool {
        let idle: Duration = self.config.timeouts.other;
        self.end(EndReason::IdleTimeout, now, events, |stats| {
            now.saturating_since(stats.last()) > idle
        })
    }

    /// Ends all flows, because the source is at its end: at most 1024 a call. True: there are more, call again.
    pub fn finish(&mut self, events: &mut Vec<FlowEvent<E::Key>>) -> bool {
        let now = self.latest.unwrap_or_default();
        self.end(EndReason::SourceEnded, now, events, |_| true)
    }

    fn end(
        &mut self,
        reason: EndReason,
        time: Timestamp,
        events: &mut Vec<FlowEvent<E::Key>>,
        due: impl Fn(&FlowStats) -> bool,
    ) -> bool {
        let keys: Vec<_> = self
            .flows
            .iter()
            .filter(|(_, (_, stats))| due(stats))
            .map(|(key, _)| key.clone())
            .take(BUDGET + 1)
            .collect();
        let more = keys.len() > BUDGET;
        for key in keys.into_iter().take(BUDGET) {
            if let Some((flow, stats)) = self.flows.remove(&key) {
                self.stats.ended.count(reason);
                events.push(FlowEvent::Ended {
                    key,
                    flow,
                    time,
                    reason,
                    history: History::default(),
                    stats: Box::new(stats),
                });
            }
        }
        more
    }

    /// What became of every packet and every flow up to now.
    pub fn stats(&self) -> TrackerStats {
        self.stats
    }

    /// Flows in the table.
    pub fn active_flows(&self) -> usize {
        self.flows.len()
    }

    /// The newest packet time; `None` before the first packet.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }
}
