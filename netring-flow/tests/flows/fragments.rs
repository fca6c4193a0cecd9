//! Fragments: each counts in the flow of its packet, or nowhere, in bounded memory.

use netring_flow::extract::{
    Datagram, Extract, Extracted, FiveTuple, FiveTupleKey, Fragment, Piece, Skip,
};
use netring_flow::{FlowEvent, FlowTracker, FlowVisitor, FragmentStats, Segment, TrackerConfig};
use netring_sys::{LinkType, Packet};

use crate::common::{ACK, Bench, CLIENT, Frames, SERVER, at, seconds, tcp, udp};

/// The part of a frame's IPv4 payload from `start` to `end`, as a fragment with this
/// identification. Past the payload are zeros.
pub(crate) fn part(frame: &[u8], id: u16, start: usize, end: usize, more: bool) -> Vec<u8> {
    let mut fragment = frame[..34].to_vec();
    let body = frame[34..].iter().copied().chain(std::iter::repeat(0));
    fragment.extend(body.skip(start).take(end - start));
    fragment[16..18].copy_from_slice(&((20 + end - start) as u16).to_be_bytes());
    fragment[18..20].copy_from_slice(&id.to_be_bytes());
    let word = (start / 8) as u16 | u16::from(more) << 13;
    fragment[20..22].copy_from_slice(&word.to_be_bytes());
    fragment
}

/// A datagram of 100 bytes in three fragments.
pub(crate) fn three(id: u16) -> [Vec<u8>; 3] {
    let whole = udp(CLIENT, SERVER, &[7; 92]);
    [
        part(&whole, id, 0, 40, true),
        part(&whole, id, 40, 80, true),
        part(&whole, id, 80, 100, false),
    ]
}

fn fragments(bench: &Bench) -> FragmentStats {
    bench.tracker.stats().fragments
}

#[test]
fn later_fragments_count_in_the_flow_of_the_first_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [2, 0, 1],
        [1, 2, 0],
        [2, 1, 0],
    ] {
        let mut bench = Bench::new();
        let pieces = three(77);
        for (number, at) in order.into_iter().enumerate() {
            bench.frame(number as f64, &pieces[at]);
        }
        bench.finish();
        let [flow] = &bench.ended()[..] else {
            panic!("{:?}", bench.events)
        };
        assert_eq!(flow.key.to_string(), "udp 192.0.2.10:443 192.0.2.200:40000");
        let sent = flow.stats.by_initiator();
        // Three headers of 34 bytes; the datagram with its own header of 8.
        assert_eq!((sent.packets, sent.bytes, sent.payload_bytes), (3, 202, 92));
        assert_eq!((flow.stats.first(), flow.stats.last()), (at(0.0), at(2.0)));
        assert!(!flow.stats.malformed);
        let stats = fragments(&bench);
        assert_eq!((stats.first, stats.followed), (1, 2));
        assert_eq!((stats.duplicate, stats.overlapping, stats.tiny), (0, 0, 0));
        assert_eq!(bench.tracker.stats().untracked.total(), 0);
    }
}

#[test]
fn the_rest_of_a_tcp_segment_follows_its_first_fragment_with_the_whole_header() {
    let mut bench = Bench::new();
    let segment = tcp(CLIENT, SERVER, 1, 1, ACK, &[7; 60]);
    bench.frame(0.0, &part(&segment, 5, 0, 40, true));
    bench.frame(0.0, &part(&segment, 5, 40, 80, false));
    bench.finish();
    let stats = fragments(&bench);
    assert_eq!((stats.first, stats.followed), (1, 1));
    let [flow] = &bench.ended()[..] else {
        panic!("{:?}", bench.events)
    };
    let sent = flow.stats.by_initiator();
    assert_eq!((sent.packets, sent.payload_bytes), (2, 60));
}

#[test]
fn fragments_of_another_packet_do_not_follow() {
    let mut bench = Bench::new();
    let [first, second, _] = three(77);
    bench.frame(0.0, &first);
    // Another identification, protocol, source, and the other direction.
    for (at, byte) in [(19, 78), (23, 6), (29, 9)] {
        let mut other = second.clone();
        other[at] = byte;
        bench.frame(0.0, &other);
    }
    let back = udp(SERVER, CLIENT, &[7; 92]);
    bench.frame(0.0, &part(&back, 77, 40, 80, true));
    bench.finish();
    assert_eq!(bench.ended().len(), 1);
    assert_eq!(bench.ended()[0].stats.packets(), 1);
    assert_eq!(bench.tracker.stats().untracked.fragments, 4);
}

#[test]
fn a_packet_is_remembered_for_its_time_and_no_longer() {
    let config = TrackerConfig::new().fragment_timeout(seconds(10));
    let mut bench = Bench::with(config);
    let [first, second, third] = three(1);
    bench.frame(0.0, &first);
    bench.frame(10.0, &second);
    bench.frame(10.1, &third);
    bench.finish();
    assert_eq!(bench.ended()[0].stats.packets(), 2);
    assert_eq!(bench.tracker.stats().untracked.fragments, 1);
}

#[test]
fn duplicates_overlaps_and_tiny_fragments_are_counted_and_stay_in_the_flow() {
    let mut bench = Bench::new();
    let whole = udp(CLIENT, SERVER, &[7; 92]);
    let [first, second, third] = three(1);
    for frame in [&first, &first, &second, &second] {
        bench.frame(0.0, frame);
    }
    // Inside the second, and across it and the third.
    bench.frame(0.0, &part(&whole, 1, 48, 56, true));
    bench.frame(0.0, &part(&whole, 1, 72, 88, true));
    bench.frame(0.0, &third);
    let stats = fragments(&bench);
    assert_eq!((stats.duplicate, stats.overlapping), (2, 3));

    // A TCP header in two fragments, of which the second begins 8 bytes into it.
    let whole = tcp(CLIENT, SERVER, 1, 1, ACK, &[7; 20]);
    bench.frame(1.0, &part(&whole, 2, 0, 8, true));
    bench.frame(1.0, &part(&whole, 2, 8, 40, false));
    assert_eq!(fragments(&bench).tiny, 2);
    // Not even ports: a flow without, which the rest follows.
    bench.frame(2.0, &part(&udp(SERVER, CLIENT, &[7; 32]), 3, 0, 0, true));
    bench.frame(2.0, &part(&udp(SERVER, CLIENT, &[7; 32]), 3, 8, 40, false));
    assert_eq!(fragments(&bench).tiny, 3);
    bench.finish();
    let mut flows: Vec<_> = bench
        .ended()
        .iter()
        .map(|flow| (flow.key.to_string(), flow.stats.packets()))
        .collect();
    flows.sort();
    let expected = [
        ("tcp 192.0.2.10:443 192.0.2.200:40000", 2),
        ("udp 192.0.2.10:- 192.0.2.200:-", 2),
        ("udp 192.0.2.10:443 192.0.2.200:40000", 7),
    ];
    assert_eq!(
        flows,
        expected.map(|(key, packets)| (key.to_owned(), packets))
    );
    assert_eq!(bench.tracker.stats().untracked.total(), 0);
}

#[test]
fn an_identification_that_is_reused_leads_to_the_newer_flow() {
    let mut bench = Bench::new();
    let other = udp("192.0.2.200:5", SERVER, &[7; 92]);
    let [first, second, third] = three(1);
    bench.frame(0.0, &first);
    bench.frame(0.0, &part(&other, 1, 0, 40, true));
    bench.frame(0.0, &second);
    assert_eq!(fragments(&bench).reused, 1);
    // A packet that is complete has nothing to lose.
    bench.frame(0.0, &third);
    bench.frame(1.0, &first);
    bench.frame(1.0, &second);
    assert_eq!(
        (fragments(&bench).reused, fragments(&bench).overlapping),
        (1, 0)
    );
    bench.finish();
    let packets: Vec<_> = bench
        .ended()
        .iter()
        .map(|flow| flow.stats.packets())
        .collect();
    assert_eq!(packets, [3, 3]);
}

/// IPv6 with a fragment header: the offset is in bytes.
pub(crate) fn v6(id: u32, start: usize, end: usize, more: bool) -> Vec<u8> {
    let mut whole = vec![0x11, 0x11, 0, 53, 0, 100, 0, 0];
    whole.extend([7; 92]);
    let mut frame = vec![2; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend(((8 + end - start) as u16).to_be_bytes());
    frame.extend([44, 64]);
    for last in [1, 2] {
        frame.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    // The next header of a later fragment may be anything (RFC 8200).
    frame.extend([if start == 0 { 17 } else { 59 }, 0]);
    frame.extend((start as u16 | u16::from(more)).to_be_bytes());
    frame.extend(id.to_be_bytes());
    frame.extend(&whole[start..end]);
    frame
}

#[test]
fn ipv6_fragments_follow_by_their_own_identification_and_atomic_ones_are_whole() {
    let mut bench = Bench::new();
    bench.frame(0.0, &v6(0x1_0001, 0, 40, true));
    bench.frame(0.0, &v6(0x1_0001, 40, 100, false));
    // The lower 16 bits alone are not enough.
    bench.frame(0.0, &v6(0x2_0001, 40, 100, false));
    assert_eq!(bench.tracker.stats().untracked.waiting, 1);
    assert_eq!(fragments(&bench).first, 1);
    bench.frame(1.0, &v6(5, 0, 100, false));
    assert_eq!(fragments(&bench).first, 1);
    bench.finish();
    let [flow] = &bench.ended()[..] else {
        panic!("{:?}", bench.events)
    };
    assert_eq!(
        flow.key.to_string(),
        "udp [2001:db8::1]:4369 [2001:db8::2]:53"
    );
    let sent = flow.stats.by_initiator();
    assert_eq!((sent.packets, sent.payload_bytes), (3, 92 + 92));
    assert_eq!(bench.tracker.stats().untracked.fragments, 1);
}

#[test]
fn the_rest_of_a_fragmented_icmp_error_is_in_no_flow() {
    let quoted = udp(SERVER, CLIENT, &[7; 92]);
    let mut error = udp(CLIENT, SERVER, &[]);
    error[23] = 1;
    error.truncate(34);
    error.extend([3, 3, 0, 0, 0, 0, 0, 0]);
    error.extend(&quoted[14..]);
    let mut bench = Bench::new();
    bench.frame(0.0, &quoted);
    bench.frame(0.0, &part(&error, 9, 0, 64, true));
    bench.frame(0.0, &part(&error, 9, 64, 128, false));
    bench.finish();
    let stats = bench.tracker.stats();
    assert_eq!((stats.icmp_errors, stats.untracked.fragments), (1, 1));
    assert_eq!(bench.ended()[0].stats.packets(), 1);
}

/// Which part each packet was, and how much of it.
#[derive(Default)]
struct Pieces(Vec<(Piece, Vec<u8>, u32)>);

impl FlowVisitor<FiveTupleKey> for Pieces {
    fn event(&mut self, _: FlowEvent<FiveTupleKey>) {}

    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        let payload = segment.payload.to_vec();
        self.0.push((segment.piece, payload, segment.payload_len));
    }
}

#[test]
fn a_visitor_sees_which_part_of_a_packet_it_gets() {
    let [first, second, third] = three(1);
    let frames = [(0.0, first), (0.0, second), (0.0, third)];
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut seen = Pieces::default();
    tracker.track_batch(&Frames(&frames), &mut seen);
    let expected = [
        (Piece::First, vec![7; 32], 32),
        (Piece::Later, vec![7; 40], 40),
        (Piece::Later, vec![7; 20], 20),
    ];
    assert_eq!(seen.0, expected);
}

#[test]
fn a_fragment_that_a_snap_length_cut_or_that_lies_about_its_length_is_marked() {
    let mut bench = Bench::new();
    let [first, second, mut third] = three(1);
    bench.frame(0.0, &first);
    let cut =
        Packet::new(&second[..40], at(0.0), LinkType::ETHERNET).with_wire_len(second.len() as u32);
    bench.tracker.track(&cut, &mut bench.events);
    third[17] = 255;
    bench.frame(0.0, &third);
    bench.finish();
    let flow = &bench.ended()[0];
    assert!(flow.stats.cut && flow.stats.malformed);
    let sent = flow.stats.by_initiator();
    // Never more than the frame had.
    assert_eq!((sent.packets, sent.bytes, sent.payload_bytes), (3, 202, 92));
}

#[test]
fn the_oldest_packet_makes_room_and_without_room_none_follows() {
    let mut bench = Bench::with(TrackerConfig::new().max_fragmented(2));
    for id in 1..=3 {
        bench.frame(0.0, &three(id)[0]);
    }
    for id in 1..=3 {
        bench.frame(0.0, &three(id)[1]);
    }
    let stats = bench.tracker.stats();
    assert_eq!(
        (stats.fragments.followed, stats.fragments.forgotten),
        (2, 1)
    );
    assert_eq!((stats.untracked.waiting, stats.untracked.fragments), (1, 0));
    bench.finish();
    let stats = bench.tracker.stats();
    assert_eq!((stats.untracked.waiting, stats.untracked.fragments), (0, 1));

    let mut bench = Bench::with(TrackerConfig::new().max_fragmented(0));
    for piece in three(1) {
        bench.frame(0.0, &piece);
    }
    let stats = bench.tracker.stats();
    assert_eq!((stats.fragments.first, stats.fragments.followed), (1, 0));
    assert_eq!(stats.untracked.fragments, 2);
}

#[test]
fn settings_out_of_range_are_refused() {
    for (config, setting) in [
        (
            TrackerConfig::new().max_fragmented((1 << 24) + 1),
            "max_fragmented",
        ),
        (
            TrackerConfig::new().fragment_timeout(seconds(0)),
            "fragment_timeout",
        ),
    ] {
        let refused = FlowTracker::with_config(FiveTuple::bidirectional(), config);
        let why = refused.unwrap_err().to_string();
        assert!(why.contains(setting), "{why}");
    }
}

#[test]
fn a_million_first_fragments_take_no_more_memory_than_some_thousands() {
    use crate::counting::allocated;
    let mut tracker = FlowTracker::with_config(
        FiveTuple::bidirectional(),
        TrackerConfig::new().max_flows(16),
    )
    .unwrap();
    let mut events = Vec::new();
    let mut first = three(1)[0].clone();
    let mut after = Vec::new();
    for number in 0..1_000_000_u32 {
        // The source address and the identification: no packet comes twice.
        first[26..30].copy_from_slice(&(number >> 8).to_be_bytes());
        first[18..20].copy_from_slice(&(number as u16).to_be_bytes());
        let packet = Packet::new(&first, at(f64::from(number) * 1e-6), LinkType::ETHERNET);
        tracker.track(&packet, &mut events);
        events.clear();
        if (number + 1).is_power_of_two() {
            after.push(allocated());
        }
    }
    let stats = tracker.stats();
    assert_eq!(stats.fragments.first, 1_000_000);
    assert_eq!(stats.fragments.forgotten, 1_000_000 - 4096);
    // From the 131,072nd to the last.
    assert_eq!(after[17], allocated());
    // Of which a chunk of 16,384 flows takes 3.8 MB.
    assert!(allocated() - 16_384 * 236 <= 4096 * 500, "{}", allocated());
}

/// A custom extractor: flows by address pair, whose fragments it does not know.
struct Wrapped(FiveTuple);

impl Extract for Wrapped {
    type Key = FiveTupleKey;

    fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
        self.0.extract(packet)
    }
}

#[test]
fn an_extractor_without_fragments_leaves_later_ones_out() {
    let mut tracker = FlowTracker::new(Wrapped(FiveTuple::bidirectional()));
    let mut events = Vec::new();
    for piece in three(1) {
        let packet = Packet::new(&piece, at(0.0), LinkType::ETHERNET);
        tracker.track(&packet, &mut events);
    }
    let stats = tracker.stats();
    assert_eq!((stats.tracked, stats.untracked.fragments), (1, 2));
}

#[test]
fn what_an_extractor_says_of_a_fragment_is_readable() {
    let mut seen: Vec<Fragment> = Vec::new();
    let piece = &three(77)[1];
    let packet = Packet::new(piece, at(0.0), LinkType::ETHERNET);
    FiveTuple::bidirectional().fragments(&packet, &mut |fragment| seen.push(fragment));
    let [fragment] = seen[..] else {
        panic!("{seen:?}")
    };
    let (source, destination) = ([192, 0, 2, 200].into(), [192, 0, 2, 10].into());
    let datagram = Datagram::v4(source, destination, 17, 77);
    assert_eq!(fragment.datagram, datagram);
    assert_eq!(
        (fragment.offset, fragment.len, fragment.start),
        (40, 40, 34)
    );
    assert!(fragment.more && !fragment.tiny && !fragment.malformed);
    assert_eq!(datagram.source(), std::net::IpAddr::from(source));
    assert_eq!(datagram.destination(), std::net::IpAddr::from(destination));
    assert_eq!(datagram.id(), 77);
}
