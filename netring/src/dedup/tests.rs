//! The rules of [`Content`] against a model that compares bytes, and the edges of the settings.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{Clock, LinkType, Timestamp, VlanTag};

const MS: i64 = 1_000_000;

/// Lends the packets in batches of this many.
struct List<'a> {
    packets: Vec<Packet<'a>>,
    each: usize,
    at: usize,
}

struct Few<'a>(&'a [Packet<'a>]);

impl PacketBatch for Few<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.iter().copied()
    }
}

impl PacketSource for List<'_> {
    type Batch<'b>
        = Few<'b>
    where
        Self: 'b;

    fn ready(&mut self) -> Result<Readiness, Error> {
        let is_over = self.at == self.packets.len();
        Ok(if is_over {
            Readiness::Ended
        } else {
            Readiness::Ready
        })
    }

    fn batch(&mut self) -> Few<'_> {
        let start = self.at;
        self.at = (start + self.each).min(self.packets.len());
        Few(&self.packets[start..self.at])
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.at as u64))
    }

    fn is_live(&self) -> bool {
        false
    }
}

fn packet(data: &[u8], nanos: i64) -> Packet<'_> {
    let time = Timestamp::from_nanos(nanos, Clock::Unknown);
    Packet::new(data, time, LinkType::ETHERNET)
}

/// The places of the packets that are lent, and how many were forgotten.
fn lent(packets: &[Packet<'_>], content: Content) -> (Vec<usize>, u64) {
    // Their places, in the interface.
    let packets = packets.iter().zip(0..).map(|(it, n)| it.with_interface(n));
    let list = List {
        packets: packets.collect(),
        each: 70,
        at: 0,
    };
    let mut dedup = Dedup::content(list, content).unwrap();
    let mut lent = Vec::new();
    while let Some(batch) = dedup.next_batch().unwrap() {
        let first: Vec<_> = batch.packets().map(|it| it.interface() as usize).collect();
        let again = batch.packets().map(|it| it.interface() as usize);
        assert!(again.eq(first.iter().copied()));
        lent.extend(first);
    }
    let stats = dedup.stats().unwrap();
    assert_eq!(stats.delivered, Count::Exact(lent.len() as u64));
    assert_eq!(stats.left_out, Count::Exact(dedup.duplicates()));
    assert_eq!(stats.pending(), Some(0));
    (lent, dedup.forgotten())
}

/// Times of equal packets in milliseconds, and the places of those that are lent.
#[track_caller]
fn equal(content: Content, times: &[i64], expected: &[usize]) {
    let packets: Vec<_> = times.iter().map(|ms| packet(&[7; 60], ms * MS)).collect();
    assert_eq!(lent(&packets, content), (expected.to_vec(), 0), "{times:?}");
}

#[test]
fn every_second_of_equal_packets_within_the_window_is_left_out() {
    let pairs = Content::default();
    equal(pairs, &[0, 0], &[0]);
    equal(pairs, &[0, 5], &[0]);
    equal(pairs, &[0, 6], &[0, 1]);
    // Three retransmissions, each twice; and a mirror that delays the copies.
    equal(pairs, &[0, 0, 1, 1, 2, 2], &[0, 2, 4]);
    equal(pairs, &[0, 1, 2, 3], &[0, 2]);
    // A copy that is missing costs nothing but itself.
    equal(pairs, &[0, 20, 20, 40, 41], &[0, 1, 3]);
    // Three of a packet that is there twice.
    equal(pairs, &[0, 1, 2], &[0, 2]);
    // Merged captures are not in order of time.
    equal(pairs, &[5, 0, 100, 94], &[0, 2, 3]);
}

#[test]
fn more_copies_and_all_of_them() {
    equal(
        Content::default().copies(3),
        &[0, 0, 0, 1, 1, 1, 2],
        &[0, 3, 6],
    );
    let all = Content::default().copies(u32::MAX);
    // The window is that of the packet that was lent, so repetitions do not prolong it.
    equal(all, &[0, 1, 2, 3, 4, 5, 6, 7, 12], &[0, 6, 8]);
    equal(
        Content::default().window(Duration::ZERO),
        &[0, 0, 1],
        &[0, 2],
    );
    let ever = all.window(Duration::MAX);
    equal(ever, &[i64::MIN / MS, 0, i64::MAX / MS], &[0]);
}

/// Each is another packet, although as little as possible differs.
#[test]
fn different_packets_are_different() {
    for len in (0..600).chain([1500, 9000, 65_549]) {
        let bytes: Vec<_> = (0..len).map(|n| n as u8).collect();
        let mut others = vec![bytes.clone()];
        for at in (0..len).filter(|at| len < 600 || at % 97 == 0 || at + 1 == len) {
            let mut other = bytes.clone();
            other[at] ^= 1;
            others.push(other);
        }
        let mut longer = bytes.clone();
        longer.push(0);
        others.push(longer);
        let packets: Vec<_> = others.iter().map(|it| packet(it, 0)).collect();
        let all = (0..packets.len()).collect::<Vec<_>>();
        assert_eq!(lent(&packets, Content::default()).0, all, "{len} bytes");
    }
    let bytes = [1; 60];
    let tag = |tci| Some(VlanTag { tpid: 0x8100, tci });
    let time = Timestamp::EPOCH;
    let packets = [
        packet(&bytes, 0),
        packet(&bytes, 0).with_wire_len(61),
        packet(&bytes, 0).with_vlan(tag(0)),
        packet(&bytes, 0).with_vlan(tag(1)),
        Packet::new(&bytes, time, LinkType(101)),
        Packet::new(&bytes, time, LinkType(101)).with_vlan(tag(1)),
    ];
    assert_eq!(lent(&packets, Content::default()).0, [0, 1, 2, 3, 4, 5]);
    let packets = packets.map(|it| it.with_direction(Some(Direction::Outgoing)));
    let equal = [packets[0], packets[0].with_direction(Some(Direction::Host))];
    assert_eq!(lent(&equal, Content::default()).0, [0]);
}

/// The frame with this tag in its bytes.
fn tagged(frame: &[u8], tag: [u8; 4]) -> Vec<u8> {
    [&frame[..12], &tag, &frame[12..]].concat()
}

#[test]
fn s13_a_tag_is_the_same_in_the_bytes_and_beside_them_and_may_be_ignored() {
    let frame: Vec<_> = (0..60).collect();
    let inner = tagged(&frame, [0x81, 0, 0, 5]);
    let both = tagged(&inner, [0x88, 0xa8, 0, 6]);
    let beside = |frame, tpid, tci| {
        let tag = VlanTag { tpid, tci };
        let packet: Packet<'_> = packet(frame, 0);
        packet.with_vlan(Some(tag))
    };
    let packets = [
        packet(&frame, 0),
        packet(&inner, 0),
        beside(&frame, 0x8100, 5),
        packet(&both, 0),
        beside(&inner, 0x88a8, 6),
        beside(&frame, 0x8100, 6),
    ];
    let lengths = packets.map(|it| it.wire_len());
    assert_eq!(lengths, [60, 64, 64, 68, 68, 64]);
    assert_eq!(lent(&packets, Content::default()).0, [0, 1, 3, 5]);
    let any = Content::default().copies(u32::MAX).ignore_vlan(true);
    assert_eq!(lent(&packets, any).0, [0]);
    let mut other = frame.clone();
    other[59] = 0;
    let packets = [packet(&inner, 0), packet(&other, 0), packet(&frame, 0)];
    assert_eq!(lent(&packets, any).0, [0, 1]);
}

#[test]
fn what_is_forgotten_within_its_window_is_counted() {
    let frames: Vec<_> = (0..9_u8).map(|n| [n; 60]).collect();
    let mut packets: Vec<_> = frames.iter().map(|frame| packet(frame, 0)).collect();
    packets.push(packet(&frames[1], 0));
    packets.push(packet(&frames[0], 0));
    let eight = Content::default().packets(5);
    let (places, forgotten) = lent(&packets, eight);
    // The ninth packet took the place of the first, whose repetition took that of the third: the
    // second had its repetition.
    assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
    assert_eq!(forgotten, 1);
}

#[test]
fn settings_out_of_range_are_named() {
    let refused = |content| {
        let list = List {
            packets: Vec::new(),
            each: 1,
            at: 0,
        };
        Dedup::content(list, content).err().unwrap().to_string()
    };
    let content = Content::default();
    assert!(refused(content.copies(1)).contains("copies"));
    assert!(refused(content.copies(0)).contains("the minimum is 2"));
    assert!(refused(content.packets(0)).contains("0 is out of range (1 to 16777216)"));
    assert!(refused(content.packets(usize::MAX)).contains("packets"));
}

#[test]
fn what_a_loopback_interface_sends_is_left_out_and_nothing_else() {
    let bytes = [0; 60];
    let of = |interface, direction| {
        packet(&bytes, 0)
            .with_interface(interface)
            .with_direction(direction)
    };
    let packets = vec![
        of(1, Some(Direction::Outgoing)),
        of(1, Some(Direction::Host)),
        of(2, Some(Direction::Outgoing)),
        of(1, None),
        of(1, Some(Direction::Broadcast)),
    ];
    let list = List {
        packets,
        each: 3,
        at: 0,
    };
    let mut dedup = Dedup::loopback(list, 1);
    let mut lent = Vec::new();
    dedup
        .for_each(|it| lent.push((it.interface(), it.direction())))
        .unwrap();
    let expected = [
        (1, Some(Direction::Host)),
        (2, Some(Direction::Outgoing)),
        (1, None),
        (1, Some(Direction::Broadcast)),
    ];
    assert_eq!(lent, expected);
    assert_eq!((dedup.duplicates(), dedup.forgotten()), (1, 0));
}

/// What the documentation says, by comparing bytes. The packets, oldest first, with their times and
/// the repetitions that are left; a packet whose place another took has none.
fn model(packets: &[(Vec<u8>, i64)], window: i64, copies: u32, room: usize) -> (Vec<usize>, u64) {
    let mut remembered: VecDeque<(&[u8], i64, u32, bool)> = VecDeque::new();
    let (mut lent, mut forgotten) = (Vec::new(), 0);
    for (n, (bytes, time)) in packets.iter().enumerate() {
        let last = remembered.iter_mut().rev().find(|it| it.0 == bytes && it.3);
        if let Some(last) = last {
            if last.2 > 0 && (last.1 - time).abs() <= window {
                last.2 -= 1;
                continue;
            }
            (last.2, last.3) = (0, false);
        }
        lent.push(n);
        if remembered.len() == room {
            let (_, then, left, _) = remembered.pop_front().unwrap();
            forgotten += u64::from(left > 0 && (then - time).abs() <= window);
        }
        remembered.push_back((bytes, *time, copies - 1, true));
    }
    (lent, forgotten)
}

proptest! {
    #[test]
    fn content_does_what_the_model_does(
        packets in prop::collection::vec((0..40_u8, 0..40_usize, -3..9_i64), 0..600),
        copies in 2..5_u32,
        window in 0..40_i64,
        room in 0..7_u32,
    ) {
        let mut now = 0;
        let packets: Vec<_> = packets
            .into_iter()
            .map(|(byte, len, step)| {
                now += step;
                (vec![byte / 8; len / 8 * 15], now)
            })
            .collect();
        let room = 1 << room;
        let content = Content::default()
            .copies(copies)
            .window(Duration::from_nanos(window as u64))
            .packets(room);
        let views: Vec<_> = packets.iter().map(|(bytes, time)| packet(bytes, *time)).collect();
        prop_assert_eq!(lent(&views, content), model(&packets, window, copies, room));
    }
}
