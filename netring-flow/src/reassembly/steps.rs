//! The effect of a segment, a timer or an end on the streams of a flow.

use netring_sys::Timestamp;

use super::direction::{Direction, ENDED, Incoming};
use super::flow::{Cold, Flow, Hot, Reports};
use super::timers::ACKED;
use super::visitor::{Interest, StreamEnd, StreamVisitor};
use super::{FIRST_BYTES, Reassembler, ReassemblyConfig, UrgentPolicy};
use crate::Segment;
use crate::extract::{Orientation, Piece, TcpSegment, Transport};

/// Timers that restart at once when time goes back. The rest follow with the next packets, so that
/// oscillating times do not cost more with each waiting flow.
const RESTARTS: usize = 1024;

pub(super) const BOTH: [Orientation; 2] = [Orientation::Forward, Orientation::Reverse];

impl<K: Clone, V: StreamVisitor<K>> Reassembler<K, V> {
    /// Asks the visitor about a flow that starts.
    #[inline(never)]
    pub(super) fn subscribe(&mut self, first: &Segment<'_, K>) -> Option<u32> {
        let (state, undecided) = match self.visitor.subscribe(first) {
            Interest::No => return None,
            Interest::Yes(state) => (state, false),
            Interest::FirstBytes(state) => (state, true),
        };
        self.stats.subscribed += 1;
        let hot = Hot::new(first, undecided);
        let cold = Some(Cold {
            key: first.key.clone(),
            state: Some(state),
        });
        let place = self.flows.insert(Flow { hot, cold });
        if self.places.len() <= first.index {
            self.places.resize(first.index + 1, 0);
        }
        if let Some(before) = self.places[first.index].checked_sub(1) {
            // Its end was reported to another visitor.
            self.forget(before);
        }
        self.places[first.index] = place + 1;
        self.by_flow.insert(first.flow, place);
        Some(place)
    }

    /// Takes any segment of a subscribed flow.
    #[inline(never)]
    pub(super) fn take(&mut self, place: u32, segment: &Segment<'_, K>) {
        self.flows[place as usize].hot.initiator = segment.initiator;
        if segment.piece == Piece::Held {
            return;
        }
        let len = segment.payload.len() as u64;
        let tcp = match segment.transport {
            Transport::Tcp(Some(tcp)) => tcp,
            // The rest of a datagram is not a datagram.
            _ if segment.piece == Piece::Later => {
                self.stats.unreadable += 1;
                return;
            }
            Transport::Tcp(None) => {
                self.stats.unreadable += 1;
                return;
            }
            Transport::Udp | Transport::Other => return self.datagram(place, segment),
        };
        if tcp.flags & (TcpSegment::SYN | TcpSegment::RST) == TcpSegment::SYN
            && self.was_refused(place)
        {
            // Tried again with the same number: the tracker has it in the same flow.
            self.forget(place);
            if let Some(place) = self.subscribe(segment) {
                self.stats.received += len;
                self.take_accepted(place, segment, tcp);
            }
            return;
        }
        self.stats.received += len;
        if self.is_closed(place) && self.goes_on(place, segment, tcp) {
            self.revive(place, segment);
        }
        if self.is_closed(place) {
            self.stats.discarded.after_end += len;
        } else if tcp.has(TcpSegment::RST) && segment.out_of_window {
            self.stats.discarded.out_of_window += len;
        } else if tcp.has(TcpSegment::RST) {
            self.stats.discarded.reset += len;
            self.end_flow(place, segment.time, StreamEnd::Reset);
            self.flows[place as usize].hot.reset_by = Some(segment.orientation);
        } else if self.declare_overdue(place, segment, tcp) {
            self.take_accepted(place, segment, tcp);
        } else {
            self.stats.discarded.unwanted += len;
        }
    }

    /// Declares bytes missing that were acknowledged longer ago than the grace, if their sender
    /// continues, or their receiver retracts the acknowledgement. Other packets prove nothing: they
    /// may come through another ring, which is read earlier. Returns false if that ends the
    /// subscription.
    fn declare_overdue(&mut self, place: u32, segment: &Segment<'_, K>, tcp: TcpSegment) -> bool {
        let time = segment.time;
        for from in BOTH {
            let direction = &self.flows[place as usize].hot.directions[from as usize];
            let proves = from == segment.orientation
                || tcp.has(TcpSegment::ACK) && direction.lacks(tcp.acknowledgement);
            if proves && self.timers.is_grace_over(direction, time.as_nanos()) {
                self.with(place, from, time, |direction, config, out| {
                    direction.give_up_acked(time, config, out);
                });
                if !self.is_at(place, segment.flow) {
                    return false;
                }
            }
        }
        true
    }

    /// Takes a segment that its receiver may accept: its numbers first, then its data and its FIN.
    fn take_accepted(&mut self, place: u32, segment: &Segment<'_, K>, tcp: TcpSegment) {
        let (from, to) = (segment.orientation, segment.orientation.flipped());
        let directions = &mut self.flows[place as usize].hot.directions;
        let mut sequence = tcp.sequence;
        let fin = tcp.has(TcpSegment::FIN) && !segment.out_of_window;
        if tcp.has(TcpSegment::SYN) {
            if !directions[from as usize].syn(sequence) {
                self.stats.discarded.other_syn += segment.payload.len() as u64;
                return;
            }
            sequence = sequence.wrapping_add(1);
            if tcp.has(TcpSegment::ACK) {
                directions[to as usize].answered(tcp.acknowledgement);
            }
        } else {
            let len = segment.payload_len + u32::from(fin);
            directions[from as usize].begin(sequence, len);
            if segment.proves_fin {
                let number = tcp.acknowledgement.wrapping_sub(1);
                self.with(place, to, segment.time, |direction, _, _| {
                    direction.fin(number)
                });
            }
            if tcp.has(TcpSegment::ACK) {
                self.acknowledge(place, to, tcp.acknowledgement, segment.time);
            }
        }
        if segment.payload_len != 0 {
            if tcp.has(TcpSegment::URG) && self.config.urgent == UrgentPolicy::OutOfBand {
                let direction = &mut self.flows[place as usize].hot.directions[from as usize];
                direction.urgent(sequence, segment.urgent);
            }
            let incoming = Incoming {
                sequence,
                bytes: segment.payload,
                wire_len: segment.payload_len,
                time: segment.time,
            };
            self.receive(place, from, &incoming);
        }
        if fin && self.is_at(place, segment.flow) {
            let sequence = sequence.wrapping_add(segment.payload_len);
            self.with(place, from, segment.time, |direction, _, _| {
                direction.fin(sequence);
            });
        }
    }

    fn acknowledge(&mut self, place: u32, to: Orientation, ack: u32, time: Timestamp) {
        let ended = self.with(place, to, time, |direction, _, _| {
            direction.acknowledge(ack, time)
        });
        if ended == Some(true) {
            self.end_stream(place, to, time, StreamEnd::Finished);
        }
    }

    /// Takes the data of a segment.
    fn receive(&mut self, place: u32, from: Orientation, incoming: &Incoming<'_>) {
        let flow = self.flows[place as usize].hot.flow;
        self.make_room(place, from, incoming);
        if !self.is_at(place, flow) || self.is_closed(place) {
            self.stats.discarded.given_up += incoming.bytes.len() as u64;
            return;
        }
        let hot = &mut self.flows[place as usize].hot;
        let undecided = hot.undecided;
        if hot.directions[from as usize].has(ENDED) {
            self.stats.discarded.after_end += incoming.bytes.len() as u64;
            return;
        }
        self.with(place, from, incoming.time, |direction, config, out| {
            direction.receive(incoming, config, undecided, out);
        });
        if undecided {
            self.decide(place, from, incoming.time);
        }
    }

    /// Shows the first bytes of a stream to the visitor.
    fn decide(&mut self, place: u32, from: Orientation, time: Timestamp) {
        let mut shown = std::mem::take(&mut self.shown);
        let Flow { hot, cold } = &mut self.flows[place as usize];
        hot.directions[from as usize].first_bytes(FIRST_BYTES, &mut shown);
        let mut decision = None;
        if !shown.is_empty()
            && let Some(cold) = cold
            && let Some(state) = &mut cold.state
        {
            let point = hot.point(&cold.key, from, time);
            decision = self.visitor.first_bytes(point, state, &shown);
            if shown.len() == FIRST_BYTES {
                decision = decision.or(Some(false));
            }
        }
        self.shown = shown;
        match decision {
            Some(true) => {
                let flow = self.flows[place as usize].hot.flow;
                let hot = &mut self.flows[place as usize].hot;
                hot.undecided = false;
                for from in [hot.initiator, hot.initiator.flipped()] {
                    if self.is_at(place, flow) {
                        self.with(place, from, time, |direction, config, out| {
                            direction.drain(time, config, out);
                        });
                    }
                }
            }
            Some(false) => self.forget(place),
            None => {}
        }
    }

    /// Takes a packet of a flow that is not TCP.
    fn datagram(&mut self, place: u32, segment: &Segment<'_, K>) {
        let Flow { hot, cold } = &mut self.flows[place as usize];
        let Some(cold) = cold else {
            return;
        };
        let Some(state) = &mut cold.state else {
            return;
        };
        hot.datagrams = true;
        let point = hot.point(segment.key, segment.orientation, segment.time);
        let direction = &mut hot.directions[segment.orientation as usize];
        direction.advance(u64::from(segment.payload_len));
        if hot.undecided {
            match self.visitor.first_bytes(point, state, segment.payload) {
                Some(true) => hot.undecided = false,
                Some(false) => return self.forget(place),
                None => return,
            }
        }
        if self.visitor.datagram(point, state, segment).is_break() {
            self.forget(place);
        }
    }

    /// Runs a step of one direction, with its reports to the visitor; `None` if the flow is closed.
    /// Keeps the totals and the timers.
    pub(super) fn with<R>(
        &mut self,
        place: u32,
        from: Orientation,
        now: Timestamp,
        step: impl FnOnce(&mut Direction, &ReassemblyConfig, &mut Reports<'_, K, V>) -> R,
    ) -> Option<R> {
        let Flow { hot, cold } = &mut self.flows[place as usize];
        let cold = cold.as_mut()?;
        let point = hot.point(&cold.key, from, now);
        let direction = &mut hot.directions[from as usize];
        let before = direction.memory();
        let mut reports = Reports {
            visitor: &mut self.visitor,
            state: cold.state.as_mut()?,
            point,
            stats: &mut self.stats,
            stopped: false,
        };
        let result = step(direction, &self.config, &mut reports);
        let stopped = reports.stopped;
        let max_hole = self.config.max_hole;
        let acked = direction.acked_since(max_hole).filter(|_| !hot.undecided);
        let since = [direction.hole_since(), acked];
        self.timers.set(direction, (place, from as u8), since);
        direction.tidy();
        let stats = &mut self.stats;
        stats.memory = (stats.memory + direction.memory()).saturating_sub(before);
        stats.memory_peak = stats.memory_peak.max(stats.memory);
        let finished = direction.is_finished() && !direction.has(ENDED);
        if stopped {
            self.forget(place);
            return None;
        }
        if finished {
            self.end_stream(place, from, now, StreamEnd::Finished);
        }
        Some(result)
    }

    /// Handles timers of these kinds that are due, at most `budget`. Returns true if there are
    /// more.
    #[inline(never)]
    pub(super) fn fire(&mut self, now: Timestamp, kinds: &[usize], budget: usize) -> bool {
        if self.restart(now, budget) {
            return true;
        }
        for _ in 0..budget {
            let Some((kind, (place, from))) = self.timers.next(now.as_nanos(), kinds) else {
                return false;
            };
            let from = BOTH[usize::from(from)];
            if self.flows[place as usize].hot.undecided {
                self.forget(place);
                continue;
            }
            self.with(place, from, now, |direction, config, out| {
                if kind == ACKED {
                    direction.give_up_acked(now, config, out);
                } else if !direction.waits_for_sender(now, config) {
                    direction.give_up_hole(now, config, out);
                }
            });
        }
        true
    }

    /// Lets timers of a time that is yet to come start again, because time went back, at most
    /// `budget`. Returns true if there are more.
    fn restart(&mut self, now: Timestamp, budget: usize) -> bool {
        for _ in 0..budget {
            let Some((place, from)) = self.timers.ahead_of(now.as_nanos()) else {
                return false;
            };
            self.with(place, BOTH[usize::from(from)], now, |direction, _, _| {
                direction.restart(now.as_nanos());
            });
        }
        true
    }

    /// Time went back.
    #[cold]
    pub(super) fn restart_timers(&mut self, now: Timestamp) {
        self.timers.went_back();
        self.restart(now, RESTARTS);
    }
}
