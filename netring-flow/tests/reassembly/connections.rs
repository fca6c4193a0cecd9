//! Whole connections against arrays of bytes: both ends send, their segments come in any order, and
//! some do not come; with urgent bytes, FINs and RSTs, from the beginning or from the middle.

use std::time::Duration;

use netring_flow::reassembly::{OverlapPolicy, ReassemblyConfig, UrgentPolicy, WhenFull};
use proptest::prelude::*;

use crate::common::{ACK, Bench, FIN, RST, URG};

/// A segment: its length, after how many later ones it comes, how often, and whether it is urgent.
type Cut = (usize, usize, usize, bool);

#[derive(Clone, Debug)]
struct Connection {
    /// What each end sends; then it closes.
    cuts: [Vec<Cut>; 2],
    isn: [u32; 2],
    mid_stream: bool,
    /// The client resets the connection after so many segments.
    reset: Option<usize>,
    inline: bool,
    policy: OverlapPolicy,
    /// The settings that declare gaps: a deadline, or little room.
    hasty: bool,
    room: usize,
    gives_up: bool,
}

fn connection() -> impl Strategy<Value = Connection> {
    let copies = prop_oneof![8 => Just(1_usize), 1 => Just(0), 1 => 2_usize..4];
    let urgent = prop_oneof![9 => Just(false), 1 => Just(true)];
    let cut = (1_usize..300, 0_usize..8, copies, urgent);
    let cuts = prop::collection::vec(cut, 0..40);
    let isn = || {
        prop_oneof![
            Just(0_u32),
            Just(u32::MAX - 1000),
            Just(1 << 31),
            any::<u32>()
        ]
    };
    let policy = prop::sample::select(vec![
        OverlapPolicy::First,
        OverlapPolicy::Last,
        OverlapPolicy::Bsd,
        OverlapPolicy::Windows,
        OverlapPolicy::Vista,
        OverlapPolicy::Linux,
        OverlapPolicy::OldLinux,
        OverlapPolicy::Solaris,
    ]);
    let reset = prop_oneof![3 => Just(None), 1 => (0_usize..60).prop_map(Some)];
    (
        [cuts.clone(), cuts],
        [isn(), isn()],
        prop_oneof![3 => Just(false), 1 => Just(true)],
        reset,
        any::<bool>(),
        policy,
        prop_oneof![2 => Just((false, 1 << 20)), 1 => (any::<bool>(), 100_usize..5000)],
        any::<bool>(),
    )
        .prop_map(
            |(cuts, isn, mid_stream, reset, inline, policy, (hasty, room), gives_up)| Connection {
                cuts,
                isn,
                mid_stream,
                reset,
                inline,
                policy,
                hasty,
                room,
                gives_up,
            },
        )
}

/// A segment on its way: where it begins, how long it is, and its flags.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    from: usize,
    start: usize,
    len: usize,
    flags: u8,
}

impl Connection {
    /// What arrives, in order.
    fn arrivals(&self) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for (from, cuts) in self.cuts.iter().enumerate() {
            let (mut start, mut urgent) = (0, 0);
            for (place, (len, behind, copies, is_urgent)) in cuts.iter().enumerate() {
                // As many as are remembered at once.
                urgent += usize::from(*is_urgent);
                let flags = if *is_urgent && urgent <= 6 {
                    ACK | URG
                } else {
                    ACK
                };
                let arrival = Arrival {
                    from,
                    start,
                    len: *len,
                    flags,
                };
                for copy in 0..*copies {
                    arrivals.push((place + behind + copy, arrival));
                }
                start += len;
            }
            let fin = Arrival {
                from,
                start,
                len: 0,
                flags: FIN | ACK,
            };
            arrivals.push((cuts.len(), fin));
        }
        arrivals.sort_by_key(|(place, _)| *place);
        let arrivals = arrivals.into_iter().map(|(_, arrival)| arrival);
        arrivals.take(self.reset.unwrap_or(usize::MAX)).collect()
    }

    fn config(&self) -> ReassemblyConfig {
        let config = ReassemblyConfig::new()
            .overlap(self.policy)
            .max_held_per_flow(self.room)
            .urgent(if self.inline {
                UrgentPolicy::Inline
            } else {
                UrgentPolicy::OutOfBand
            });
        // A tenth of a millisecond is between two packets.
        let config = config.deadline(if self.hasty {
            Duration::from_micros(1500)
        } else {
            Duration::MAX
        });
        match self.gives_up && self.room < 1 << 20 {
            true => config.when_full(WhenFull::GiveUp),
            false => config,
        }
    }

    fn is_patient(&self) -> bool {
        !self.hasty && self.room == 1 << 20
    }
}

fn content(from: usize, place: usize) -> u8 {
    b'A' + ((place * 7 + from * 11) % 50) as u8
}

/// The places that arrived, and those of urgent bytes.
fn places(arrivals: &[Arrival], from: usize) -> (Vec<bool>, Vec<bool>) {
    let mine = || arrivals.iter().filter(|arrival| arrival.from == from);
    let end = mine().map(|arrival| arrival.start + arrival.len).max();
    // An urgent byte may be two places behind the start of the last segment.
    let mut seen = vec![false; end.unwrap_or(0) + 3];
    let mut urgent = seen.clone();
    for arrival in mine() {
        seen[arrival.start..][..arrival.len].fill(true);
        urgent[arrival.start + 2] |= arrival.flags & URG != 0;
    }
    (seen, urgent)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_byte_is_delivered_once_at_its_place_or_counted(connection in connection()) {
        let arrivals = connection.arrivals();
        let mut bench = Bench::with(connection.config());
        bench.shift = connection.isn;
        if !connection.mid_stream {
            bench.handshake();
        }
        for arrival in &arrivals {
            let Arrival { from, start, len, flags } = *arrival;
            let bytes: Vec<_> = (start..start + len).map(|at| content(from, at)).collect();
            let frame = bench.segment(from, flags, 1 + start as u32, 1, &bytes);
            bench.frame(&frame);
            prop_assert!(bench.stats().memory_peak <= connection.room);
        }
        if connection.reset.is_some() {
            bench.c(RST | ACK, 1, 1, b"");
        }
        let stats = bench.stats();
        bench.finish();
        let log = bench.log();
        prop_assert!(log.iter().filter(|line| line.starts_with("closed")).count() <= 1);
        let given_up = stats.given_up != 0;
        // The segment with an urgent pointer may arrive after the byte was delivered behind a gap.
        let knows_urgent = connection.is_patient() || bench.stats().gaps == 0;
        let (mut delivered, mut urgent_bytes) = (0, 0);
        for from in 0..2 {
            let (seen, urgent) = places(&arrivals, from);
            let first = arrivals.iter().find(|arrival| arrival.from == from);
            let base = match first {
                Some(first) if connection.mid_stream => first.start,
                _ => 0,
            };
            let side = if connection.mid_stream && arrivals.first().map(|first| first.from) == Some(1) {
                1 - from
            } else {
                from
            };
            let stream = &bench.streams.visitor().streams[side];
            for (offset, byte) in stream.iter().enumerate() {
                let place = base + offset;
                prop_assert!(*byte == b'.' || *byte == content(from, place), "{place} {log:?}");
                let out_of_band = urgent[place] && !connection.inline && !connection.mid_stream;
                let unwanted = out_of_band && knows_urgent;
                prop_assert!(*byte == b'.' || seen[place] && !unwanted, "{place}");
            }
            for place in base..seen.len() {
                let is_out = urgent[place] && !connection.inline;
                delivered += u64::from(seen[place] && !is_out);
                urgent_bytes += u64::from(seen[place] && is_out);
            }
        }
        let found = bench.stats();
        prop_assert_eq!(found.inconsistencies, 0);
        if connection.is_patient() && !given_up && !connection.mid_stream {
            prop_assert_eq!((found.delivered, found.discarded.urgent), (delivered, urgent_bytes));
            let whole = connection.reset.is_none()
                && connection.cuts.iter().flatten().all(|(_, _, copies, _)| *copies != 0);
            if whole {
                prop_assert_eq!((found.gaps, found.missing), (0, 0), "{:?}", log);
            }
        }
    }
}
