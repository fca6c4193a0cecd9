//! The segments of a connection in the order of their arrival, from which any reassembler must
//! build its streams.

use std::collections::BTreeSet;
use std::ops::Range;

use netring_flow::Segment;
use netring_flow::extract::{FiveTupleKey, TcpSegment};

/// A longer connection is not looked into.
const LONGEST: i64 = 64 << 20;

/// How often a stream may be tried to go back.
const MOST_TRIES: u32 = 10_000;

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Bytes(Vec<u8>),
    Missing(u64),
}

/// One direction of one connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// The reassembler's result.
    pub(super) parts: Vec<Part>,
    /// Bytes that were not delivered, although they were not sent before.
    pub(super) discarded: Vec<u8>,
    arrivals: Vec<Arrival>,
    /// The number of the first segment.
    first: Option<u32>,
}

#[derive(Debug)]
enum Arrival {
    /// Payload, and how many more bytes of it a snap length cut off.
    Data {
        number: u32,
        payload: Vec<u8>,
        cut: u32,
        discarded: bool,
    },
    /// The other end has all before this number.
    Acknowledged(u32),
}

impl Connection {
    /// Notes what the sender of this direction sent.
    pub(super) fn sent(&mut self, segment: &Segment<'_, FiveTupleKey>, discarded: bool) {
        if let Some(tcp) = segment.tcp() {
            let syn = u32::from(tcp.has(TcpSegment::SYN));
            let number = tcp.sequence.wrapping_add(syn);
            self.data(number, segment.payload, segment.missing(), discarded);
        }
    }

    /// Notes payload, and how many more bytes of it were cut off.
    pub(super) fn data(&mut self, number: u32, payload: &[u8], cut: u32, discarded: bool) {
        self.first.get_or_insert(number);
        if discarded {
            self.discarded.extend_from_slice(payload);
        }
        if !payload.is_empty() || cut != 0 {
            self.arrivals.push(Arrival::Data {
                number,
                payload: payload.to_vec(),
                cut,
                discarded,
            });
        }
    }

    /// Notes that its receiver has all before this number.
    pub(super) fn acknowledged(&mut self, number: u32) {
        self.arrivals.push(Arrival::Acknowledged(number));
    }

    /// Where the bytes are; `None` if there are none, or if they are too far apart.
    pub(super) fn ground(&self) -> Option<Ground> {
        let numbers = self.arrivals.iter().filter_map(|arrival| match arrival {
            Arrival::Data { number, .. } => Some(*number),
            Arrival::Acknowledged(_) => None,
        });
        let any = numbers.clone().next()?;
        // Half of all numbers is ahead, the other half behind.
        let place = |number: u32| i64::from(number.wrapping_sub(any) as i32);
        let lowest = numbers.map(place).fold(0, i64::min);
        let place = |number: u32| place(number) - lowest;
        let first = self.first.map_or(0, place);
        let mut ground = Ground {
            hole_before: first < 0,
            ..Ground::default()
        };
        let mut acknowledged = i64::MIN;
        for arrival in &self.arrivals {
            match arrival {
                Arrival::Acknowledged(number) => {
                    let number = place(*number);
                    ground.regresses |= number < acknowledged;
                    acknowledged = acknowledged.max(number);
                }
                Arrival::Data {
                    number,
                    payload,
                    cut,
                    discarded,
                } => {
                    let at = place(*number);
                    if at + payload.len() as i64 + i64::from(*cut) > LONGEST {
                        return None;
                    }
                    let known = Known {
                        was_cut: *cut != 0,
                        late: at < acknowledged,
                        before: at < first,
                        discarded: *discarded,
                        ..Known::default()
                    };
                    ground.add(at as usize, payload, *cut as usize, &known);
                }
            }
        }
        Some(ground)
    }
}

pub(super) fn push(parts: &mut Vec<Part>, bytes: &[u8]) {
    match parts.last_mut() {
        Some(Part::Bytes(last)) => last.extend_from_slice(bytes),
        _ => parts.push(Part::Bytes(bytes.to_vec())),
    }
}

pub(super) fn miss(parts: &mut Vec<Part>, missing: u64) {
    match parts.last_mut() {
        Some(Part::Missing(last)) => *last += missing,
        _ => parts.push(Part::Missing(missing)),
    }
}

/// The facts about each byte of a connection, from its lowest number on.
#[derive(Debug, Default)]
pub(super) struct Ground {
    pub(super) bytes: Vec<Known>,
    /// Where segments with payload begin.
    begins: BTreeSet<usize>,
    /// The first segment has a number before that of the first byte.
    pub(super) hole_before: bool,
    /// An acknowledgement came after one with a higher number.
    pub(super) regresses: bool,
}

/// The facts about a byte.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Its values: the first version sent, and the last if it differs.
    pub(super) versions: [Option<u8>; 2],
    /// A snap length cut it off, or another of its segment.
    pub(super) was_cut: bool,
    /// It came after its receiver had acknowledged it.
    pub(super) late: bool,
    /// It has a number before that of the first segment.
    pub(super) before: bool,
    /// The reassembler discarded its segment, and counts that.
    pub(super) discarded: bool,
}

impl Ground {
    fn add(&mut self, at: usize, payload: &[u8], cut: usize, known: &Known) {
        let end = at + payload.len() + cut;
        if self.bytes.len() < end {
            self.bytes.resize(end, Known::default());
        }
        self.begins.insert(at);
        for (place, byte) in self.bytes[at..].iter_mut().zip(payload) {
            match place.versions[0] {
                None => {
                    *place = known.clone();
                    place.versions[0] = Some(*byte);
                }
                Some(first) if first != *byte => place.versions[1] = Some(*byte),
                Some(_) => {}
            }
        }
        for place in &mut self.bytes[at + payload.len()..end] {
            place.was_cut = true;
        }
    }

    /// The ways in which a stream can have only bytes that were captured, each at its own place:
    /// which bytes it has. With `back`, it may go on inside of what it called missing.
    pub(super) fn traces(&self, parts: &[Part], back: bool) -> Vec<Vec<bool>> {
        let missing = matches!(parts.first(), Some(Part::Missing(_)));
        let parts = &parts[usize::from(missing)..];
        if parts.is_empty() {
            return vec![vec![false; self.bytes.len()]];
        }
        let mut tries = MOST_TRIES;
        // A stream begins with a segment, and so does what is behind a hole.
        let begins = self.begins.iter();
        let traces = begins.filter_map(|at| {
            let mut ranges = Vec::new();
            let is_one = self.trace(parts, *at, back, &mut ranges, &mut tries);
            is_one.then(|| {
                let mut has = vec![false; self.bytes.len()];
                ranges.into_iter().for_each(|range| has[range].fill(true));
                has
            })
        });
        traces.collect()
    }

    /// Whether a stream has these parts from here on, and the ranges of its bytes. What was cut off
    /// may be left out without a note.
    fn trace(
        &self,
        parts: &[Part],
        at: usize,
        back: bool,
        ranges: &mut Vec<Range<usize>>,
        tries: &mut u32,
    ) -> bool {
        let (at, rest) = match parts {
            [] => return true,
            [Part::Missing(missing), rest @ ..] => {
                let end = at.saturating_add(usize::try_from(*missing).unwrap_or(usize::MAX));
                if self.trace(rest, end, back, ranges, tries) {
                    return true;
                }
                let mut places = self.begins.range(at..end);
                return back
                    && places.any(|at| {
                        *tries = tries.saturating_sub(1);
                        *tries != 0 && self.trace(rest, *at, back, ranges, tries)
                    });
            }
            [Part::Bytes(bytes), rest @ ..] => match self.follow(bytes, at) {
                Some(end) => {
                    ranges.push(at..end);
                    (end, rest)
                }
                None => return false,
            },
        };
        let known = ranges.len();
        let is_one = self.trace(rest, at, back, ranges, tries);
        if !is_one {
            ranges.truncate(known - 1);
        }
        is_one
    }

    /// Where these bytes end if they begin here.
    fn follow(&self, bytes: &[u8], mut at: usize) -> Option<usize> {
        for byte in bytes {
            while !self.bytes.get(at)?.versions.contains(&Some(*byte)) {
                let place = &self.bytes[at];
                if place.versions[0].is_some() || !place.was_cut {
                    return None;
                }
                at += 1;
            }
            at += 1;
        }
        Some(at)
    }
}
