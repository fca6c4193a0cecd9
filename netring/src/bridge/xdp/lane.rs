//! One direction of a bridge without a copy.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::Receiving;
use crate::bridge::frame::{Verdict, Way};
use crate::bridge::lane::{Failed, Turn};
use crate::bridge::stats::{BridgeDirectionStats, Counts};
use crate::outgoing::{Reason, complete};
use crate::xdp::{Receiver, Transmitter};
use crate::{Count, Error, PacketSink, SinkStats, Stats};

/// The most packets of a batch: [`Received`](crate::xdp::Received).
const BATCH: u32 = 256;

/// The state of one direction.
#[derive(Debug)]
pub(super) struct Lane {
    way: Way,
    counts: Counts,
    is_unflushed: bool,
    pub(super) is_down: bool,
}

impl Lane {
    pub(super) fn new(way: Way) -> Self {
        Self {
            way,
            counts: Counts::default(),
            is_unflushed: false,
            is_down: false,
        }
    }

    /// Forwards up to one batch of each queue, to the sockets of the other side in turn.
    pub(super) fn turn<'umem>(
        &mut self,
        from: &mut Receiving<'umem>,
        to: &mut [Transmitter<'umem>],
        decide: &mut impl FnMut(Way, &mut [u8]) -> Verdict,
    ) -> Result<Turn, Failed> {
        let mut turn = Turn::default();
        self.is_unflushed = false;
        let sockets = to.len();
        for (queue, rx) in from.receivers.iter_mut().enumerate() {
            let tx = &mut to[queue % sockets];
            if tx.forward_room(BATCH) < BATCH {
                self.flush(tx)?;
            }
            // The ring of the receiver is the queue.
            if tx.forward_room(BATCH) < BATCH && !self.is_down {
                self.is_unflushed = true;
                continue;
            }
            let before = self.counts.received;
            self.forward(rx, tx, decide);
            turn.has_worked |= self.counts.received != before;
            turn.reads = true;
            self.flush(tx)?;
        }
        if !turn.has_worked {
            from.look_further().map_err(Failed::Source)?;
        }
        turn.retries = self.is_unflushed;
        Ok(turn)
    }

    fn forward<'umem>(
        &mut self,
        rx: &mut Receiver<'umem>,
        tx: &mut Transmitter<'umem>,
        decide: &mut impl FnMut(Way, &mut [u8]) -> Verdict,
    ) {
        let (way, is_down) = (self.way, self.is_down);
        let counts = &mut self.counts;
        let mut panic: Option<Box<dyn Any + Send>> = None;
        let mut bytes = 0;
        let forwarded = rx.receive().forward(tx, |frame| {
            counts.received += 1;
            if is_down {
                counts.link_down += 1;
                return false;
            }
            complete(frame);
            // Caught, so that the other frames of the batch are forwarded and counted.
            match catch_unwind(AssertUnwindSafe(|| decide(way, frame))) {
                Ok(Verdict::Forward) => {
                    bytes += frame.len() as u64;
                    true
                }
                Ok(Verdict::Drop) => {
                    counts.dropped += 1;
                    false
                }
                Err(payload) => {
                    counts.undecided += 1;
                    panic.get_or_insert(payload);
                    false
                }
            }
        });
        counts.committed += forwarded.sent;
        counts.bytes += bytes;
        counts.refused.add_all(Reason::TooLong, forwarded.refused);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    fn flush(&mut self, tx: &mut Transmitter<'_>) -> Result<(), Failed> {
        match tx.flush() {
            Ok(left) => {
                self.is_unflushed |= left > 0;
                self.is_down = false;
                Ok(())
            }
            Err(error) if error.is_terminal() => Err(Failed::Sink(error)),
            Err(error) => {
                let is_down = matches!(error, Error::LinkDown { .. });
                self.counts.link_downs += u64::from(is_down && !self.is_down);
                self.is_down = is_down;
                self.is_unflushed = true;
                Ok(())
            }
        }
    }

    pub(super) fn stats(
        &self,
        from: &Receiving<'_>,
        to: &mut [Transmitter<'_>],
    ) -> Result<BridgeDirectionStats, Failed> {
        let mut source = Stats::counted(0);
        for rx in &from.receivers {
            let stats = rx.stats().map_err(Failed::Source)?;
            let dropped = stats.ring_full + stats.no_chunk;
            let mut one = Stats::counted(stats.delivered);
            one.dropped = Count::Exact(dropped);
            one.invalid = Count::Exact(stats.invalid);
            // No other counter includes those in the ring.
            one.offered = Count::AtLeast(stats.delivered + dropped + stats.invalid);
            source += one;
        }
        (source.freezes, source.link_downs) = (Count::Unavailable, from.waiter.link_downs());
        let sink = to.iter_mut().map(PacketSink::stats);
        let sink: SinkStats = sink.sum::<Result<_, _>>().map_err(Failed::Sink)?;
        let before = SinkStats::counted(0, 0);
        Ok(self.counts.with(&before, &sink, 0, source))
    }
}
