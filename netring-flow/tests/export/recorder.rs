//! What a recorder sees in the segments of a flow.

use etherparse::PacketBuilder;
use netring_flow::export::{FlowRecord, FlowRecorder, RecordKind};
use netring_flow::extract::FiveTuple;
use netring_flow::{FlowEvent, FlowTracker, Timeouts, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, Timestamp};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// A segment between a client (40000) and a server (80), in milliseconds.
struct Step(i64, bool, u8, u32, u32, usize);

fn frame(step: &Step, window: u16) -> Vec<u8> {
    let Step(_, by_client, flags, sequence, ack, len) = *step;
    let (client, server) = ([192, 0, 2, 9], [192, 0, 2, 1]);
    let (ip, ports) = match by_client {
        true => (PacketBuilder::ipv4(client, server, 64), (40_000, 80)),
        false => (PacketBuilder::ipv4(server, client, 64), (80, 40_000)),
    };
    let mut tcp = ip.tcp(ports.0, ports.1, sequence, window);
    let set = |bit: u8| flags & bit != 0;
    if set(SYN) {
        tcp = tcp.syn();
    }
    if set(FIN) {
        tcp = tcp.fin();
    }
    if set(RST) {
        tcp = tcp.rst();
    }
    if set(PSH) {
        tcp = tcp.psh();
    }
    if set(ACK) {
        tcp = tcp.ack(ack);
    }
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, &vec![0; len]).unwrap();
    bytes
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_nanos(
        1_700_000_000_000_000_000 + millis * 1_000_000,
        Clock::Unknown,
    )
}

fn recorded(frames: &[(i64, Vec<u8>)]) -> Vec<FlowRecord> {
    let mut recorder = FlowRecorder::new();
    let timeouts = Timeouts::default().active(std::time::Duration::from_secs(10));
    let config = TrackerConfig::new().timeouts(timeouts);
    let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    for (millis, frame) in frames {
        let packet = Packet::new(frame, at(*millis), LinkType::IPV4);
        tracker.track(&packet, &mut recorder);
    }
    while tracker.finish(&mut recorder) {}
    recorder.drain().collect()
}

fn connection(steps: &[Step]) -> FlowRecord {
    let frames: Vec<_> = steps
        .iter()
        .map(|step| (step.0, frame(step, 1000)))
        .collect();
    let mut records = recorded(&frames);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[test]
fn a_connection_by_its_segments() {
    let record = connection(&[
        Step(0, true, SYN, 100, 0, 0),
        Step(20, false, SYN | ACK, 500, 101, 0),
        Step(30, true, ACK, 101, 501, 0),
        Step(40, true, ACK | PSH, 101, 501, 10),
        Step(50, true, ACK | PSH, 101, 501, 10),
        // 20 bytes before it are not captured, and acknowledged.
        Step(60, false, ACK, 521, 111, 30),
        Step(70, true, ACK, 111, 551, 0),
        Step(80, true, ACK | FIN, 111, 551, 0),
        Step(90, false, ACK | FIN, 551, 112, 0),
        Step(200, true, ACK, 112, 552, 0),
    ]);
    assert_eq!(record.state.as_str(), "SF");
    assert_eq!(record.history.as_str(), "ShADTdgFf");
    assert_eq!(record.rtt_ns, Some(30_000_000));
    // The last acknowledgement adds nothing.
    assert_eq!(record.productive_end_ns, Some(at(90).as_nanos()));
    assert_eq!(record.end_ns, at(200).as_nanos());
    let (client, server) = (&record.initiator, &record.responder);
    assert_eq!((client.stream_bytes, client.payload_bytes), (Some(10), 20));
    assert_eq!((server.stream_bytes, server.payload_bytes), (Some(50), 30));
    assert_eq!(
        (client.missed_bytes, server.missed_bytes),
        (Some(0), Some(20))
    );
    assert_eq!(client.tcp_flags, SYN | ACK | PSH | FIN);
    assert_eq!(server.tcp_flags, SYN | ACK | FIN);
    assert_eq!(
        (client.ip_bytes, server.ip_bytes),
        (Some(7 * 40 + 20), Some(3 * 40 + 30))
    );
    assert_eq!((client.zero_windows, record.established), (Some(0), true));
}

/// Flags are repeated by their numbers, and retransmissions by orders of magnitude.
#[test]
fn letters_are_repeated_as_by_zeek() {
    let mut steps = vec![
        Step(0, true, SYN, 100, 0, 0),
        Step(1000, true, SYN, 100, 0, 0),
        Step(1010, false, SYN | ACK, 500, 101, 0),
        Step(1020, true, ACK, 101, 501, 10),
    ];
    steps.extend((0..100).map(|n| Step(1030 + n, true, ACK, 101, 501, 10)));
    steps.push(Step(1200, true, RST, 111, 0, 0));
    steps.push(Step(1210, true, RST, 111, 0, 0));
    let record = connection(&steps);
    assert_eq!(record.history.as_str(), "ShDTTTR");
    assert_eq!(record.initiator.retransmitted, 101);
    // The SYN was sent twice, so no answer is known to be to the first one.
    assert_eq!(record.rtt_ns, None);
    assert_eq!(record.state.as_str(), "RSTO");
}

#[test]
fn closed_windows_are_letters_while_they_matter() {
    let steps = [
        (Step(0, true, SYN, 100, 0, 0), 1000),
        (Step(1, false, SYN | ACK, 500, 101, 0), 1000),
        (Step(2, true, ACK, 101, 501, 0), 1000),
        (Step(3, true, ACK, 101, 501, 10), 1000),
        (Step(4, false, ACK, 501, 111, 0), 0),
        (Step(5, false, ACK, 501, 111, 0), 0),
        (Step(6, false, ACK, 501, 111, 0), 1000),
        (Step(7, true, ACK | FIN, 111, 501, 0), 1000),
        // Its peer will not send any more.
        (Step(8, false, ACK, 501, 112, 0), 0),
    ];
    let frames = steps
        .iter()
        .map(|(step, window)| (step.0, frame(step, *window)));
    let record = recorded(&frames.collect::<Vec<_>>()).remove(0);
    assert_eq!(record.history.as_str(), "ShADawF");
    assert_eq!(record.responder.zero_windows, Some(2));
    assert_eq!(record.state.as_str(), "S2");
}

/// A RST that its receiver would not accept closes nothing.
#[test]
fn a_forged_reset_changes_no_state() {
    let record = connection(&[
        Step(0, true, SYN, 100, 0, 0),
        Step(1, false, SYN | ACK, 500, 101, 0),
        Step(2, true, ACK, 101, 501, 0),
        Step(3, false, RST, 900_000, 0, 0),
        Step(4, true, ACK, 101, 501, 5),
    ]);
    assert_eq!(
        (record.state.as_str(), record.history.as_str()),
        ("S1", "ShAD")
    );
    assert_eq!(record.responder.tcp_flags, SYN | ACK | RST);
}

/// As in Zeek, a FIN behind much that the capture lost closes, once its receiver acknowledges it.
#[test]
fn a_fin_that_is_acknowledged_counts_although_it_was_beyond_the_window() {
    let steps = |proof: u32| {
        connection(&[
            Step(0, true, SYN, 100, 0, 0),
            Step(1, false, SYN | ACK, 500, 101, 0),
            Step(2, true, ACK, 101, 501, 5),
            Step(3, false, ACK, 501, 106, 0),
            Step(4, true, FIN | ACK, 900_106, 501, 10),
            Step(5, false, FIN | ACK, 501, proof, 0),
            Step(6, true, ACK, proof, 502, 0),
        ])
    };
    let record = steps(900_117);
    assert_eq!(
        (record.state.as_str(), record.history.as_str()),
        ("SF", "ShDaFfGA")
    );
    assert_eq!(record.initiator.stream_bytes, Some(900_015));
    assert_eq!(record.initiator.missed_bytes, Some(900_000));
    // Of a forged one the receiver acknowledges nothing.
    let record = steps(106);
    assert_eq!(
        (record.state.as_str(), record.history.as_str()),
        ("S3", "ShDafA")
    );
    assert_eq!(record.initiator.stream_bytes, Some(5));
}

#[test]
fn icmp_has_its_type_and_ip_its_lengths() {
    let echo = |from: [u8; 4], to: [u8; 4], is_request: bool| {
        let ip = PacketBuilder::ipv4(from, to, 64);
        let icmp = match is_request {
            true => ip.icmpv4_echo_request(1, 2),
            false => ip.icmpv4_echo_reply(1, 2),
        };
        let mut bytes = Vec::new();
        icmp.write(&mut bytes, &[0; 56]).unwrap();
        bytes
    };
    let (a, b) = ([192, 0, 2, 9], [192, 0, 2, 1]);
    let records = recorded(&[(0, echo(a, b, true)), (7, echo(b, a, false))]);
    let record = &records[0];
    let icmp = record.icmp.unwrap();
    assert_eq!((icmp.icmp_type, icmp.code), (8, 0));
    assert_eq!((record.initiator.port, record.responder.port), (None, None));
    assert_eq!(record.initiator.ip_bytes, Some(84));
    assert_eq!(record.responder.ip_bytes, Some(84));
    assert_eq!(
        (record.state.as_str(), record.history.as_str()),
        ("OTH", "")
    );
    assert_eq!(record.initiator.missed_bytes, None);
    // Request and reply have one ID, whichever was first.
    let mut reversed = recorded(&[(0, echo(b, a, false)), (7, echo(a, b, true))]).remove(0);
    assert_eq!(reversed.icmp.unwrap().icmp_type, 0);
    reversed.set_community_id(0);
    let mut record = record.clone();
    record.set_community_id(0);
    assert_eq!(record.community_id, reversed.community_id);
}

/// The ID is that of the specification, and the key's.
#[test]
fn records_have_the_community_id_of_their_flow() {
    let ends = ["128.232.110.120:34855", "66.35.250.204:80"].map(|end| end.parse().unwrap());
    let flow = "1".parse().unwrap();
    for [from, to] in [ends, [ends[1], ends[0]]] {
        let mut record = FlowRecord::new(flow, 6, from, to);
        record.set_community_id(0);
        let id = record.community_id.unwrap().to_string();
        assert_eq!(id, "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    }
    let frames = [(0, frame(&Step(0, true, SYN, 100, 0, 0), 1000))];
    let mut recorder = FlowRecorder::new().community_id(7);
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let packet = Packet::new(&frames[0].1, at(0), LinkType::IPV4);
    tracker.track(&packet, &mut recorder);
    let key = tracker.flows().next().unwrap().key;
    while tracker.finish(&mut recorder) {}
    let record = recorder.drain().next().unwrap();
    assert_eq!(record.community_id, Some(key.community_id(7)));
}

/// An active flow reports what it has so far; the interval is the difference.
#[test]
fn intervals_add_up_to_the_whole() {
    let mut frames = vec![
        (0, frame(&Step(0, true, SYN, 100, 0, 0), 1000)),
        (1, frame(&Step(1, false, SYN | ACK, 500, 101, 0), 1000)),
    ];
    for n in 0..25 {
        let step = Step(0, true, ACK, 101 + 10 * n, 501, 10);
        frames.push((1000 * i64::from(n) + 2, frame(&step, 1000)));
    }
    let records = recorded(&frames);
    let kinds: Vec<_> = records.iter().map(|record| record.kind).collect();
    assert_eq!(
        kinds,
        [RecordKind::Active, RecordKind::Active, RecordKind::End]
    );
    let [first, second, whole] = &records[..] else {
        unreachable!();
    };
    assert_eq!((first.state.as_str(), first.reason), ("S1", None));
    let intervals = [
        first.clone(),
        second.clone().since(first),
        whole.clone().since(second),
    ];
    let sum = |of: fn(&FlowRecord) -> u64| intervals.iter().map(of).sum::<u64>();
    assert_eq!(sum(|it| it.initiator.packets), 26);
    assert_eq!(sum(|it| it.responder.packets), 1);
    assert_eq!(sum(|it| it.initiator.ip_bytes.unwrap()), 40 + 25 * 50);
    assert_eq!(sum(|it| it.initiator.stream_bytes.unwrap()), 250);
    assert_eq!(intervals[2].start_ns, second.end_ns);
}

fn udp(by_client: bool, len: usize) -> Vec<u8> {
    let (client, server) = ([192, 0, 2, 9], [192, 0, 2, 1]);
    let builder = match by_client {
        true => PacketBuilder::ipv4(client, server, 64).udp(40_000, 53),
        false => PacketBuilder::ipv4(server, client, 64).udp(53, 40_000),
    };
    let mut bytes = Vec::new();
    builder.write(&mut bytes, &vec![0; len]).unwrap();
    bytes
}

/// Records of intervals add up by themselves, whichever end sends when.
#[test]
fn a_recorder_makes_intervals() {
    let timeouts = Timeouts::default().active(std::time::Duration::from_secs(10));
    let config = TrackerConfig::new().timeouts(timeouts);
    let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    let mut recorder = FlowRecorder::new().intervals(true);
    for second in 0..35 {
        let frame = udp(second < 12, 10 + second as usize);
        let packet = Packet::new(&frame, at(1000 * second), LinkType::IPV4);
        tracker.track(&packet, &mut recorder);
    }
    while tracker.finish(&mut recorder) {}
    let records: Vec<_> = recorder.drain().collect();
    assert_eq!(records.len(), 4);
    let sum = |of: fn(&FlowRecord) -> u64| records.iter().map(of).sum::<u64>();
    assert_eq!(sum(|it| it.initiator.packets), 12);
    assert_eq!(sum(|it| it.responder.packets), 23);
    let bytes = |range: std::ops::Range<u64>| range.map(|second| 38 + second).sum::<u64>();
    assert_eq!(sum(|it| it.initiator.ip_bytes.unwrap()), bytes(0..12));
    assert_eq!(sum(|it| it.responder.ip_bytes.unwrap()), bytes(12..35));
    for pair in records.windows(2) {
        assert_eq!(pair[1].start_ns, pair[0].end_ns);
    }
    assert_eq!(records[3].initiator.packets, 0);
}

/// The other end turned out to be the initiator between two reports.
#[test]
fn an_interval_is_that_of_the_same_ends() {
    let ends = ["192.0.2.1:5", "192.0.2.2:6"].map(|end| end.parse().unwrap());
    let flow = "1".parse().unwrap();
    let mut earlier = FlowRecord::new(flow, 6, ends[0], ends[1]);
    (earlier.initiator.packets, earlier.responder.packets) = (3, 1);
    let mut now = FlowRecord::new(flow, 6, ends[1], ends[0]);
    (now.initiator.packets, now.responder.packets) = (10, 5);
    let interval = now.since(&earlier);
    assert_eq!(
        (interval.initiator.packets, interval.responder.packets),
        (9, 2)
    );
}

/// Without segments, a record has what the tracker keeps.
#[test]
fn an_event_alone_makes_a_record() {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional().with_vlan());
    let mut events = Vec::new();
    for step in [
        Step(0, true, SYN, 100, 0, 0),
        Step(1, false, SYN | ACK, 500, 101, 0),
        Step(2, true, ACK, 101, 501, 30),
        Step(3, false, ACK | RST, 501, 131, 0),
    ] {
        let bytes = frame(&step, 1000);
        tracker.track(
            &Packet::new(&bytes, at(step.0), LinkType::IPV4),
            &mut events,
        );
    }
    while tracker.finish(&mut events) {}
    let records: Vec<_> = events.iter().filter_map(FlowRecord::from_event).collect();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert!(matches!(events.last(), Some(FlowEvent::Ended { .. })));
    assert_eq!(
        (record.state.as_str(), record.history.as_str()),
        ("RSTR", "ShDr")
    );
    assert_eq!(record.reason.unwrap().as_str(), "reset");
    assert_eq!(record.initiator.tcp_flags, SYN | ACK);
    assert_eq!(record.responder.tcp_flags, SYN | ACK | RST);
    assert_eq!((record.initiator.packets, record.responder.packets), (2, 2));
    assert_eq!(
        (record.initiator.ip_bytes, record.initiator.missed_bytes),
        (None, None)
    );
    assert_eq!((record.vlan, record.productive_end_ns), (None, None));
    assert_eq!(record.start_ns, at(0).as_nanos());
    assert_eq!(record.end_ns, at(3).as_nanos());
}
