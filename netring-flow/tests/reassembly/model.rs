//! Random segments against a model that keeps each byte by itself.

use std::time::Duration;

use netring_flow::reassembly::{OverlapPolicy, ReassemblyConfig, Side};
use proptest::prelude::*;

use crate::common::{ACK, Bench, SYN};

/// Where new bytes win, by the relation of the two segments: starts before and ends inside; starts
/// before and covers; same start and shorter; same range; same start and longer; inside; starts
/// after with the same end; starts after and ends beyond.
const POLICIES: [(OverlapPolicy, &[u8; 8]); 8] = [
    (OverlapPolicy::First, b"oooooooo"),
    (OverlapPolicy::Vista, b"oooooooo"),
    (OverlapPolicy::Bsd, b"nnoooooo"),
    (OverlapPolicy::Windows, b"nnoooooo"),
    (OverlapPolicy::Linux, b"nnoonooo"),
    (OverlapPolicy::OldLinux, b"nnonnooo"),
    (OverlapPolicy::Solaris, b"ononnoon"),
    (OverlapPolicy::Last, b"nnnnnnnn"),
];

/// One place of the stream.
#[derive(Clone, Copy, Default)]
struct Byte {
    value: u8,
    /// The piece of a segment that brought the place first: its start and its end.
    piece: (usize, usize),
    held: bool,
}

struct Model {
    bytes: Vec<Byte>,
    position: usize,
    rules: &'static [u8; 8],
    differences: u64,
}

impl Model {
    fn new(rules: &'static [u8; 8]) -> Self {
        Self {
            bytes: vec![Byte::default(); 400],
            position: 0,
            rules,
            differences: 0,
        }
    }

    fn wins(&self, new: (usize, usize), old: (usize, usize)) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let column = match (new.0.cmp(&old.0), new.1.cmp(&old.1)) {
            (Less, Less) => 0,
            (Less, _) => 1,
            (Equal, Less) => 2,
            (Equal, Equal) => 3,
            (Equal, Greater) => 4,
            (Greater, Less) => 5,
            (Greater, Equal) => 6,
            (Greater, Greater) => 7,
        };
        self.rules[column] == b'n'
    }

    fn segment(&mut self, start: usize, data: &[u8]) {
        let (from, end) = (start.max(self.position), start + data.len());
        if from >= end {
            return;
        }
        let last = self.bytes.iter().rposition(|byte| byte.held);
        let probes = end - from == 1 && last == Some(from) && from > self.position;
        if probes {
            return;
        }
        let (mut fresh, mut differs) = (None, false);
        for place in from..end {
            let (value, byte) = (data[place - start], self.bytes[place]);
            if byte.held {
                fresh = None;
                differs |= byte.value != value;
                if self.wins((from, end), byte.piece) {
                    self.bytes[place].value = value;
                }
            } else {
                let first = *fresh.get_or_insert(place);
                self.bytes[place] = Byte {
                    value,
                    piece: (first, place + 1),
                    held: true,
                };
                for byte in &mut self.bytes[first..place] {
                    byte.piece.1 = place + 1;
                }
            }
        }
        self.differences += u64::from(differs);
        while self.bytes[self.position].held {
            self.bytes[self.position].held = false;
            self.position += 1;
        }
    }

    /// The stream with a dot for each byte that never came.
    fn stream(&self) -> Vec<u8> {
        let end = self.bytes.iter().rposition(|byte| byte.held);
        let end = end.map_or(self.position, |last| last + 1);
        let places = self.bytes[..end].iter().enumerate();
        places
            .map(|(at, byte)| {
                if at < self.position || byte.held {
                    byte.value
                } else {
                    b'.'
                }
            })
            .collect()
    }
}

/// Segments of a stream, some of them forged.
fn segments() -> impl Strategy<Value = Vec<(usize, usize, u8)>> {
    let segment = (
        0_usize..250,
        1_usize..40,
        prop_oneof![3 => Just(0_u8), 1 => 1_u8..3],
    );
    prop::collection::vec(segment, 1..60)
}

fn content(place: usize, version: u8) -> u8 {
    b'A' + ((place * 7 + usize::from(version) * 5) % 50) as u8
}

proptest! {
    #[test]
    fn streams_are_those_of_the_model(
        segments in segments(),
        isn in any::<u32>(),
        acked in any::<bool>(),
        (policy, rules) in prop::sample::select(&POLICIES[..]),
        compare in prop_oneof![Just(0_usize), Just(8), Just(1 << 16)],
    ) {
        let config = ReassemblyConfig::new()
            .overlap(policy)
            .deadline(Duration::MAX)
            .compare_delivered(compare);
        let mut bench = Bench::with(config);
        bench.shift = [isn, 0];
        let mut model = Model::new(rules);
        bench.c(SYN, 0, 0, b"");
        for (start, len, version) in segments {
            let data: Vec<_> = (start..start + len).map(|at| content(at, version)).collect();
            model.segment(start, &data);
            bench.c(ACK, 1 + start as u32, 1, &data);
            if acked {
                // What is delivered, and nothing beyond.
                bench.s(ACK, 1, 1 + model.position as u32, b"");
            }
            let stream = &bench.streams.visitor().streams[Side::Initiator as usize];
            prop_assert_eq!(stream.len(), model.position);
            bench.stats();
        }
        let stats = bench.stats();
        if compare == 0 {
            prop_assert_eq!(stats.inconsistencies, model.differences);
        } else {
            prop_assert!(stats.inconsistencies >= model.differences);
        }
        bench.finish();
        let stream = &bench.streams.visitor().streams[Side::Initiator as usize];
        prop_assert_eq!(stream, &model.stream());
        let missing = model.stream().iter().filter(|byte| **byte == b'.').count();
        prop_assert_eq!(bench.stats().missing, missing as u64);
    }

    /// Whatever the order, the losses and the cuts are: each byte is the sender's, at its place,
    /// and what is not delivered is in a gap of the right length.
    #[test]
    fn no_byte_is_at_a_wrong_place(
        segments in prop::collection::vec((0_usize..4000, 1_usize..600, 0_usize..700), 1..80),
        isn in any::<u32>(),
        (policy, _) in prop::sample::select(&POLICIES[..]),
        room in prop_oneof![Just(1_usize), 200_usize..4000],
        pauses in prop::collection::vec(any::<bool>(), 80),
    ) {
        let config = ReassemblyConfig::new()
            .overlap(policy)
            .deadline(Duration::from_millis(50))
            .max_held_per_flow(room);
        let mut bench = Bench::with(config);
        bench.shift = [isn, 0];
        bench.c(SYN, 0, 0, b"");
        for ((start, len, cut), pause) in segments.into_iter().zip(pauses) {
            let data: Vec<_> = (start..start + len).map(|at| content(at, 0)).collect();
            let frame = bench.segment(0, ACK, 1 + start as u32, 1, &data);
            bench.cut(&frame, frame.len() - cut.saturating_sub(300).min(len));
            if pause {
                bench.pass(0.02);
            }
            prop_assert!(bench.stats().memory_peak <= room);
        }
        bench.finish();
        let stream = &bench.streams.visitor().streams[Side::Initiator as usize];
        for (place, byte) in stream.iter().enumerate() {
            prop_assert!(*byte == b'.' || *byte == content(place, 0));
        }
        let stats = bench.stats();
        let dots = stream.iter().filter(|byte| **byte == b'.').count() as u64;
        prop_assert!(stats.missing >= dots);
        prop_assert_eq!(stats.delivered, stream.len() as u64 - dots);
        prop_assert_eq!(stats.inconsistencies, 0);
    }
}
