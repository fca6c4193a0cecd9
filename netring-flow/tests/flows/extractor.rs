//! Third-party extractors: whatever they return, nothing panics, no counter wraps, and the books
//! balance.

use netring_flow::extract::{
    Extract, Extracted, IcmpError, Orientation, Skip, TcpSegment, Transport, WindowScale,
};
use netring_flow::{FlowEvent, FlowTracker, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, Timestamp};
use proptest::prelude::*;

/// What the extractor returns for the next packet.
#[derive(Clone, Copy, Debug)]
struct Stated {
    key: u8,
    forward: bool,
    transport: u8,
    segment: (u8, u32, u32, u16),
    payload: u32,
    scale: u8,
    icmp: bool,
    time: i64,
    wire_len: u32,
}

/// Returns what the test encodes in the packets: 24 bytes.
struct AsStated;

impl Extract for AsStated {
    type Key = u8;

    fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<u8>, Skip> {
        let Ok(b) = <&[u8; 20]>::try_from(packet.data()) else {
            return Err(Skip::NoKey);
        };
        let word = |at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let from = if b[1] == 0 {
            Orientation::Forward
        } else {
            Orientation::Reverse
        };
        let transport = match b[2] {
            0 => Transport::Tcp(None),
            1 => Transport::Udp,
            2 => Transport::Other,
            _ => Transport::Tcp(Some(TcpSegment {
                flags: b[3],
                sequence: word(4),
                acknowledgement: word(8),
                window: u16::from_be_bytes([b[12], b[13]]),
            })),
        };
        let stated = Extracted::new(b[0], from, transport).with_payload_len(word(14));
        Ok(if b[19] == 0 {
            stated
        } else {
            stated.with_icmp_error(IcmpError {
                icmp_type: b[3],
                code: 0,
            })
        })
    }

    fn window_scale(&self, packet: &Packet<'_>) -> WindowScale {
        match packet.data().get(18) {
            None | Some(0) => WindowScale::UNKNOWN,
            Some(1) => WindowScale::ABSENT,
            Some(bits) => WindowScale::shift(*bits),
        }
    }
}

impl Stated {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![
            self.key,
            self.forward.into(),
            self.transport,
            self.segment.0,
        ];
        bytes.extend(self.segment.1.to_be_bytes());
        bytes.extend(self.segment.2.to_be_bytes());
        bytes.extend(self.segment.3.to_be_bytes());
        bytes.extend(self.payload.to_be_bytes());
        bytes.extend([self.scale, self.icmp.into()]);
        bytes
    }
}

fn extreme() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(0_u32),
        Just(1),
        Just(u32::MAX),
        Just(u32::MAX - 1),
        Just(1 << 31),
        Just((1 << 31) - 1),
        any::<u32>(),
        0_u32..2000,
    ]
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(i64::MIN),
        Just(i64::MAX),
        Just(0_i64),
        Just(-1),
        any::<i64>(),
        0_i64..100_000_000_000,
        0_i64..100_000_000_000,
        0_i64..100_000_000_000,
    ]
}

prop_compose! {
    fn stated()(
        key in 0_u8..3, forward in any::<bool>(), transport in 0_u8..9, flags in any::<u8>(), sequence in extreme(),
        ack in extreme(), window in any::<u16>(), payload in extreme(), scale in any::<u8>(), icmp in 0_u8..20,
        time in times(), wire_len in extreme(),
    ) -> Stated {
        Stated { key, forward, transport, segment: (flags, sequence, ack, window), payload, scale, icmp: icmp == 0, time, wire_len }
    }
}

fn check(steps: &[Stated], room: usize) {
    let config = TrackerConfig::new().max_flows(room);
    let mut tracker = FlowTracker::with_config(AsStated, config).unwrap();
    let mut events = Vec::new();
    for stated in steps {
        let bytes = stated.bytes();
        let time = Timestamp::from_nanos(stated.time, Clock::Unknown);
        let packet = Packet::new(&bytes, time, LinkType::ETHERNET).with_wire_len(stated.wire_len);
        tracker.track(&packet, &mut events);
        let stats = tracker.stats();
        let untracked = stats.untracked.total();
        assert_eq!(stats.packets, stats.tracked + stats.icmp_errors + untracked);
    }
    while tracker.finish(&mut events) {}
    // Times come in any order, so they may be as far apart as possible.
    let (mut packets, mut bytes, mut payload) = (0, 0, 0);
    for event in &events {
        if let FlowEvent::Ended { stats, history, .. } = event {
            let _ = history.to_string();
            assert!(stats.first() <= stats.last());
            packets += stats.packets();
            bytes += stats.bytes();
            payload += stats.forward.payload_bytes + stats.reverse.payload_bytes;
        }
    }
    let stats = tracker.stats();
    assert_eq!((packets, bytes), (stats.tracked, stats.tracked_bytes));
    assert!(payload <= steps.iter().map(|stated| u64::from(stated.payload)).sum());
}

#[test]
fn the_longest_payload_with_every_flag_is_counted() {
    for flags in 0..=255 {
        let stated = Stated {
            key: 1,
            forward: true,
            transport: 3,
            segment: (flags, u32::MAX, u32::MAX, u16::MAX),
            payload: u32::MAX,
            scale: 255,
            icmp: false,
            time: 0,
            wire_len: u32::MAX,
        };
        check(&[stated; 5], 10);
        let back = Stated {
            forward: false,
            ..stated
        };
        check(&[stated, back, stated, back, stated], 10);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn any_value_of_an_extractor_is_taken(steps in prop::collection::vec(stated(), 1..80), room in 1_usize..4) {
        check(&steps, room);
    }
}
