//! The state kept for a subscribed flow.

use std::ops::Range;

use netring_sys::Timestamp;

use super::direction::{Direction, ENDED, FROM_SYN, Output};
use super::stats::ReassemblyStats;
use super::visitor::{Side, StreamPoint, StreamVisitor};
use crate::extract::Orientation;
use crate::{FlowId, Segment};

/// A subscribed flow. Both parts are next to each other, in one page of memory.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Flow<K, S> {
    pub(super) hot: Hot,
    /// `None` if the place is free.
    pub(super) cold: Option<Cold<K, S>>,
}

/// The part that each packet of a subscribed flow reads: one cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Hot {
    pub(super) flow: FlowId,
    pub(super) initiator: Orientation,
    /// The first bytes have to decide whether the flow is of interest.
    pub(super) undecided: bool,
    /// It is not TCP.
    pub(super) datagrams: bool,
    /// Which end has reset the connection.
    pub(super) reset_by: Option<Orientation>,
    /// [`Segment::index`](crate::Segment::index), which is below 2³¹; for a free place, the next
    /// one.
    pub(super) index: u32,
    pub(super) directions: [Direction; 2],
}

const _: () = assert!(size_of::<Hot>() == 64);

/// The rest. The state comes first: each segment with data needs it, and a prefetch gets one line.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Cold<K, S> {
    /// `None` once all streams have ended.
    pub(super) state: Option<S>,
    pub(super) key: K,
}

impl Hot {
    pub(super) fn new<K>(first: &Segment<'_, K>, undecided: bool) -> Self {
        Self {
            flow: first.flow,
            initiator: first.initiator,
            undecided,
            datagrams: false,
            reset_by: None,
            index: first.index as u32,
            directions: Default::default(),
        }
    }

    /// The memory that counts for the bounds.
    pub(super) fn memory(&self) -> usize {
        self.directions.iter().map(Direction::memory).sum()
    }

    /// The number of held segments.
    pub(super) fn held_segments(&self) -> usize {
        self.directions.iter().map(Direction::held_segments).sum()
    }

    pub(super) fn are_both_ended(&self) -> bool {
        self.directions.iter().all(|direction| direction.has(ENDED))
    }

    /// The start of one of the streams.
    pub(super) fn point<'a, K>(
        &self,
        key: &'a K,
        orientation: Orientation,
        time: Timestamp,
    ) -> StreamPoint<'a, K> {
        let direction = &self.directions[orientation as usize];
        StreamPoint {
            key,
            flow: self.flow,
            side: if orientation == self.initiator {
                Side::Initiator
            } else {
                Side::Responder
            },
            orientation,
            time,
            offset: direction.position,
            mid_stream: !direction.has(FROM_SYN),
        }
    }
}

/// Reports about one direction of a flow to the visitor.
pub(super) struct Reports<'a, K, V: StreamVisitor<K>> {
    pub(super) visitor: &'a mut V,
    pub(super) state: &'a mut V::State,
    pub(super) point: StreamPoint<'a, K>,
    pub(super) stats: &'a mut ReassemblyStats,
    /// The visitor has ended the subscription.
    pub(super) stopped: bool,
}

impl<K, V: StreamVisitor<K>> Output for Reports<'_, K, V> {
    fn data(&mut self, at: u64, time: Timestamp, bytes: &[u8]) {
        if self.stopped {
            self.stats.discarded.unwanted += bytes.len() as u64;
            return;
        }
        self.stats.delivered += bytes.len() as u64;
        let at = StreamPoint {
            offset: at,
            time,
            ..self.point
        };
        self.stopped = self.visitor.data(at, self.state, bytes).is_break();
    }

    fn gap(&mut self, at: u64, time: Timestamp, missing: u64) {
        if self.stopped {
            return;
        }
        self.stats.gaps += 1;
        self.stats.missing += missing;
        let at = StreamPoint {
            offset: at,
            time,
            ..self.point
        };
        self.stopped = self.visitor.gap(at, self.state, missing).is_break();
    }

    fn inconsistent(&mut self, range: Range<u64>, time: Timestamp) {
        if self.stopped {
            return;
        }
        self.stats.inconsistencies += 1;
        let at = StreamPoint {
            offset: range.start,
            time,
            ..self.point
        };
        self.visitor.inconsistent(at, self.state, range);
    }

    fn stats(&mut self) -> &mut ReassemblyStats {
        self.stats
    }
}
