//! A replay into a simulated sink: what is sent byte for byte, what is refused and why, and how
//! long it waits.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod given;
mod segments;
mod start;

use std::time::{Duration, Instant};

use netring::replay::{Replay, ReplayStats, Speed};
use netring::{Checksum, Error, LinkType, Packet, VlanTag};
use xtask::wire::{tcp4, udp4};

use given::{Given, at, ethernet, given, wire};

const TAG: VlanTag = VlanTag {
    tpid: 0x8100,
    tci: 0x2005,
};

#[track_caller]
fn balances(stats: &ReplayStats) {
    let placed = stats.committed + stats.refused.total() + stats.unsent;
    assert_eq!(stats.read, placed, "{stats:?}");
}

/// The frames sent for these packets on a link with an MTU of 1500.
fn replayed(packets: &[Packet<'_>]) -> (Vec<Vec<u8>>, ReplayStats) {
    let mut replay = Replay::new(wire()).unwrap().mtu(1500);
    let packets = packets.iter().map(Packet::to_buf);
    let stats = replay.run(&mut given(packets)).unwrap();
    balances(&stats);
    (replay.into_sink().sent, stats)
}

#[test]
fn packets_are_sent_as_they_were_on_the_wire() {
    let (plain, other) = (udp4(1, 2, &[7; 300]), udp4(3, 4, b"odd"));
    let tagged = ethernet(&other).with_vlan(Some(TAG));
    // Only bytes of an unknown protocol.
    let unknown = [0x99; 60];
    let (sent, stats) = replayed(&[ethernet(&plain), tagged, ethernet(&unknown)]);
    let mut with_tag = other[..12].to_vec();
    with_tag.extend_from_slice(&[0x81, 0, 0x20, 0x05]);
    with_tag.extend_from_slice(&other[12..]);
    assert_eq!(sent, [plain, with_tag.clone(), unknown.to_vec()]);
    assert_eq!((stats.read, stats.committed, stats.frames), (3, 3, 3));
    assert_eq!(stats.bytes, 342 + with_tag.len() as u64 + 60);
    assert_eq!((stats.refused.total(), stats.segmented), (0, 0));
}

#[test]
fn the_longest_frame_is_that_of_the_mtu_and_a_tag() {
    let frame = |payload| udp4(1, 2, &vec![1; payload]);
    let (fits, too_long) = (frame(1472), frame(1473));
    let mut tagged = fits.clone();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    let mut service = fits.clone();
    service.splice(12..12, [0x88, 0xa8, 0, 5]);
    let beside = ethernet(&fits).with_vlan(Some(TAG));
    let packets = [&fits, &too_long, &tagged, &service].map(|frame| ethernet(frame));
    let (sent, stats) = replayed(&[&packets[..], &[beside]].concat());
    assert_eq!(sent.len(), 3);
    assert_eq!((&sent[0], &sent[1]), (&fits, &tagged));
    assert_eq!(stats.refused.too_long, 2);
}

#[test]
fn each_refusal_has_its_reason() {
    let frame = udp4(1, 2, &[1; 100]);
    let mut no_length = frame.clone();
    no_length[16..18].fill(0);
    let mut padded = tcp4(1, 2, 3, 0x10, &[]);
    padded[16..18].fill(0);
    padded.resize(60, 0);
    let mut icmp = frame.clone();
    icmp[23] = 1;
    let partial = ethernet(&icmp).with_checksum(Checksum::Partial);
    let (sent, stats) = replayed(&[
        ethernet(&frame).with_wire_len(1514),
        Packet::new(&frame[14..], at(0), LinkType::RAW_IP),
        ethernet(&[]),
        ethernet(&frame[..13]),
        ethernet(&no_length),
        ethernet(&padded),
        partial,
        ethernet(&frame),
    ]);
    assert_eq!(sent, [frame]);
    let refused = stats.refused;
    assert_eq!(
        (refused.cut, refused.link_type, refused.too_short),
        (1, 1, 2)
    );
    assert_eq!((refused.unsegmentable, refused.checksum), (2, 1));
    assert_eq!(
        stats.to_string(),
        "8 read: 1 committed, 7 refused (1 cut, 1 of another link type, 2 unsegmentable, \
         1 without a checksum, 2 too short), 0 unsent; 1 frames, 142 bytes, 0 segmented, \
         0 in flight"
    );
}

#[test]
fn a_checksum_that_was_left_to_the_interface_is_computed() {
    let right = [tcp4(1, 2, 3, 0x18, b"hello"), udp4(1, 2, b"odd")];
    let wrong = right.clone().map(|mut frame| {
        let at = if frame[23] == 6 { 50 } else { 40 };
        frame[at..at + 2].copy_from_slice(&[1, 2]);
        frame
    });
    let partial = wrong
        .each_ref()
        .map(|it| ethernet(it).with_checksum(Checksum::Partial));
    let (sent, _) = replayed(&partial);
    assert_eq!(sent, right);
    // A file does not contain it.
    let packets = wrong.each_ref().map(|it| ethernet(it));
    assert_eq!(replayed(&packets).0, wrong);
    let mut none = right[1].clone();
    none[40..42].fill(0);
    let all = [&packets[..], &[ethernet(&none)]].concat();
    let mut replay = Replay::new(wire()).unwrap().mtu(1500).fix_checksums(true);
    replay
        .run(&mut given(all.iter().map(Packet::to_buf)))
        .unwrap();
    let expected = [&right[..], &[none]].concat();
    assert_eq!(replay.sink().sent, expected);
}

fn timed(times: &[i64]) -> Given {
    let frame = udp4(1, 2, &[0; 20]);
    let packet = |time: &i64| Packet::new(&frame, at(*time), LinkType::ETHERNET).to_buf();
    given(times.iter().map(packet))
}

#[test]
fn speeds_take_their_time_and_sleep_meanwhile() {
    const MS: i64 = 1_000_000;
    let times: Vec<_> = (0..=100).map(|n| n * MS).collect();
    for (speed, least) in [
        (Speed::Recorded, 100),
        (Speed::Factor(2.0), 50),
        (Speed::Factor(0.5), 200),
        (Speed::PacketsPerSecond(500), 200),
        // Frames of 62 bytes.
        (Speed::BitsPerSecond(62 * 8 * 1000), 100),
        (Speed::Fastest, 0),
    ] {
        let mut replay = Replay::new(wire()).unwrap().speed(speed).unwrap();
        let cpu = || -> u64 {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            text.split(' ').next().unwrap().parse().unwrap()
        };
        let (start, used) = (Instant::now(), cpu());
        let stats = replay.run(&mut timed(&times)).unwrap();
        let (took, used) = (start.elapsed(), Duration::from_nanos(cpu() - used));
        assert_eq!((stats.committed, replay.sink().sent.len()), (101, 101));
        assert!(took >= Duration::from_millis(least), "{speed:?}: {took:?}");
        assert!(stats.duration <= took);
        if least > 0 {
            assert!(used < took / 3, "{speed:?}: {used:?} of {took:?}");
            // Each was sent before the wait for the next.
            assert!(replay.sink().flushes >= 20);
        }
    }
}

#[test]
fn times_that_go_back_are_counted_and_long_gaps_can_be_shortened() {
    let day = 86_400_000_000_000;
    let mut replay = Replay::new(wire()).unwrap();
    replay = replay.longest_gap(Duration::from_millis(5));
    let start = Instant::now();
    let stats = replay
        .run(&mut timed(&[day, 2 * day, day, day - 1, 0, day]))
        .unwrap();
    assert_eq!((stats.committed, stats.backwards), (6, 3));
    assert!(start.elapsed() >= Duration::from_millis(10));
    balances(&stats);
}

#[test]
fn a_stop_ends_a_long_wait_and_every_later_run() {
    let mut replay = Replay::new(wire()).unwrap();
    let stop = replay.stop_handle();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        stop.stop();
    });
    let stats = replay.run(&mut timed(&[0, 1, i64::MAX, i64::MAX])).unwrap();
    stopper.join().unwrap();
    assert_eq!((stats.read, stats.committed, stats.unsent), (4, 2, 2));
    assert_eq!(replay.sink().sent.len(), 2);
    let stats = replay.repeat(u64::MAX, || Ok(timed(&[0]))).unwrap();
    assert_eq!(stats.read, 4);
}

#[test]
fn repeats_follow_one_another() {
    let mut replay = Replay::new(wire()).unwrap();
    let mut opened = 0;
    let start = Instant::now();
    let open = || {
        opened += 1;
        Ok(timed(&[0, 10_000_000]))
    };
    let stats = replay.repeat(5, open).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert_eq!((opened, stats.read, stats.committed), (5, 10, 10));
    let failed = replay.repeat(2, || Err::<Given, _>(Error::Closed));
    assert!(matches!(failed, Err(Error::Closed)));
}

#[test]
fn a_link_that_is_down_is_waited_for_and_what_is_final_ends_it() {
    let down = || Error::LinkDown {
        interface: "v0".into(),
        was_up: true,
    };
    let mut sink = wire();
    sink.errors = [down(), down(), down()].into();
    let mut replay = Replay::new(sink).unwrap().speed(Speed::Fastest).unwrap();
    let stats = replay.run(&mut timed(&[0; 10])).unwrap();
    assert_eq!(
        (stats.link_downs, stats.committed, stats.in_flight),
        (1, 10, 0)
    );
    assert_eq!(replay.sink().sent.len(), 10);

    let removed = Error::InterfaceRemoved {
        interface: "v0".into(),
    };
    let mut sink = wire();
    sink.errors = [removed].into();
    let mut replay = Replay::new(sink).unwrap().speed(Speed::Fastest).unwrap();
    let failed = replay.run(&mut timed(&[0; 10]));
    assert!(matches!(failed, Err(Error::InterfaceRemoved { .. })));
    let stats = replay.stats();
    assert_eq!((stats.read, stats.committed, stats.unsent), (10, 4, 6));

    // Everything before the damage is sent.
    let mut source = timed(&[0; 10]);
    source.end = Some(Error::Closed);
    let mut replay = Replay::new(wire()).unwrap();
    assert!(matches!(replay.run(&mut source), Err(Error::Closed)));
    assert_eq!(
        (replay.stats().committed, replay.sink().sent.len()),
        (10, 10)
    );
}
