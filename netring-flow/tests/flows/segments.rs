//! What a visitor sees: the payload of each packet of a flow, once, in order, and where it lies.

use std::collections::BTreeMap;

use etherparse::PacketBuilder;
use netring_flow::extract::{Extract, Extracted, FiveTuple, FiveTupleKey, Skip};
use netring_flow::{Anomaly, FlowEvent, FlowTracker, FlowVisitor, Segment};
use netring_sys::{LinkType, Packet, PacketBatch, VlanTag};
use proptest::prelude::*;

use crate::common::{ACK, CLIENT, FIN, Frames, RST, SERVER, SYN, at, tcp, udp};
use crate::raw::{bare, ip4, ip6};

/// Keeps all that it is shown, in words.
#[derive(Default)]
struct Log(Vec<String>);

impl<K> FlowVisitor<K> for Log {
    fn event(&mut self, event: FlowEvent<K>) {
        let flow = event.flow().map_or(0, |flow| flow.get());
        self.0.push(match event {
            FlowEvent::Started { .. } => format!("{flow} started"),
            FlowEvent::Established { .. } => format!("{flow} established"),
            FlowEvent::Ended { reason, .. } => format!("{flow} {reason}"),
            FlowEvent::Anomaly { kind, .. } => format!("{flow} {kind:?}"),
            FlowEvent::IcmpError { .. } => format!("{flow} icmp error"),
            _ => format!("{flow} other"),
        });
    }

    fn segment(&mut self, segment: &Segment<'_, K>) {
        let side = if segment.is_by_initiator() { '>' } else { '<' };
        let data = String::from_utf8_lossy(segment.payload);
        let stray = if segment.out_of_window { " stray" } else { "" };
        let sequence = segment.tcp().map_or(0, |tcp| tcp.sequence);
        self.0.push(format!(
            "{} {side} {sequence} {data:?}{stray}",
            segment.flow
        ));
    }
}

fn segment_frames() -> Vec<(f64, Vec<u8>)> {
    let client =
        |sequence, ack, flags, data: &[u8]| tcp(CLIENT, SERVER, sequence, ack, flags, data);
    let server =
        |sequence, ack, flags, data: &[u8]| tcp(SERVER, CLIENT, sequence, ack, flags, data);
    let frames = [
        client(100, 0, SYN, b""),
        server(500, 101, SYN | ACK, b""),
        client(101, 501, ACK, b""),
        client(101, 501, ACK, b"get"),
        // Not IP.
        vec![0; 60],
        server(501, 104, ACK, b"answer"),
        // Far outside of the window.
        server(900_501, 104, RST, b""),
        client(101, 501, ACK, b"get"),
        client(104, 507, FIN | ACK, b"!"),
        server(507, 106, FIN | ACK, b""),
        // Of the next connection of the same ports.
        client(9000, 0, SYN, b""),
    ];
    let times = (0..).map(|n| f64::from(n) / 100.0);
    times.zip(frames).collect()
}

#[test]
fn each_packet_of_a_flow_is_shown_once_after_its_events() {
    let expected = [
        "1 started",
        "1 > 100 \"\"",
        "1 < 500 \"\"",
        "1 established",
        "1 > 101 \"\"",
        "1 > 101 \"get\"",
        "1 < 501 \"answer\"",
        "1 OutOfWindow",
        "1 < 900501 \"\" stray",
        "1 > 101 \"get\"",
        "1 > 104 \"!\"",
        "1 < 507 \"\"",
        "1 finished",
        "2 started",
        "2 > 9000 \"\"",
        "2 source-ended",
    ];
    let frames = segment_frames();
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut log = Log::default();
    for (time, frame) in &frames {
        let packet = Packet::new(frame, at(*time), LinkType::ETHERNET);
        tracker.track(&packet, &mut log);
    }
    while tracker.finish(&mut log) {}
    assert_eq!(log.0, expected);

    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut log = Log::default();
    tracker.track_batch(&Frames(&frames), &mut log);
    while tracker.finish(&mut log) {}
    assert_eq!(log.0, expected);
    assert_eq!((tracker.stats().packets, tracker.stats().tracked), (11, 10));
}

#[test]
fn an_icmp_error_is_no_segment_of_the_flow_that_it_quotes() {
    let question = udp(CLIENT, SERVER, b"question");
    let mut error = vec![3, 3, 0, 0, 0, 0, 0, 0];
    error.extend(&question[14..]);
    let error = ip4(20 + error.len(), 1, &error);
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut log = Log::default();
    tracker.track(
        &Packet::new(&question, at(0.0), LinkType::ETHERNET),
        &mut log,
    );
    tracker.track(&bare(&error), &mut log);
    assert_eq!(log.0, ["1 started", "1 > 0 \"question\"", "1 icmp error"]);
}

/// Takes no segments, and fails if it is shown one.
struct EventsOnly(usize);

impl<K> FlowVisitor<K> for EventsOnly {
    const SEGMENTS: bool = false;

    fn event(&mut self, _: FlowEvent<K>) {
        self.0 += 1;
    }

    fn segment(&mut self, segment: &Segment<'_, K>) {
        panic!("shown to a visitor that takes none: {:?}", segment.flow);
    }
}

/// Overrides nothing.
struct Nothing;

impl<K> FlowVisitor<K> for Nothing {}

#[test]
fn a_visitor_takes_segments_or_not_as_it_says() {
    let frames = segment_frames();
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut visitor = EventsOnly(0);
    tracker.track_batch(&Frames(&frames), &mut visitor);
    for (time, frame) in &frames {
        let packet = Packet::new(frame, at(*time), LinkType::ETHERNET);
        tracker.track(&packet, &mut visitor);
    }
    assert!(visitor.0 > 4);
    tracker.track_batch(&Frames(&frames), &mut Nothing);
    const { assert!(!<Vec<FlowEvent<u8>> as FlowVisitor<u8>>::SEGMENTS) };
}

/// What is shown of one packet, and its length on the wire.
fn payload_of(packet: &Packet<'_>) -> Option<(Vec<u8>, u32)> {
    struct Last(Option<(Vec<u8>, u32)>);
    impl<K> FlowVisitor<K> for Last {
        fn segment(&mut self, segment: &Segment<'_, K>) {
            let len = segment.payload_len;
            assert_eq!(segment.payload.len() as u32 + segment.missing(), len);
            assert!(self.0.replace((segment.payload.to_vec(), len)).is_none());
        }
    }
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut last = Last(None);
    tracker.track(packet, &mut last);
    last.0
}

#[test]
fn the_payload_is_what_all_lengths_agree_on() {
    let datagram = |len: u16, data: &[u8]| {
        let [high, low] = len.to_be_bytes();
        [&[0x13, 0x88, 0, 53, high, low, 0, 0], data].concat()
    };
    let whole = |data: &[u8]| Some((data.to_vec(), data.len() as u32));
    // Padding after the IP length, and bytes after the UDP length.
    let padded = ip4(20 + 8 + 4, 17, &datagram(12, b"data pad"));
    assert_eq!(payload_of(&bare(&padded)), whole(b"data"));
    let longer = ip4(20 + 8 + 8, 17, &datagram(12, b"data1234"));
    assert_eq!(payload_of(&bare(&longer)), whole(b"data"));
    // A UDP length beyond the packet is malformed, and counts as far as the packet goes.
    let beyond = ip4(20 + 8 + 4, 17, &datagram(99, b"data"));
    assert_eq!(payload_of(&bare(&beyond)), whole(b"data"));
    let none = ip4(20 + 8, 17, &datagram(8, b""));
    assert_eq!(payload_of(&bare(&none)), whole(b""));
    // After IPv6 and an 8-byte destination options header.
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &datagram(12, b"data")].concat();
    let six = ip6(options.len(), 60, &options);
    assert_eq!(payload_of(&bare(&six)), whole(b"data"));
    // After the common header of SCTP; and all of a protocol whose header is not read.
    let sctp = [&[0x13, 0x88, 0, 53, 0, 0, 0, 1, 0, 0, 0, 1][..], b"chunk"].concat();
    assert_eq!(
        payload_of(&bare(&ip4(20 + 17, 132, &sctp))),
        whole(b"chunk")
    );
    assert_eq!(payload_of(&bare(&ip4(20 + 3, 47, b"gre"))), whole(b"gre"));
    // The first of several fragments has its own bytes.
    let mut fragment = ip4(20 + 8 + 4, 17, &datagram(500, b"frag"));
    fragment[6] = 0x20;
    assert_eq!(payload_of(&bare(&fragment)), whole(b"frag"));
    // A packet without a flow.
    fragment[7] = 4;
    assert_eq!(payload_of(&bare(&fragment)), None);
}

#[test]
fn a_payload_that_is_cut_off_is_missing_to_the_byte() {
    for frame in [
        udp(CLIENT, SERVER, b"a question"),
        tcp(CLIENT, SERVER, 7, 9, ACK, b"a question"),
    ] {
        let header = frame.len() - 10;
        for end in 34..=frame.len() {
            let packet = Packet::new(&frame[..end], at(0.0), LinkType::ETHERNET)
                .with_wire_len(frame.len() as u32);
            let (payload, len) = payload_of(&packet).unwrap();
            assert_eq!(
                payload,
                &b"a question"[..end.saturating_sub(header)],
                "{end}"
            );
            // The payload of a TCP segment is unknown until its header length is.
            let is_known = len == 10 || frame[23] == 6 && end < 34 + 16 && len == 0;
            assert!(is_known, "{end} {len}");
        }
    }
}

#[cfg(feature = "flowscope")]
#[test]
fn a_flowscope_extractor_says_where_the_payload_of_tcp_is() {
    let mut tracker = FlowTracker::new(netring_flow::extract::Flowscope(
        flowscope::extract::FiveTuple::bidirectional(),
    ));
    let mut log = Log::default();
    tracker.track_batch(&Frames(&segment_frames()[..7]), &mut log);
    assert_eq!(log.0[5..7], ["1 > 101 \"get\"", "1 < 501 \"answer\""]);
}

#[test]
fn a_payload_of_which_only_the_length_is_known_is_missing() {
    struct Lengths;
    impl Extract for Lengths {
        type Key = FiveTupleKey;
        fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
            let found = FiveTuple::bidirectional().extract(packet)?;
            let len = found.payload_len;
            Ok(Extracted::new(found.key, found.orientation, found.transport).with_payload_len(len))
        }
    }
    struct Missing(Vec<u32>);
    impl<K> FlowVisitor<K> for Missing {
        fn segment(&mut self, segment: &Segment<'_, K>) {
            assert!(segment.payload.is_empty());
            self.0.push(segment.missing());
        }
    }
    let mut tracker = FlowTracker::new(Lengths);
    let mut missing = Missing(Vec::new());
    tracker.track_batch(&Frames(&segment_frames()[..6]), &mut missing);
    assert_eq!(missing.0, [0, 0, 0, 3, 6]);
}

#[test]
fn a_tracker_goes_on_after_a_visitor_that_panicked() {
    struct Panics;
    impl<K> FlowVisitor<K> for Panics {
        fn segment(&mut self, _: &Segment<'_, K>) {
            panic!("on the first segment");
        }
    }
    let frames: Vec<_> = (0..40).map(|_| (0.0, udp(CLIENT, SERVER, b"x"))).collect();
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    for _ in 0..3 {
        let call = std::panic::AssertUnwindSafe(|| {
            tracker.track_batch(&Frames(&frames), &mut Panics);
        });
        std::panic::catch_unwind(call).unwrap_err();
    }
    let mut log = Log::default();
    tracker.track_batch(&Frames(&frames), &mut log);
    assert_eq!(log.0, vec!["1 > 0 \"x\""; 40]);
}

#[test]
fn anomalies_of_the_tracker_reach_any_visitor() {
    struct Anomalies(Vec<Anomaly>);
    impl<K> FlowVisitor<K> for Anomalies {
        fn event(&mut self, event: FlowEvent<K>) {
            if let FlowEvent::Anomaly { kind, .. } = event {
                self.0.push(kind);
            }
        }
    }
    let frame = udp(CLIENT, SERVER, b"x");
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut anomalies = Anomalies(Vec::new());
    for time in [100.0, 0.0] {
        let packet = Packet::new(&frame, at(time), LinkType::ETHERNET);
        tracker.track(&packet, &mut anomalies);
    }
    assert_eq!(anomalies.0, [Anomaly::TimeWentBack]);
}

/// A frame as it was sent, and how much of it was captured.
#[derive(Clone, Debug)]
struct Sent {
    frame: Vec<u8>,
    captured: usize,
    tag: Option<VlanTag>,
}

impl Sent {
    fn packet(&self, number: usize) -> Packet<'_> {
        let data = &self.frame[..self.captured];
        let tag_len = if self.tag.is_some() { 4 } else { 0 };
        Packet::new(data, at(number as f64 / 1e6), LinkType::ETHERNET)
            .with_vlan(self.tag)
            .with_wire_len(self.frame.len() as u32 + tag_len)
    }
}

struct Batch<'a>(&'a [Sent]);

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.iter().enumerate().map(|(n, sent)| sent.packet(n))
    }
}

/// What carries a stream.
#[derive(Clone, Copy, Debug)]
struct Carrier {
    v6: bool,
    between: &'static [u8],
    tag: Option<VlanTag>,
}

fn carrier() -> impl Strategy<Value = Carrier> {
    const TAG: VlanTag = VlanTag {
        tpid: 0x8100,
        tci: 7,
    };
    let between = prop::sample::select(vec![
        &[][..],
        &[0x81, 0, 0, 5],
        &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6],
    ]);
    let tag = prop::sample::select(vec![None, Some(TAG)]);
    (any::<bool>(), between, tag).prop_map(|(v6, between, tag)| Carrier { v6, between, tag })
}

/// A segment of the client (or the server) with this data.
fn carried(carrier: Carrier, by_client: bool, sequence: u32, data: &[u8]) -> Vec<u8> {
    let (from, to) = if by_client { (1, 2) } else { (2, 1) };
    let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let ip = if carrier.v6 {
        ethernet.ipv6([from; 16], [to; 16], 64)
    } else {
        ethernet.ipv4([10, 0, 0, from], [10, 0, 0, to], 64)
    };
    let mut frame = Vec::new();
    ip.tcp(u16::from(from), u16::from(to), sequence, 1000)
        .ack(1)
        .options(&[etherparse::TcpOptionElement::Timestamp(1, 2)])
        .unwrap()
        .write(&mut frame, data)
        .unwrap();
    frame.splice(12..12, carrier.between.iter().copied());
    frame
}

/// Puts the bytes of each direction together by their sequence numbers.
#[derive(Default)]
struct Streams([BTreeMap<u32, u8>; 2]);

impl FlowVisitor<FiveTupleKey> for Streams {
    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        let sequence = segment.tcp().unwrap().sequence;
        let by_client = segment.key.source(segment.orientation).port() == 1;
        let stream = &mut self.0[usize::from(!by_client)];
        for (number, &byte) in (0..).zip(segment.payload) {
            let before = stream.insert(sequence.wrapping_add(number), byte);
            assert!(before.is_none_or(|before| before == byte));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each piece of a stream is sent at least once whole, and before that possibly cut: at any
    /// byte behind the header of IP, and at any time.
    #[test]
    fn the_bytes_that_were_sent_are_those_that_are_seen(
        carrier in carrier(),
        pieces in prop::collection::vec(
            (any::<bool>(), prop::collection::vec(any::<u8>(), 0..40), any::<u16>(), 0..3_usize),
            1..40,
        ),
        order in any::<prop::sample::Index>(),
        first in prop::sample::select(vec![0_u32, 1 << 31, u32::MAX - 50]),
    ) {
        let mut streams: [Vec<u8>; 2] = Default::default();
        let mut sent = Vec::new();
        for (by_client, data, cut, again) in &pieces {
            let stream = &mut streams[usize::from(!by_client)];
            let sequence = first.wrapping_add(stream.len() as u32);
            stream.extend(data);
            let frame = carried(carrier, *by_client, sequence, data);
            let header = 14 + carrier.between.len() + if carrier.v6 { 40 } else { 20 };
            let tag = carrier.tag;
            for _ in 0..*again {
                let captured = header + usize::from(*cut) % (frame.len() - header);
                // Without its sequence number it would be of no use.
                let captured = captured.max(header + 16);
                sent.push(Sent { frame: frame.clone(), captured, tag });
            }
            sent.push(Sent { captured: frame.len(), frame, tag });
        }
        // Overtaken: what is in the middle comes first.
        let middle = order.index(sent.len());
        sent.rotate_left(middle);

        let mut batched = Streams::default();
        let mut tracker = FlowTracker::new(FiveTuple::bidirectional().with_vlan());
        tracker.track_batch(&Batch(&sent), &mut batched);
        prop_assert_eq!(tracker.stats().tracked, sent.len() as u64);
        let mut single = Streams::default();
        let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
        for (number, sent) in sent.iter().enumerate() {
            tracker.track(&sent.packet(number), &mut single);
        }
        for (number, stream) in streams.iter().enumerate() {
            let expected: BTreeMap<_, _> = (0..)
                .map(|n: u32| first.wrapping_add(n))
                .zip(stream.iter().copied())
                .collect();
            prop_assert_eq!(&batched.0[number], &expected);
            prop_assert_eq!(&single.0[number], &expected);
        }
    }
}
