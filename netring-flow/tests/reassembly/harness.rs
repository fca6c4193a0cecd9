//! Any segments of three connections, in any order and with any content: nothing panics, the
//! bounds hold, offsets only grow, and each byte is delivered once or counted. The fuzz target of
//! this name runs it, and the tests replay what that found.
use std::ops::ControlFlow;

use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{
    ClosedFlow, Interest, OverlapPolicy, Reassembler, ReassemblyConfig, StreamEnd, StreamPoint,
    StreamVisitor, UrgentPolicy, WhenFull,
};
use netring_flow::{FlowTracker, Segment};
use netring_sys::{Clock, LinkType, Packet, Timestamp};

const POLICIES: [OverlapPolicy; 8] = [
    OverlapPolicy::First,
    OverlapPolicy::Last,
    OverlapPolicy::Bsd,
    OverlapPolicy::Windows,
    OverlapPolicy::Vista,
    OverlapPolicy::Linux,
    OverlapPolicy::OldLinux,
    OverlapPolicy::Solaris,
];

/// Checks what it is told.
#[derive(Default)]
struct Check {
    bytes: u64,
    missing: u64,
    closed: u64,
}

/// The next offset of both streams, and whether they have ended.
type State = [(u64, bool); 2];

impl StreamVisitor<FiveTupleKey> for Check {
    type State = State;

    fn subscribe(&mut self, first: &Segment<'_, FiveTupleKey>) -> Interest<State> {
        if first.key.a().port() == 3 || first.key.b().port() == 3 {
            Interest::FirstBytes(State::default())
        } else {
            Interest::Yes(State::default())
        }
    }

    fn first_bytes(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        _: &mut State,
        bytes: &[u8],
    ) -> Option<bool> {
        assert!(at.offset == 0 || at.mid_stream);
        (bytes.len() > 4).then(|| bytes[0] != 0)
    }

    fn data(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        state: &mut State,
        bytes: &[u8],
    ) -> ControlFlow<()> {
        let (next, ended) = &mut state[at.orientation as usize];
        // An urgent byte is left out.
        assert!(!*ended && !bytes.is_empty() && at.offset >= *next);
        *next = at.offset + bytes.len() as u64;
        self.bytes += bytes.len() as u64;
        if bytes[0] == 0xee {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn gap(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        state: &mut State,
        missing: u64,
    ) -> ControlFlow<()> {
        let (next, ended) = &mut state[at.orientation as usize];
        assert!(!*ended && missing != 0 && at.offset >= *next);
        *next = at.offset + missing;
        self.missing += missing;
        ControlFlow::Continue(())
    }

    fn end(&mut self, at: StreamPoint<'_, FiveTupleKey>, state: &mut State, _: StreamEnd) {
        let (next, ended) = &mut state[at.orientation as usize];
        assert!(!*ended && at.offset >= *next);
        *ended = true;
    }

    fn close(&mut self, _: ClosedFlow<'_, FiveTupleKey>, state: State) {
        assert!(state.iter().all(|(_, ended)| *ended));
        self.closed += 1;
    }
}

/// The first byte chooses the settings. Each segment: a byte for connection and direction, flags,
/// two bytes each for the numbers, a byte for the time that passed, one for the length; the content
/// is made of the length.
pub(crate) fn run(input: &[u8]) {
    let Some((&settings, mut rest)) = input.split_first() else {
        return;
    };
    let room = if settings & 8 == 0 { 600 } else { 1 << 20 };
    let config = ReassemblyConfig::new()
        .overlap(POLICIES[usize::from(settings & 7)])
        .max_held_per_flow(room)
        .max_held(2 * room)
        .when_full(if settings & 16 == 0 {
            WhenFull::Gap
        } else {
            WhenFull::GiveUp
        })
        .urgent(if settings & 32 == 0 {
            UrgentPolicy::OutOfBand
        } else {
            UrgentPolicy::Inline
        })
        .compare_delivered(if settings & 64 == 0 { 0 } else { 300 });
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut streams = Reassembler::new(config, Check::default()).unwrap();
    let mut now = 1_700_000_000_000_000_000_i64;
    while let Some((&[whose, flags, s1, s0, a1, a0, passed, len], tail)) = rest.split_first_chunk()
    {
        rest = tail;
        now += i64::from(passed.cast_signed()) * 100_000_000;
        // Near the wrap, and far apart now and then.
        let number = |high: u8, low: u8| {
            let far = u32::from(high >> 4) << 28;
            0xffff_ff00_u32
                .wrapping_add(u32::from(u16::from_be_bytes([high & 15, low])))
                .wrapping_add(far)
        };
        let ports: [u8; 2] = if whose & 4 == 0 {
            [whose % 3 + 1, 80]
        } else {
            [80, whose % 3 + 1]
        };
        let host = |port: u8| if port == 80 { 9 } else { port };
        let payload: Vec<u8> = (0..len).map(|n| n.wrapping_mul(s0 | 1) ^ len).collect();
        let mut frame = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
        frame.extend([10, 0, 0, host(ports[0]), 10, 0, 0, host(ports[1])]);
        frame.extend([0, ports[0], 0, ports[1]]);
        frame.extend(number(s1, s0).to_be_bytes());
        frame.extend(number(a1, a0).to_be_bytes());
        frame.extend([0x50, flags, 255, 255, 0, 0, 0, len / 2]);
        frame.extend(&payload);
        let total = frame.len() as u16;
        frame[2..4].copy_from_slice(&total.to_be_bytes());
        let wire_len = frame.len() as u32;
        if whose & 0x80 != 0 {
            frame.truncate(40 + usize::from(len) / 3);
        }
        let time = Timestamp::from_nanos(now, Clock::Unknown);
        let packet = Packet::new(&frame, time, LinkType::IPV4).with_wire_len(wire_len);
        tracker.track(&packet, &mut streams);
        if whose & 0x40 != 0 {
            streams.expire(time);
        }
        check(&streams, 2 * room);
    }
    while tracker.finish(&mut streams) {}
    check(&streams, 2 * room);
    let stats = streams.stats();
    assert_eq!((stats.held, stats.memory, streams.active()), (0, 0, 0));
}

fn check(streams: &Reassembler<FiveTupleKey, Check>, room: usize) {
    let (stats, seen) = (streams.stats(), streams.visitor());
    assert_eq!((stats.delivered, stats.missing), (seen.bytes, seen.missing));
    let counted = stats.delivered + stats.duplicate + stats.discarded.total() + stats.held;
    assert_eq!(stats.received, counted, "{stats:?}");
    // What is kept for comparison may exceed the bound by one segment.
    assert!(stats.memory_peak <= room + 300, "{stats:?}");
    assert!(seen.closed <= stats.subscribed);
}
