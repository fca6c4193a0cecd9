//! Reassembly: from TCP segments to the bytes that each end sent, in order.
//!
//! A [`Reassembler`] stands between a tracker and a [`StreamVisitor`]. It is a [`FlowVisitor`], so
//! the tracker lends it each segment. Flows without a subscription cost one comparison per packet
//! and no memory.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use netring_flow::extract::{FiveTuple, FiveTupleKey};
//! use netring_flow::reassembly::{
//!     Interest, Reassembler, ReassemblyConfig, StreamPoint, StreamVisitor, Subscription,
//! };
//! use netring_flow::{FlowTracker, Segment};
//! # use netring_sys::{Clock, LinkType, Packet, Timestamp};
//!
//! /// Prints what clients and servers of port 80 send.
//! struct Print(Subscription<FiveTupleKey>);
//!
//! impl StreamVisitor<FiveTupleKey> for Print {
//!     type State = ();
//!
//!     fn subscribe(&mut self, first: &Segment<'_, FiveTupleKey>) -> Interest<()> {
//!         self.0.interest(first, ())
//!     }
//!
//!     fn data(
//!         &mut self,
//!         at: StreamPoint<'_, FiveTupleKey>,
//!         _: &mut (),
//!         bytes: &[u8],
//!     ) -> ControlFlow<()> {
//!         println!("{} {:?} {}: {}", at.key, at.side, at.offset, bytes.escape_ascii());
//!         ControlFlow::Continue(())
//!     }
//! }
//!
//! # fn main() -> Result<(), netring_sys::Error> {
//! let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
//! let print = Print(Subscription::all().ports([80]));
//! let mut streams = Reassembler::new(ReassemblyConfig::new(), print)?;
//! # let mut frame = Vec::new();
//! # etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
//! #     .tcp(5000, 80, 1, 1000).write(&mut frame, b"GET / HTTP/1.1\r\n").unwrap();
//! # let time = Timestamp::from_nanos(1_000_000_000, Clock::Unknown);
//! # let packet = Packet::new(&frame, time, LinkType::IPV4);
//! tracker.track(&packet, &mut streams);
//! # while tracker.finish(&mut streams) {}
//! # assert_eq!(streams.stats().delivered, 16);
//! # Ok(())
//! # }
//! ```
//!
//! # What is delivered
//!
//! - Bytes that arrive in order are lent from the packet at once, without a copy. Bytes behind a
//!   hole are held.
//! - A hole becomes a gap, and the stream goes on behind it, when its receiver has acknowledged the
//!   missing bytes and their sender sends more after the grace ([`ReassemblyConfig::ack_grace`]);
//!   at the deadline ([`ReassemblyConfig::deadline`]); to stay within the bounds of memory
//!   ([`ReassemblyConfig::max_held`]); or when the stream ends. Nothing else from the other end
//!   makes a gap. If a single acknowledgement was wrong, or a segment far ahead was forged, the
//!   stream resumes where the receiver's next acknowledgement points.
//! - Retransmitted bytes are delivered once. Which bytes win if two segments differ is
//!   [`ReassemblyConfig::overlap`]; that they differ is always reported for held bytes, and for
//!   delivered ones with [`ReassemblyConfig::compare_delivered`].
//! - Bytes that a snap length cut off are a gap.
//! - Data in a SYN is part of the stream. Of several SYNs or SYN-ACKs with different numbers, the
//!   one that the other end acknowledges counts.
//! - A keep-alive, one byte or none before the next byte, is a duplicate whatever it contains.
//! - Urgent data is left out by default ([`ReassemblyConfig::urgent`]).
//! - Without the beginning of a connection, a stream begins with the first byte seen, and is marked
//!   ([`StreamPoint::mid_stream`]). Neither acknowledgements nor the other direction are needed.
//!
//! # When a stream ends
//!
//! A stream ends when all bytes before its FIN were delivered or declared missing and its receiver
//! has acknowledged the FIN. Until then, data at the place of the FIN shows that the receiver did
//! not accept the FIN, and is delivered. A RST that its receiver would accept ends both streams at
//! once: held bytes are delivered with their gaps, and data in the RST is not part of the stream.
//! Later data is counted ([`Discarded::after_end`]), unless the end that sent the RST sends the
//! next data: then the RST was forged, and the visitor is asked again about the flow. Otherwise
//! streams end with their flow.

mod config;
mod direction;
mod ends;
mod flow;
mod held;
mod history;
mod places;
mod policy;
mod room;
mod stats;
mod steps;
mod subscription;
mod timers;
mod visitor;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use netring_sys::{Error, Timestamp};

use self::direction::Direction;
use self::flow::{Flow, Hot};
use self::places::Flows;
use self::timers::{ACKED, HOLE, Timers};
use crate::extract::TcpSegment;
use crate::table::prefetch::prefetch;
use crate::{Anomaly, EndReason, FlowEvent, FlowId, FlowVisitor, Segment};

pub use config::{ReassemblyConfig, UrgentPolicy, WhenFull};
pub use policy::OverlapPolicy;
pub use stats::{Discarded, ReassemblyStats};
pub use subscription::Subscription;
pub use visitor::{ClosedFlow, Interest, Side, StreamEnd, StreamPoint, StreamVisitor};

/// The maximum number of bytes that [`StreamVisitor::first_bytes`] sees of a stream: 4096.
pub const FIRST_BYTES: usize = 4096;

/// Timers that one packet handles at most; more than a packet can start.
const TIMERS_PER_PACKET: usize = 4;

/// Timers that one call of [`Reassembler::expire`] handles at most.
const TIMERS_PER_CALL: usize = 256;

/// Flags of segments that do more than carry data and acknowledge.
const RARE: u8 = TcpSegment::SYN | TcpSegment::FIN | TcpSegment::RST | TcpSegment::URG;

/// Reassembles the streams of the flows that its visitor subscribes to. See the [module](self).
///
/// Memory is bounded: for each subscribed flow 64 bytes, its key and the visitor's state; for held
/// bytes, the bounds of [`ReassemblyConfig`]. Time is packet time, as in the tracker.
pub struct Reassembler<K, V: StreamVisitor<K>> {
    config: ReassemblyConfig,
    visitor: V,
    /// By [`Segment::index`]: 0, or the place of a subscribed flow plus 1.
    places: Vec<u32>,
    flows: Flows<K, V::State>,
    /// Not hashed: a table that doubles would stop the packets for milliseconds.
    by_flow: BTreeMap<FlowId, u32>,
    /// The flow whose first segment is next.
    started: Option<FlowId>,
    timers: Timers,
    stats: ReassemblyStats,
    /// First bytes that are shown to the visitor.
    shown: Vec<u8>,
}

impl<K: Clone, V: StreamVisitor<K>> Reassembler<K, V> {
    /// Creates a reassembler. Flows that the tracker knew before are not reassembled.
    ///
    /// # Errors
    /// [`Error::Config`] if a setting is out of range.
    pub fn new(config: ReassemblyConfig, visitor: V) -> Result<Self, Error> {
        config.check()?;
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        Ok(Self {
            timers: Timers::new(nanos(config.deadline), nanos(config.ack_grace)),
            config,
            visitor,
            places: Vec::new(),
            flows: Flows::new(),
            by_flow: BTreeMap::new(),
            started: None,
            stats: ReassemblyStats::default(),
            shown: Vec::new(),
        })
    }

    /// The outcome of the payload so far.
    pub fn stats(&self) -> ReassemblyStats {
        let held = |hot: &Hot| hot.directions.iter().map(Direction::held).sum::<usize>();
        ReassemblyStats {
            held: self.flows.iter().map(|flow| held(&flow.hot)).sum::<usize>() as u64,
            ..self.stats
        }
    }

    /// Subscribed flows, including closed ones that linger.
    pub fn active(&self) -> usize {
        self.by_flow.len()
    }

    /// Declares gaps whose deadline or grace has passed, at most 256 in a call. Returns true if
    /// more are due; call it again then. Only needed while no packets arrive: those until `now`
    /// must be taken first. `now` is that of [`FlowTracker::expire`](crate::FlowTracker::expire).
    pub fn expire(&mut self, now: Timestamp) -> bool {
        self.fire(now, &[ACKED, HOLE], TIMERS_PER_CALL)
    }

    /// Ends the streams of all flows while the flows continue in the tracker; call it before
    /// discarding a reassembler. The reason is [`SourceEnded`](EndReason::SourceEnded); held bytes
    /// are delivered with their gaps. `now` is the packet time,
    /// [`FlowTracker::latest`](crate::FlowTracker::latest).
    pub fn end_all(&mut self, now: Timestamp) {
        let flows: Vec<_> = self.by_flow.keys().copied().collect();
        for flow in flows {
            self.flow_ended(flow, now, EndReason::SourceEnded);
        }
    }

    /// The visitor.
    pub const fn visitor(&self) -> &V {
        &self.visitor
    }

    /// The visitor.
    pub const fn visitor_mut(&mut self) -> &mut V {
        &mut self.visitor
    }

    /// Returns the visitor. Streams that have not ended are dropped.
    pub fn into_visitor(self) -> V {
        self.visitor
    }

    /// Takes a segment that only moves the position, as nearly all do. Returns false, and does
    /// nothing, if it does more.
    #[inline(always)]
    fn take_plain(&mut self, place: u32, segment: &Segment<'_, K>) -> bool {
        let Flow { hot, cold } = &mut self.flows[place as usize];
        // The end of a flow may have been reported to another visitor.
        if hot.flow != segment.flow {
            return true;
        }
        let Some(tcp) = segment.tcp() else {
            return false;
        };
        let from = segment.orientation as usize;
        let [direction, other] = {
            let [forward, reverse] = &mut hot.directions;
            if from == 0 {
                [forward, reverse]
            } else {
                [reverse, forward]
            }
        };
        let len = segment.payload.len();
        let is_new = |ack: u32| ack.wrapping_sub(other.next).cast_signed() > 0;
        if tcp.has(RARE)
            || hot.undecided
            || self.config.compare_delivered != 0
            || !direction.is_plain()
            || tcp.sequence != direction.next
            || segment.missing() != 0
            || !(other.is_plain() && !is_new(tcp.acknowledgement) || other.is_silent())
        {
            return false;
        }
        if len == 0 {
            return true;
        }
        hot.initiator = segment.initiator;
        self.stats.received += len as u64;
        self.stats.delivered += len as u64;
        let point = hot.point(segment.key, segment.orientation, segment.time);
        hot.directions[from].advance(len as u64);
        if let Some(state) = cold.as_mut().and_then(|cold| cold.state.as_mut())
            && self.visitor.data(point, state, segment.payload).is_break()
        {
            self.forget(place);
        }
        true
    }

    /// The place of a flow that is probably subscribed to.
    #[inline]
    fn place(&mut self, segment: &Segment<'_, K>) -> Option<u32> {
        if self.started.take() == Some(segment.flow) {
            return self.subscribe(segment);
        }
        self.places.get(segment.index)?.checked_sub(1)
    }
}

impl<K: Clone, V: StreamVisitor<K>> FlowVisitor<K> for Reassembler<K, V> {
    fn event(&mut self, event: FlowEvent<K>) {
        match &event {
            FlowEvent::Started { flow, .. } => self.started = Some(*flow),
            FlowEvent::Ended {
                flow, time, reason, ..
            } if !self.by_flow.is_empty() => {
                self.flow_ended(*flow, *time, *reason);
            }
            FlowEvent::Anomaly {
                kind: Anomaly::TimeWentBack,
                time,
                ..
            } => {
                self.restart_timers(*time);
            }
            _ => {}
        }
        self.visitor.event(event);
    }

    #[inline]
    fn segment(&mut self, segment: &Segment<'_, K>) {
        if self.timers.is_due(segment.time.as_nanos()) {
            self.fire(segment.time, &[HOLE], TIMERS_PER_PACKET);
        }
        if let Some(place) = self.place(segment)
            && !self.take_plain(place, segment)
        {
            self.take(place, segment);
        }
    }

    #[inline]
    fn announce(&self, index: usize) {
        if let Some(place) = self.places.get(index) {
            prefetch(place);
        }
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        if let Some(place) = self
            .places
            .get(index)
            .and_then(|place| place.checked_sub(1))
        {
            let flow = &self.flows[place as usize];
            prefetch(&flow.hot);
            prefetch(&flow.cold);
        }
    }
}

impl<K: fmt::Debug, V: StreamVisitor<K> + fmt::Debug> fmt::Debug for Reassembler<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembler")
            .field("config", &self.config)
            .field("visitor", &self.visitor)
            .field("active", &self.by_flow.len())
            .finish_non_exhaustive()
    }
}
