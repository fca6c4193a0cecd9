//! Packets that are reassembled from their fragments: what a visitor sees of them.

mod bounds;
mod overlaps;
mod streams;
mod tunnels;

use netring_flow::extract::{FiveTuple, FiveTupleKey, Orientation, Piece, TcpSegment};
use netring_flow::{DefragmentStats, FlowEvent, FlowTracker, FlowVisitor, Segment, TrackerConfig};
use netring_sys::{LinkType, Packet};

use crate::common::{ACK, Bench, CLIENT, FIN, Frames, RST, SERVER, at, seconds, tcp, udp};
use crate::fragments::{part, three, v6};

pub(crate) const MEMORY: usize = 1 << 20;

/// What was shown of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) piece: Piece,
    pub(crate) payload: Vec<u8>,
    pub(crate) tcp: Option<TcpSegment>,
    pub(crate) missing: u32,
    pub(crate) out_of_window: bool,
    pub(crate) urgent: u16,
    pub(crate) key: String,
    pub(crate) orientation: Orientation,
}

#[derive(Default)]
pub(crate) struct All(pub(crate) Vec<Shown>);

impl FlowVisitor<FiveTupleKey> for All {
    fn event(&mut self, _: FlowEvent<FiveTupleKey>) {}

    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        self.0.push(Shown {
            piece: segment.piece,
            payload: segment.payload.to_vec(),
            tcp: segment.tcp().copied(),
            missing: segment.missing(),
            out_of_window: segment.out_of_window,
            urgent: segment.urgent,
            key: segment.key.to_string(),
            orientation: segment.orientation,
        });
    }
}

/// A tracker that reassembles packets, and what it shows.
pub(crate) struct Together {
    pub(crate) tracker: FlowTracker<FiveTuple>,
    pub(crate) shown: All,
}

impl Together {
    pub(crate) fn new() -> Self {
        Self::with(TrackerConfig::new().defragment(MEMORY))
    }

    pub(crate) fn with(config: TrackerConfig) -> Self {
        Self {
            tracker: FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap(),
            shown: All::default(),
        }
    }

    pub(crate) fn frame(&mut self, seconds: f64, frame: &[u8]) {
        let packet = Packet::new(frame, at(seconds), LinkType::ETHERNET);
        self.tracker.track(&packet, &mut self.shown);
        self.stats();
    }

    pub(crate) fn frames(&mut self, frames: &[Vec<u8>]) {
        frames.iter().for_each(|frame| self.frame(0.0, frame));
    }

    /// The payloads that were reassembled.
    pub(crate) fn together(&self) -> Vec<Vec<u8>> {
        let shown = self.shown.0.iter();
        let together = shown.filter(|shown| shown.piece == Piece::Reassembled);
        together.map(|shown| shown.payload.clone()).collect()
    }

    pub(crate) fn pieces(&self) -> Vec<Piece> {
        self.shown.0.iter().map(|shown| shown.piece).collect()
    }

    /// The figures, which add up.
    pub(crate) fn stats(&self) -> DefragmentStats {
        let stats = self.tracker.stats();
        let tracked = stats.tracked + stats.icmp_errors + stats.untracked.total();
        assert_eq!(stats.packets, tracked);
        let stats = stats.fragments.defragment;
        let sum = stats.reassembled + stats.incomplete.total() + stats.open;
        assert_eq!(stats.begun, sum, "{stats:?}");
        assert!(stats.memory <= stats.memory_peak);
        stats
    }

    pub(crate) fn finish(&mut self) -> DefragmentStats {
        while self.tracker.finish(&mut self.shown) {}
        let stats = self.stats();
        assert_eq!((stats.open, stats.memory), (0, 0));
        stats
    }
}

/// A datagram whose bytes tell where they are, with a valid checksum, in fragments of this size.
pub(crate) fn datagram(id: u16, len: usize, size: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let payload: Vec<u8> = (0..len)
        .map(|at| (at / 8 + at + usize::from(id)) as u8)
        .collect();
    let frame = udp(CLIENT, SERVER, &payload);
    (payload, cut(&frame, id, size))
}

/// A frame in fragments of this size.
pub(crate) fn cut(frame: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let len = frame.len() - 34;
    let starts = (0..len).step_by(size);
    starts
        .map(|start| {
            let end = len.min(start + size);
            part(frame, id, start, end, end != len)
        })
        .collect()
}

#[test]
fn a_datagram_is_shown_whole_with_the_fragment_that_completes_it_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [2, 0, 1],
        [1, 2, 0],
        [2, 1, 0],
    ] {
        let mut together = Together::new();
        let (payload, fragments) = datagram(77, 92, 40);
        for at in order {
            together.frame(0.0, &fragments[at]);
        }
        assert_eq!(together.together(), [payload]);
        // Those that waited for the first were not shown.
        let shown = order.len() - order.iter().position(|at| *at == 0).unwrap();
        let mut pieces = vec![Piece::Held; shown - 1];
        pieces.push(Piece::Reassembled);
        assert_eq!(together.pieces(), pieces);
        let last = together.shown.0.last().unwrap();
        assert_eq!(last.key, "udp 192.0.2.10:443 192.0.2.200:40000");
        assert_eq!((last.missing, last.orientation), (0, Orientation::Reverse));
        let stats = together.finish();
        assert_eq!((stats.begun, stats.reassembled), (1, 1));
        assert_eq!(together.tracker.stats().tracked, 3);
    }
}

#[test]
fn held_fragments_have_no_payload_so_that_each_byte_is_shown_once() {
    let mut together = Together::new();
    let (payload, fragments) = datagram(1, 3000, 1480);
    together.frames(&fragments);
    let bytes: usize = together
        .shown
        .0
        .iter()
        .map(|shown| shown.payload.len())
        .sum();
    assert_eq!(bytes, payload.len());
    assert!(together.shown.0.iter().all(|shown| shown.missing == 0));
}

#[test]
fn the_counts_of_a_flow_are_the_same_as_without() {
    let mut figures = Vec::new();
    for memory in [0, MEMORY] {
        let mut together = Together::with(TrackerConfig::new().defragment(memory));
        let (_, fragments) = datagram(1, 3000, 1480);
        let segment = tcp(CLIENT, SERVER, 1, 1, ACK, &[7; 3000]);
        let fragments = fragments.into_iter().rev().chain(cut(&segment, 2, 1480));
        let frames: Vec<_> = fragments.map(|frame| (0.0, frame)).collect();
        together
            .tracker
            .track_batch(&Frames(&frames), &mut together.shown);
        let mut events: Vec<FlowEvent<FiveTupleKey>> = Vec::new();
        while together.tracker.finish(&mut events) {}
        let ended = events.into_iter().map(|event| match event {
            FlowEvent::Ended { flow, stats, .. } => (flow, stats),
            other => panic!("{other:?}"),
        });
        let mut stats = together.tracker.stats();
        let expected = if memory == 0 { 0 } else { 2 };
        assert_eq!(stats.fragments.defragment.reassembled, expected);
        stats.fragments.defragment = DefragmentStats::default();
        figures.push((ended.collect::<Vec<_>>(), stats));
    }
    assert_eq!(figures[0], figures[1]);
}

#[test]
fn nothing_is_kept_for_a_visitor_without_segments() {
    use crate::counting::allocated;
    let mut bench = Bench::with(TrackerConfig::new().defragment(MEMORY));
    let (_, fragments) = datagram(1, 60_000, 1480);
    bench.frame(0.0, &fragments[0]);
    let before = allocated();
    for fragment in &fragments[1..] {
        bench.frame(0.0, fragment);
    }
    assert_eq!(allocated(), before);
    let stats = bench.tracker.stats().fragments;
    assert_eq!(stats.followed, fragments.len() as u64 - 1);
    assert_eq!(stats.defragment, DefragmentStats::default());
}

#[test]
fn ipv6_by_its_own_identification_and_atomic_ones_are_whole() {
    let mut together = Together::new();
    together.frames(&[
        v6(9, 40, 100, false),
        v6(9, 0, 40, true),
        v6(5, 0, 100, false),
    ]);
    assert_eq!(together.together(), [vec![7; 92]]);
    assert_eq!(together.pieces(), [Piece::Reassembled, Piece::Whole]);
    assert_eq!(together.shown.0[1].payload, vec![7; 92]);
    assert_eq!(together.finish().begun, 1);
}

#[test]
fn a_tcp_segment_has_its_header_also_if_that_is_in_two_fragments() {
    let segment = tcp(
        CLIENT,
        SERVER,
        1000,
        2000,
        ACK | FIN,
        b"all of it, in order",
    );
    for size in [8, 16, 24, 32] {
        let mut together = Together::new();
        together.frames(&cut(&segment, 3, size));
        assert_eq!(together.together(), [b"all of it, in order"], "{size}");
        let last = together.shown.0.last().unwrap();
        let tcp = last.tcp.unwrap();
        assert_eq!((tcp.sequence, tcp.acknowledgement), (1000, 2000));
        assert_eq!(tcp.flags, ACK | FIN);
        assert_eq!(together.finish().reassembled, 1);
    }
}

#[test]
fn a_forged_rst_in_fragments_is_marked_and_an_urgent_pointer_is_read() {
    let mut together = Together::new();
    let handshake = [
        tcp(CLIENT, SERVER, 100, 0, 2, b""),
        tcp(SERVER, CLIENT, 500, 101, 18, b""),
        tcp(CLIENT, SERVER, 101, 501, ACK, b""),
    ];
    together.frames(&handshake);
    let forged = tcp(CLIENT, SERVER, 0x7000_0000, 501, RST, &[7; 20]);
    together.frames(&cut(&forged, 1, 24));
    assert!(together.shown.0.last().unwrap().out_of_window);
    let mut urgent = tcp(CLIENT, SERVER, 101, 501, ACK, &[7; 20]);
    urgent[47] |= TcpSegment::URG;
    urgent[53] = 9;
    together.frames(&cut(&urgent, 2, 24));
    let last = together.shown.0.last().unwrap();
    assert_eq!((last.piece, last.urgent), (Piece::Reassembled, 9));
    assert!(!last.out_of_window);
}

#[test]
fn what_a_snap_length_cut_is_counted_and_shown_as_it_is() {
    let mut together = Together::new();
    let (_, fragments) = datagram(1, 92, 40);
    together.frame(0.0, &fragments[0]);
    let len = fragments[1].len() as u32;
    let cut = Packet::new(&fragments[1][..40], at(0.0), LinkType::ETHERNET).with_wire_len(len);
    together.tracker.track(&cut, &mut together.shown);
    together.frame(0.0, &fragments[2]);
    assert_eq!(together.pieces(), [Piece::Held, Piece::Later, Piece::Later]);
    let stats = together.finish();
    assert_eq!((stats.begun, stats.incomplete.cut), (1, 1));
}

#[test]
fn a_fragment_that_never_comes_is_a_time_out_or_the_end_of_the_source() {
    let config = TrackerConfig::new().defragment(MEMORY);
    let mut together = Together::with(config.fragment_timeout(seconds(10)));
    let (_, fragments) = datagram(1, 92, 40);
    together.frame(0.0, &fragments[0]);
    together.frame(10.0, &fragments[1]);
    assert_eq!(together.stats().open, 1);
    // Any packet moves the time.
    together.frame(10.5, &udp(CLIENT, SERVER, b"later"));
    let stats = together.stats();
    assert_eq!((stats.open, stats.incomplete.timed_out), (0, 1));
    assert_eq!(stats.memory, 0);
    together.frame(11.0, &fragments[0]);
    let stats = together.finish();
    assert_eq!(stats.incomplete.source_ended, 1);
    assert!(together.together().is_empty());
}

#[test]
fn an_icmp_message_is_reassembled_and_an_icmp_error_is_not() {
    let mut echo = udp(CLIENT, SERVER, &[]);
    echo[23] = 1;
    echo.truncate(34);
    echo.extend([8, 0, 0, 0, 0, 1, 0, 1]);
    echo.extend([7; 92]);
    let mut together = Together::new();
    together.frames(&cut(&echo, 1, 48));
    assert_eq!(together.together(), [echo[34..].to_vec()]);

    let (_, quoted) = datagram(5, 92, 200);
    let mut error = echo[..34].to_vec();
    error.extend([3, 3, 0, 0, 0, 0, 0, 0]);
    error.extend(&quoted[0][14..]);
    let mut together = Together::new();
    together.frames(&quoted);
    together.frames(&cut(&error, 9, 64));
    assert_eq!(together.tracker.stats().icmp_errors, 1);
    let stats = together.finish();
    assert_eq!(stats.reassembled, 0);
}

#[test]
fn it_needs_room_for_fragmented_packets() {
    let config = TrackerConfig::new().max_fragmented(0).defragment(1);
    let refused = FlowTracker::with_config(FiveTuple::bidirectional(), config);
    let why = refused.unwrap_err().to_string();
    assert!(
        why.contains("defragment") && why.contains("max_fragmented"),
        "{why}"
    );
}

#[test]
fn by_default_fragments_are_shown_as_they_are() {
    let mut together = Together::with(TrackerConfig::new());
    together.frames(&three(1));
    assert_eq!(
        together.pieces(),
        [Piece::First, Piece::Later, Piece::Later]
    );
    assert_eq!(together.finish(), DefragmentStats::default());
}
