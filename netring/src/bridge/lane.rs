//! One direction of a bridge: from a source to a sink, a batch at a time.

use std::time::{Duration, Instant};

use super::carry::{Carried, Carrier};
use super::frame::{Frame, Side, Verdict, Way};
use super::stats::BridgeDirectionStats;
use crate::{
    Error, Packet, PacketBatch, PacketSink, PacketSource, PacketVec, Readiness, SinkStats,
};

/// How long the end of a source waits for frames without progress.
const DRAIN: Duration = Duration::from_secs(1);

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) carrier: Carrier,
    /// Frames of a batch for which the sink had no room, from `at` on. All of them are sent before
    /// the next batch.
    backlog: PacketVec,
    at: usize,
    /// The sink has frames that the kernel did not take.
    is_unflushed: bool,
    /// When the source ended, and the number of frames in flight at the last progress.
    ended: Option<(Instant, u64)>,
    /// The figures of the sink before the first frame.
    before: SinkStats,
}

/// The result of a turn, and what it waits for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    pub(super) has_worked: bool,
    /// More frames can be taken.
    pub(super) reads: bool,
    /// Frames wait for the sink, which does not announce room.
    pub(super) retries: bool,
    /// The source has ended, and nothing waits for the sink.
    pub(super) is_done: bool,
}

/// Which end failed.
#[derive(Debug)]
pub(super) enum Failed {
    Source(Error),
    Sink(Error),
}

impl Failed {
    /// The side, for a frame that goes this way, and its error.
    pub(super) fn at(self, way: Way) -> (Side, Error) {
        match self {
            Self::Source(error) => (way.from(), error),
            Self::Sink(error) => (way.to(), error),
        }
    }
}

impl Lane {
    pub(super) const fn new(carrier: Carrier, before: SinkStats) -> Self {
        Self {
            carrier,
            backlog: PacketVec::new(),
            at: 0,
            is_unflushed: false,
            ended: None,
            before,
        }
    }

    /// Sends waiting frames, and then carries up to one batch.
    pub(super) fn turn<S: PacketSource, K: PacketSink>(
        &mut self,
        source: &mut S,
        sink: &mut K,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<Turn, Failed> {
        if self.is_unflushed {
            self.flush(sink)?;
        }
        let waited = self.waiting();
        if waited > 0 {
            self.clear(sink, decide)?;
            let left = self.waiting();
            if left > 0 {
                return Ok(Turn {
                    has_worked: left < waited,
                    retries: true,
                    ..Turn::default()
                });
            }
        }
        let mut turn = Turn {
            has_worked: waited > 0,
            ..Turn::default()
        };
        match source.ready() {
            Ok(Readiness::Ready) => {
                turn.has_worked = true;
                self.batch(source, sink, decide)?;
                self.flush(sink)?;
            }
            Ok(Readiness::Empty) => turn.reads = true,
            Ok(Readiness::Ended) => turn.is_done = self.is_drained(sink)?,
            Err(error) => return Err(Failed::Source(error)),
        }
        turn.retries = self.is_unflushed || (self.ended.is_some() && !turn.is_done);
        Ok(turn)
    }

    /// Carries a batch; frames without room in the sink are kept.
    fn batch<S: PacketSource, K: PacketSink>(
        &mut self,
        source: &mut S,
        sink: &mut K,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<(), Failed> {
        // Also if a decision panics.
        self.is_unflushed = true;
        let batch = source.batch();
        let mut rest = Rest {
            current: None,
            packets: batch.packets(),
            received: 0,
            lane: self,
        };
        for packet in rest.packets.by_ref() {
            rest.received += 1;
            rest.current = Some(packet);
            if rest.lane.carry(sink, &packet, decide, &mut rest.current)? == Carried::NoRoom {
                break;
            }
        }
        Ok(())
    }

    /// Carries a frame, after a flush if there is no room before.
    #[inline]
    fn carry<'p, K: PacketSink>(
        &mut self,
        sink: &mut K,
        packet: &Packet<'p>,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
        current: &mut Option<Packet<'p>>,
    ) -> Result<Carried, Failed> {
        let mut decide = |frame: &mut Frame<'_>| {
            // If it panics, the frame is counted, and not kept.
            *current = None;
            decide(frame)
        };
        let mut carried = self.carrier.carry(sink, packet, &mut decide);
        if matches!(carried, Ok(Carried::NoRoom)) {
            self.flush(sink)?;
            carried = self.carrier.carry(sink, packet, &mut decide);
        }
        let carried = carried.map_err(Failed::Sink)?;
        if carried == Carried::Done {
            *current = None;
        }
        Ok(carried)
    }

    /// Carries waiting frames while there is room.
    fn clear<K: PacketSink>(
        &mut self,
        sink: &mut K,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<(), Failed> {
        self.is_unflushed = true;
        let mut carried = self.carrier.resume(sink).map_err(Failed::Sink)?;
        for packet in self.backlog.iter().skip(self.at) {
            if carried == Carried::NoRoom {
                break;
            }
            // Done before the decision, so that one that panics is not repeated.
            self.at += 1;
            carried = self
                .carrier
                .carry(sink, &packet, decide)
                .inspect_err(|_| self.at -= 1)
                .map_err(Failed::Sink)?;
            self.at -= usize::from(carried == Carried::NoRoom);
        }
        if self.at == self.backlog.len() {
            self.backlog.clear();
            self.at = 0;
        }
        self.flush(sink)
    }

    /// Sends committed frames, and notes whether the interface is down.
    fn flush<K: PacketSink>(&mut self, sink: &mut K) -> Result<(), Failed> {
        match sink.flush() {
            Ok(left) => {
                self.carrier.is_down = false;
                self.is_unflushed = left > 0;
                Ok(())
            }
            Err(error) if error.is_terminal() => Err(Failed::Sink(error)),
            Err(error) => {
                let is_down = matches!(error, Error::LinkDown { .. });
                let counts = &mut self.carrier.counts;
                counts.link_downs += u64::from(is_down && !self.carrier.is_down);
                self.carrier.is_down = is_down;
                self.is_unflushed = true;
                Ok(())
            }
        }
    }

    /// Whether nothing is in flight after the end of the source, or nothing makes progress.
    fn is_drained<K: PacketSink>(&mut self, sink: &mut K) -> Result<bool, Failed> {
        let pending = sink
            .flush()
            .and_then(|_| sink.pending())
            .or_else(|error| match error.is_terminal() {
                true => Err(error),
                false => sink.pending(),
            })
            .map_err(Failed::Sink)?;
        let now = Instant::now();
        let (since, before) = *self.ended.get_or_insert((now, pending));
        if pending < before {
            self.ended = Some((now, pending));
            return Ok(pending == 0);
        }
        Ok(pending == 0 || now.saturating_duration_since(since) > DRAIN)
    }

    /// Frames that wait for room.
    pub(super) fn waiting(&self) -> u64 {
        (self.backlog.len() - self.at) as u64 + self.carrier.waiting()
    }

    /// The fate of the frames.
    pub(super) fn stats<S: PacketSource, K: PacketSink>(
        &self,
        source: &mut S,
        sink: &mut K,
    ) -> Result<BridgeDirectionStats, Failed> {
        let source = source.stats().map_err(Failed::Source)?;
        let sink = sink.stats().map_err(Failed::Sink)?;
        let counts = &self.carrier.counts;
        Ok(counts.with(&self.before, &sink, self.waiting(), source))
    }
}

/// The frames of a batch that were not carried yet. When it is dropped, because there is no room or
/// because a decision panics, the lane keeps them.
struct Rest<'a, 'p, I: Iterator<Item = Packet<'p>>> {
    /// The frame that is being carried.
    current: Option<Packet<'p>>,
    packets: I,
    received: u64,
    lane: &'a mut Lane,
}

impl<'p, I: Iterator<Item = Packet<'p>>> Drop for Rest<'_, 'p, I> {
    #[inline]
    fn drop(&mut self) {
        let lane = &mut *self.lane;
        if let Some(packet) = self.current.take() {
            lane.backlog.push(&packet);
        }
        for packet in self.packets.by_ref() {
            self.received += 1;
            lane.backlog.push(&packet);
        }
        lane.carrier.counts.received += self.received;
    }
}
