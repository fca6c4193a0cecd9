//! How long to wait for missing bytes, and the end of a stream.

use netring_sys::Timestamp;

use super::{Direction, ENDED, Extra, FIN, FROM_SYN, Incoming, KNOWN, Output};
use crate::reassembly::{ReassemblyConfig, StreamEnd};

impl Direction {
    /// Whether the stream has ended: the FIN is reached, and was acknowledged already.
    pub(in crate::reassembly) fn is_finished(&self) -> bool {
        self.has(FIN) && self.acked() == self.position + 1
    }

    /// Since when bytes are missing, if they are.
    pub(in crate::reassembly) fn hole_since(&self) -> Option<i64> {
        let extra = self.extra.as_ref()?;
        if !extra.held.is_empty() {
            Some(extra.since)
        } else if self.acked() > self.position + 1 {
            extra.acked.since(self.position)
        } else {
            None
        }
    }

    /// The place before which the receiver has all bytes, if that is beyond the next byte.
    fn acked(&self) -> u64 {
        let extra = self.extra.as_ref();
        extra.and_then(|extra| extra.acked.place()).unwrap_or(0)
    }

    /// Since when the receiver has bytes that are missing. One byte behind all others may be a FIN.
    pub(in crate::reassembly) fn acked_since(&self, max_hole: u64) -> Option<i64> {
        let extra = self.extra.as_ref()?;
        let hole = self.acked().checked_sub(self.position)?;
        let counts = if extra.held.is_empty() {
            (2..=max_hole).contains(&hole)
        } else {
            hole != 0
        };
        extra.acked.since(self.position).filter(|_| counts)
    }

    /// Lets the timers start again because time went back.
    pub(in crate::reassembly) fn restart(&mut self, now: i64) {
        if let Some(extra) = &mut self.extra {
            extra.since = now;
            extra.acked.restart(now);
        }
    }

    /// Whether the network lost the missing bytes and the sender may repeat them: the receiver's
    /// last acknowledgement says that it lacks them, and the sender has sent nothing more a whole
    /// deadline later. Restarts the time if so.
    pub(in crate::reassembly) fn waits_for_sender(
        &mut self,
        now: Timestamp,
        config: &ReassemblyConfig,
    ) -> bool {
        let (position, acked) = (self.position, self.acked());
        let Some(extra) = &mut self.extra else {
            return false;
        };
        let first = extra.held.first().unwrap_or(u64::MAX);
        let (Some(said), true) = (extra.contradicted, acked <= position) else {
            return false;
        };
        let deadline = i64::try_from(config.deadline.as_nanos()).unwrap_or(i64::MAX);
        if first - position > config.max_hole || extra.newest >= said.saturating_add(deadline) {
            return false;
        }
        extra.since = now.as_nanos();
        true
    }

    /// The deadline has passed: declares a gap, or discards data that only a forged segment
    /// explains.
    pub(in crate::reassembly) fn give_up_hole(
        &mut self,
        now: Timestamp,
        config: &ReassemblyConfig,
        out: &mut impl Output,
    ) {
        let position = self.position;
        let Some(extra) = &mut self.extra else {
            return;
        };
        let first = extra.held.first();
        let far = first.is_some_and(|first| first - position > config.max_hole);
        if far && extra.contradicted.is_some() {
            out.stats().discarded.forged += extra.held.clear() as u64;
            extra.fin = None;
        } else {
            let time = extra.held.first_time().unwrap_or(now);
            let acked = extra.data_before(extra.acked.place().unwrap_or(0));
            let until = first.unwrap_or(acked.max(position));
            let start = self.next;
            self.miss(until, time, out);
            let end = self.next;
            self.drain(now, config, out);
            if until - position > config.max_hole {
                self.extra().suspect(start..end);
            }
        }
    }

    /// The grace after an acknowledgement has passed: what it covers was not captured.
    pub(in crate::reassembly) fn give_up_acked(
        &mut self,
        now: Timestamp,
        config: &ReassemblyConfig,
        out: &mut impl Output,
    ) {
        if let Some(extra) = &mut self.extra {
            let time = extra.held.first_time().unwrap_or(now);
            let grace = i64::try_from(config.ack_grace.as_nanos()).unwrap_or(i64::MAX);
            let acked = extra.acked.place_at(now.as_nanos().saturating_sub(grace));
            let acked = extra.data_before(acked.unwrap_or(0));
            let until = extra.held.first().map_or(acked, |first| first.min(acked));
            let (start, before) = (self.next, self.position);
            self.miss(until.max(self.position), time, out);
            let (end, gap) = (self.next, self.position - before);
            self.drain(now, config, out);
            if gap > config.max_hole {
                self.extra().suspect(start..end);
            } else if self.next == end {
                // The receiver had acknowledged its start before: a repetition may be an
                // acknowledgement that was overtaken.
                self.extra().suspect(start.wrapping_add(1)..end);
            }
        }
    }

    /// Reports all remaining bytes, because the stream ends.
    pub(in crate::reassembly) fn flush(
        &mut self,
        now: Timestamp,
        config: &ReassemblyConfig,
        out: &mut impl Output,
    ) {
        while self.held() != 0 {
            self.give_up_hole(now, config, out);
        }
        if let Some(extra) = &self.extra {
            let acked = self.acked();
            let sent = match extra.fin {
                Some(fin) => fin,
                None if acked > self.position + 1 && !self.has(FIN) => acked,
                None => self.position,
            };
            let fin = extra.fin;
            self.miss(sent.max(self.position), now, out);
            if fin == Some(self.position) {
                self.flags |= FIN;
            }
        }
    }

    /// Skips to a segment that is too large to be held.
    pub(in crate::reassembly) fn jump(&mut self, incoming: &Incoming<'_>, out: &mut impl Output) {
        if let Some((_, start)) = self.locate(incoming.sequence, incoming.wire_len)
            && start > self.position
        {
            out.stats().forced_gaps += 1;
            self.miss(start, incoming.time, out);
        }
    }

    /// Why the stream ends, if `otherwise` is the reason to end it now.
    pub(in crate::reassembly) const fn end_reason(&self, otherwise: StreamEnd) -> StreamEnd {
        match otherwise {
            StreamEnd::Flow(_) if self.has(FIN) => StreamEnd::Finished,
            _ => otherwise,
        }
    }

    /// Marks the stream as ended, and frees what it needed.
    pub(in crate::reassembly) fn end(&mut self) {
        self.flags |= ENDED;
        if let Some(extra) = &mut self.extra {
            **extra = Extra {
                armed: extra.armed,
                ..Extra::default()
            };
        }
    }

    /// Lets the stream go on after its end.
    pub(in crate::reassembly) fn reopen(&mut self) {
        self.flags &= KNOWN | FROM_SYN;
        if self.position != 0 {
            // The stream now begins in the middle.
            self.flags &= !FROM_SYN;
        }
    }

    /// Discards what is held, and returns the number of bytes.
    pub(in crate::reassembly) fn discard(&mut self) -> usize {
        self.extra.as_mut().map_or(0, |extra| extra.held.clear())
    }

    /// Frees what is no longer needed.
    pub(in crate::reassembly) fn tidy(&mut self) {
        if let Some(extra) = &self.extra
            && extra.held.is_empty()
            && self.acked() <= self.position
            && extra.fin.is_none()
            && extra.urgent.is_empty()
            && extra.candidates.is_empty()
            && extra.delivered.is_empty()
            && extra.doubtful.start == extra.doubtful.end
            && extra.armed == [None; 2]
        {
            self.extra = None;
        }
    }
}
