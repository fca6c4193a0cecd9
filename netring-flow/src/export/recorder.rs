//! A visitor that looks at each segment and makes complete records.

mod observed;
mod stream;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use super::FlowRecord;
use crate::extract::FiveTupleKey;
use crate::visitor::{EarlyFragments, FlowVisitor, Segment};
use crate::{FlowEvent, FlowId};
use observed::Observed;

/// Makes a record of each flow that ends or reports, using all its segments.
///
/// It is a [`FlowVisitor`]: pass it to a tracker instead of a `Vec<FlowEvent>`, and take the
/// records between batches. It keeps about 600 bytes per active flow, and allocates once per flow,
/// not per packet.
///
/// Beyond the tracker's statistics it records
/// - Zeek's history with repeated letters, and the state of the connection by Zeek's rules;
/// - bytes by sequence number, and bytes that were acknowledged but never seen;
/// - all TCP flags, zero windows, and the round-trip time of the handshake;
/// - bytes of IP packets, and the type and code of the first ICMP message.
///
/// A RST or FIN that its receiver would not accept
/// ([`Anomaly::OutOfWindow`](crate::Anomaly::OutOfWindow)) changes neither state nor history,
/// unlike in Zeek, so a forged one does not close a connection. A FIN counts once its receiver
/// acknowledges it.
///
/// ```
/// use netring_flow::FlowTracker;
/// use netring_flow::export::FlowRecorder;
/// use netring_flow::extract::FiveTuple;
/// use netring_sys::{Clock, LinkType, Packet, Timestamp};
///
/// # let mut frame = Vec::new();
/// # etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
/// #     .udp(5000, 53)
/// #     .write(&mut frame, b"question")?;
/// let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
/// let mut recorder = FlowRecorder::new();
/// let time = Timestamp::from_nanos(1_000_000_000, Clock::Unknown);
/// tracker.track(&Packet::new(&frame, time, LinkType::IPV4), &mut recorder);
/// while tracker.finish(&mut recorder) {}
/// for record in recorder.drain() {
///     assert_eq!(record.state.as_str(), "S0");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct FlowRecorder {
    flows: HashMap<FlowId, Box<Observed>, BuildHasherDefault<Mixer>>,
    /// The records so far, in the order in which the tracker reported their flows. Empty it from
    /// time to time.
    pub records: Vec<FlowRecord>,
    worker: Option<u16>,
    seed: Option<u16>,
    intervals: bool,
}

impl FlowRecorder {
    /// Creates a recorder for one tracker.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the Community ID of each record; see [`FlowRecord::set_community_id`]. Default: off.
    #[must_use]
    pub fn community_id(mut self, seed: u16) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the number of the worker in each record. Use it if records of several trackers are
    /// merged: each numbers its own flows. Default: none.
    #[must_use]
    pub fn worker(mut self, worker: u16) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Makes each record cover an interval, the time since the last record of its flow; see
    /// [`FlowRecord::since`]. Collectors that add up records, such as those of IPFIX, need
    /// intervals if active flows report ([`Timeouts::active`](crate::Timeouts::active)). The
    /// recorder then keeps the last record of each flow that reported. Default: off, so each record
    /// covers the whole flow so far.
    #[must_use]
    pub fn intervals(mut self, intervals: bool) -> Self {
        self.intervals = intervals;
        self
    }

    /// Takes the records so far, in the order in which the tracker reported their flows.
    pub fn drain(&mut self) -> impl Iterator<Item = FlowRecord> {
        self.records.drain(..)
    }
}

impl FlowVisitor<FiveTupleKey> for FlowRecorder {
    const IP_LENGTHS: bool = true;

    fn event(&mut self, event: FlowEvent<FiveTupleKey>) {
        let Some(mut record) = FlowRecord::from_event(&event) else {
            return;
        };
        record.worker = self.worker;
        let earlier = match event {
            FlowEvent::Ended { flow, history, .. } => self.flows.remove(&flow).and_then(|it| {
                it.complete(&mut record, history.is_flipped());
                it.reported
            }),
            _ => self.flows.get_mut(&record.flow).and_then(|it| {
                it.complete(&mut record, false);
                let now = self.intervals.then(|| Box::new(record.clone()));
                std::mem::replace(&mut it.reported, now)
            }),
        };
        if let Some(earlier) = earlier {
            record = record.since(&earlier);
        }
        if let Some(seed) = self.seed {
            record.set_community_id(seed);
        }
        self.records.push(record);
    }

    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        let observed = self.flows.entry(segment.flow);
        let observed = observed.or_insert_with(|| Box::new(Observed::new(segment)));
        observed.segment(segment);
    }

    fn early_fragments(&mut self, fragments: &EarlyFragments<'_, FiveTupleKey>) {
        if let Some(observed) = self.flows.get_mut(&fragments.flow) {
            observed.early_fragments(fragments);
        }
    }
}

impl fmt::Debug for FlowRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowRecorder")
            .field("active_flows", &self.flows.len())
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}

/// Hashes the number of a flow. Numbers count up, so nobody can choose colliding ones.
#[derive(Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio spreads the numbers over the upper bits, which the table uses as tags.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
