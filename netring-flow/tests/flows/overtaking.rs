//! Fragments that come before the first of their packet: they count in its flow once it comes.

use netring_flow::extract::FiveTuple;
use netring_flow::extract::FiveTupleKey;
use netring_flow::{EarlyFragments, FlowEvent, FlowTracker, FlowVisitor, Segment, TrackerConfig};
use netring_sys::{LinkType, Packet};

use crate::common::{ACK, Bench, CLIENT, Frames, SERVER, SYN, at, seconds, tcp, udp};
use crate::counting::allocated;
use crate::fragments::{part, three, v6};

/// Fragments in the flow of their first, those that wait, and those that are given up.
fn figures(bench: &Bench) -> (u64, u64, u64) {
    bench.balance();
    let stats = bench.tracker.stats();
    let untracked = stats.untracked;
    (
        stats.fragments.followed,
        untracked.waiting,
        untracked.fragments,
    )
}

#[test]
fn each_fragment_is_in_one_figure_at_any_time() {
    let mut bench = Bench::new();
    let [first, second, third] = three(77);
    bench.frame(1.0, &third);
    assert_eq!(figures(&bench), (0, 1, 0));
    bench.frame(2.0, &second);
    assert_eq!(figures(&bench), (0, 2, 0));
    assert_eq!(bench.tracker.active_flows(), 0);
    bench.frame(3.0, &first);
    assert_eq!(figures(&bench), (2, 0, 0));
    // Nothing counts twice: the packet is complete, so this is the first of another.
    bench.frame(4.0, &first);
    assert_eq!(figures(&bench), (2, 0, 0));
    assert_eq!(bench.tracker.stats().fragments.duplicate, 0);
    bench.finish();
    let [flow] = &bench.ended()[..] else {
        panic!("{:?}", bench.events)
    };
    let sent = flow.stats.by_initiator();
    let all = [&first, &second, &third].map(|frame| frame.len() as u64);
    assert_eq!(sent.packets, 4);
    assert_eq!(sent.bytes, all.iter().sum::<u64>() + all[0]);
    assert_eq!(sent.payload_bytes, 92 + 32);
    assert_eq!((flow.stats.first(), flow.stats.last()), (at(1.0), at(4.0)));
    let stats = bench.tracker.stats();
    assert_eq!(stats.tracked_bytes, sent.bytes);
}

#[test]
fn the_last_fragment_first_as_old_linux_sends_them() {
    for v6_too in [false, true] {
        let mut bench = Bench::new();
        for at in (0..12).rev() {
            let (start, end, more) = (at * 8, at * 8 + 8, at != 11);
            let frame = if v6_too {
                v6(9, start, end, more)
            } else {
                part(&udp(CLIENT, SERVER, &[7; 88]), 9, start, end, more)
            };
            bench.frame(0.0, &frame);
        }
        assert_eq!(figures(&bench), (11, 0, 0));
        let stats = bench.tracker.stats().fragments;
        assert_eq!((stats.first, stats.duplicate, stats.overlapping), (1, 0, 0));
        bench.finish();
        assert_eq!(bench.ended().len(), 1);
        assert_eq!(bench.ended()[0].stats.by_initiator().payload_bytes, 88);
    }
}

#[test]
fn a_first_that_never_comes_or_comes_too_late_leaves_them_out() {
    let config = TrackerConfig::new().fragment_timeout(seconds(10));
    let mut bench = Bench::with(config.clone());
    let [first, second, third] = three(1);
    bench.frame(0.0, &third);
    bench.frame(10.0, &first);
    // By another packet, which moves the time.
    bench.frame(11.0, &three(2)[2]);
    assert_eq!(figures(&bench), (1, 1, 0));
    bench.frame(22.0, &udp(CLIENT, SERVER, b"later"));
    assert_eq!(figures(&bench), (1, 0, 1));

    // The time counts from the first that waits.
    let mut bench = Bench::with(config.clone());
    bench.frame(0.0, &third);
    bench.frame(8.0, &second);
    bench.frame(10.1, &first);
    assert_eq!(figures(&bench), (0, 0, 2));

    // By the host's clock, and by the end of the source.
    let mut bench = Bench::with(config);
    bench.frame(0.0, &third);
    bench.expire(10.0);
    assert_eq!(figures(&bench), (0, 1, 0));
    bench.expire(10.5);
    assert_eq!(figures(&bench), (0, 0, 1));
    bench.frame(10.5, &third);
    bench.finish();
    assert_eq!(figures(&bench), (0, 0, 2));
}

#[test]
fn cut_malformed_and_overlapping_ones_are_counted_with_them() {
    let mut bench = Bench::new();
    let whole = udp(CLIENT, SERVER, &[7; 92]);
    let [first, second, mut third] = three(1);
    third[17] = 255;
    bench.frame(0.0, &third);
    let cut =
        Packet::new(&second[..40], at(0.0), LinkType::ETHERNET).with_wire_len(second.len() as u32);
    bench.tracker.track(&cut, &mut bench.events);
    bench.frame(0.0, &part(&whole, 1, 48, 56, true));
    let stats = bench.tracker.stats();
    assert_eq!((stats.cut, stats.malformed, stats.tracked_bytes), (0, 0, 0));
    bench.frame(0.0, &first);
    let stats = bench.tracker.stats();
    assert_eq!((stats.cut, stats.malformed), (1, 1));
    assert_eq!(stats.fragments.overlapping, 1);
    bench.finish();
    let stats = bench.ended()[0].stats;
    assert!(stats.cut && stats.malformed);
}

#[test]
fn those_of_a_first_without_a_flow_are_left_out() {
    // Long after the close of its connection, a segment without data starts no flow.
    let mut bench = Bench::new();
    bench.handshake(0.0, 100, 200);
    bench.close(1.0, 100, 200);
    bench.expire(30.0);
    let trailing = tcp(CLIENT, SERVER, 102, 202, ACK, &[7; 4]);
    bench.frame(30.0, &part(&trailing, 5, 24, 32, false));
    bench.frame(30.0, &part(&trailing, 5, 0, 20, true));
    assert_eq!(bench.tracker.stats().untracked.after_close, 1);
    assert_eq!(figures(&bench), (0, 0, 1));
    bench.finish();
    assert_eq!(figures(&bench), (0, 0, 1));
}

#[test]
fn a_syn_that_is_overtaken_starts_its_flow() {
    let mut bench = Bench::new();
    let syn = tcp(CLIENT, SERVER, 1, 0, SYN, &[7; 20]);
    bench.frame(1.0, &part(&syn, 5, 24, 40, false));
    bench.frame(2.0, &part(&syn, 5, 0, 24, true));
    bench.server(3.0, SYN | ACK, 9, 2, b"");
    bench.finish();
    let [flow] = &bench.ended()[..] else {
        panic!("{:?}", bench.events)
    };
    assert_eq!(flow.history, "SDh");
    assert_eq!(flow.stats.by_initiator().packets, 2);
    assert_eq!(flow.stats.first(), at(1.0));
}

/// What a visitor is shown of each packet, and what is reported as having waited.
#[derive(Default)]
struct Shown {
    segments: u64,
    bytes: u64,
    waited: Vec<(u64, u64, u64, u64)>,
}

impl FlowVisitor<FiveTupleKey> for Shown {
    fn event(&mut self, _: FlowEvent<FiveTupleKey>) {}

    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        self.segments += 1;
        self.bytes += u64::from(segment.packet.wire_len());
    }

    fn early_fragments(&mut self, all: &EarlyFragments<'_, FiveTupleKey>) {
        // The segment of the first came before.
        assert_eq!(self.segments, 1);
        assert_eq!((all.first, all.last), (at(0.0), at(1.0)));
        assert_eq!(all.key.protocol(), 17);
        self.waited.push((
            all.packets,
            all.bytes,
            all.ip_bytes.unwrap(),
            all.payload_bytes,
        ));
    }
}

#[test]
fn a_visitor_is_shown_the_first_and_told_of_those_that_waited() {
    let [first, second, third] = three(1);
    let lens = (second.len() + third.len()) as u64;
    let frames = [(0.0, third), (1.0, second), (2.0, first)];
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut shown = Shown::default();
    tracker.track_batch(&Frames(&frames), &mut shown);
    assert_eq!(shown.waited, [(2, lens, lens - 28, 60)]);
    assert_eq!(shown.segments + 2, tracker.stats().tracked);
    assert_eq!(shown.bytes + lens, tracker.stats().tracked_bytes);
}

#[test]
fn a_flood_of_later_fragments_displaces_no_first_and_takes_bounded_memory() {
    const NUMBER: u32 = 200_000;
    let mut bench = Bench::new();
    let first = three(1);
    bench.frame(0.0, &first[0]);
    let mut later = three(2)[1].clone();
    let mut after = Vec::new();
    for number in 0..NUMBER {
        later[26..30].copy_from_slice(&(number >> 8).to_be_bytes());
        later[18..20].copy_from_slice(&(number as u16).to_be_bytes());
        bench.frame(f64::from(number) * 1e-6, &later);
        if (number + 1).is_power_of_two() {
            after.push(allocated());
        }
    }
    assert_eq!(figures(&bench), (0, 4096, u64::from(NUMBER) - 4096));
    assert_eq!(
        bench.tracker.stats().fragments.forgotten,
        u64::from(NUMBER) - 4096
    );
    assert_eq!(after[17], allocated());
    assert!(allocated() - after[0] <= 4096 * 640, "{after:?}");
    bench.frame(1.0, &first[1]);
    assert_eq!(bench.tracker.stats().fragments.followed, 1);
}
