//! A replay against a sink of the test: what is sent byte for byte, what is refused and why, and
//! that it waits as it should.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use netring::replay::{Replay, ReplayStats, Speed};
use netring::{
    Checksum, Clock, Error, LinkType, Packet, PacketBatch, PacketBuf, PacketSink, PacketSlot,
    PacketSource, Readiness, SinkStats, Stats, Timestamp, VlanTag,
};
use xtask::wire::{tcp4, udp4};

const TAG: VlanTag = VlanTag {
    tpid: 0x8100,
    tci: 0x2005,
};

/// Keeps what is sent. It has room for so many frames until the next flush.
#[derive(Default)]
struct Wire {
    sent: Vec<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
    depth: usize,
    max: usize,
    /// What the next flushes return.
    errors: VecDeque<Error>,
    flushes: u64,
}

struct Slot<'a>(&'a mut Wire, Vec<u8>);

impl Deref for Slot<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.1
    }
}
impl DerefMut for Slot<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.1
    }
}
impl PacketSlot for Slot<'_> {
    fn commit(self) {
        self.0.waiting.push(self.1);
    }
}

impl PacketSink for Wire {
    type Slot<'a> = Slot<'a>;

    fn room(&mut self) -> Result<usize, Error> {
        Ok(self.depth - self.waiting.len())
    }
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        if !(1..=self.max).contains(&len) {
            return Err(Error::FrameLength { len, max: self.max });
        }
        // What the slot had before.
        let old = vec![0xa5; len];
        Ok((self.waiting.len() < self.depth).then_some(Slot(self, old)))
    }
    fn flush(&mut self) -> Result<usize, Error> {
        self.flushes += 1;
        if let Some(error) = self.errors.pop_front() {
            return Err(error);
        }
        self.sent.append(&mut self.waiting);
        Ok(0)
    }
    fn stats(&mut self) -> Result<SinkStats, Error> {
        let sent = self.sent.len() as u64;
        Ok(SinkStats::counted(sent + self.waiting.len() as u64, sent))
    }
    fn max_len(&self) -> usize {
        self.max
    }
}

fn wire() -> Wire {
    Wire {
        depth: 4,
        max: 9000,
        ..Wire::default()
    }
}

/// Lends all packets in one batch, and then ends or fails.
struct Given {
    packets: Vec<PacketBuf>,
    is_lent: bool,
    end: Option<Error>,
}

struct Lent<'a>(&'a [PacketBuf]);

impl PacketBatch for Lent<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.iter().map(PacketBuf::as_packet)
    }
}

impl PacketSource for Given {
    type Batch<'a> = Lent<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        match (self.is_lent, self.end.take()) {
            (false, end) => {
                self.end = end;
                Ok(Readiness::Ready)
            }
            (true, Some(error)) => Err(error),
            (true, None) => Ok(Readiness::Ended),
        }
    }
    fn batch(&mut self) -> Lent<'_> {
        self.is_lent = true;
        Lent(&self.packets)
    }
    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.packets.len() as u64))
    }
    fn is_live(&self) -> bool {
        false
    }
}

fn given(packets: impl IntoIterator<Item = PacketBuf>) -> Given {
    Given {
        packets: packets.into_iter().collect(),
        is_lent: false,
        end: None,
    }
}

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos, Clock::Unknown)
}

fn ethernet(frame: &[u8]) -> Packet<'_> {
    Packet::new(frame, at(0), LinkType::ETHERNET)
}

#[track_caller]
fn balances(stats: &ReplayStats) {
    let placed = stats.committed + stats.refused.total() + stats.unsent;
    assert_eq!(stats.read, placed, "{stats:?}");
}

/// What was sent of these packets on a link with an MTU of 1500.
fn replayed(packets: &[Packet<'_>]) -> (Vec<Vec<u8>>, ReplayStats) {
    let mut replay = Replay::new(wire()).unwrap().mtu(1500);
    let packets = packets.iter().map(Packet::to_buf);
    let stats = replay.run(&mut given(packets)).unwrap();
    balances(&stats);
    (replay.into_sink().sent, stats)
}

/// The ones' complement sum of bytes: 0xffff if a checksum among them is right.
fn sum(parts: &[&[u8]]) -> u32 {
    let mut sum = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = sum % 0x10000 + sum / 0x10000;
    }
    sum
}

/// Checks the checksums of an untagged TCP segment over IPv4.
#[track_caller]
fn sums_are_right(frame: &[u8]) {
    assert_eq!(sum(&[&frame[14..34]]), 0xffff, "IPv4");
    let length = (frame.len() as u32 - 34).to_be_bytes();
    let pseudo = [&frame[26..34], &[0, 6], &length];
    assert_eq!(
        sum(&[pseudo[0], pseudo[1], pseudo[2], &frame[34..]]),
        0xffff
    );
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

/// A super-packet as a sending host captures it: the IP length may be 0, the checksum is not that
/// of the packet.
fn joined(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = tcp4(1000, 80, u32::MAX - 1000, flags & 0x1f, &[]);
    frame.extend_from_slice(payload);
    let length = u16::try_from(frame.len() - 14).unwrap_or(0);
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    frame[18..20].copy_from_slice(&[0xff, 0xff]);
    frame[47] = flags;
    frame[50..52].copy_from_slice(&[0xde, 0xad]);
    frame
}

/// Compares segments with those that another program builds, of all but identification and
/// checksums, which are checked by their definition.
#[track_caller]
fn are_segments(sent: &[Vec<u8>], flags: &[u8], payload: &[u8], size: usize) {
    let chunks: Vec<_> = payload.chunks(size).collect();
    assert_eq!(sent.len(), chunks.len());
    for (index, (frame, chunk)) in sent.iter().zip(&chunks).enumerate() {
        let sequence = (u32::MAX - 1000).wrapping_add((index * size) as u32);
        let mut expected = tcp4(1000, 80, sequence, 0x10, chunk);
        expected[47] = flags[index];
        let id = 0xffff_u16.wrapping_add(index as u16);
        expected[18..20].copy_from_slice(&id.to_be_bytes());
        for sums in [24..26, 50..52] {
            expected[sums.clone()].copy_from_slice(&frame[sums]);
        }
        assert_eq!(*frame, expected, "segment {index}");
        sums_are_right(frame);
    }
}

#[test]
fn packets_are_sent_as_they_were_on_the_wire() {
    let (plain, other) = (udp4(1, 2, &[7; 300]), udp4(3, 4, b"odd"));
    let tagged = ethernet(&other).with_vlan(Some(TAG));
    // Nothing but bytes of a protocol of its own.
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
fn a_long_tcp_packet_is_cut_into_segments() {
    let data = payload(5000);
    // CWR, PSH, ACK and FIN.
    let frame = joined(0x99, &data);
    let (sent, stats) = replayed(&[ethernet(&frame)]);
    are_segments(&sent, &[0x90, 0x10, 0x10, 0x19], &data, 1460);
    assert_eq!((stats.committed, stats.segmented, stats.frames), (1, 1, 4));
    assert_eq!(stats.bytes, 5000 + 4 * 54);
    // Without a length, longer than any that could stand there.
    let data = payload(100_000);
    let (sent, _) = replayed(&[ethernet(&joined(0x10, &data))]);
    are_segments(&sent, &[0x10; 69], &data, 1460);
    // Short, but without a length.
    let mut short = joined(0x18, &data[..500]);
    short[16..18].fill(0);
    let (sent, _) = replayed(&[ethernet(&short)]);
    are_segments(&sent, &[0x18], &data[..500], 1460);
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let data = payload(5000);
    let long = |flags| joined(flags, &data);
    let frames = [long(0x12), long(0x14), long(0x30)];
    // A fragment, a header that is longer than the packet, and a length that is longer.
    let mut broken = [long(0x10), long(0x10), long(0x10)];
    broken[0][20] = 0x20;
    broken[1][46] = 0x10;
    broken[2][16] = 0xff;
    let packets: Vec<_> = frames
        .iter()
        .chain(&broken)
        .map(|it| ethernet(it))
        .collect();
    let (sent, stats) = replayed(&packets);
    assert_eq!((sent.len(), stats.refused.too_long), (0, 6));
    let mut replay = Replay::new(wire()).unwrap().mtu(1500).segment(false);
    let stats = replay
        .run(&mut given([ethernet(&long(0x10)).to_buf()]))
        .unwrap();
    assert_eq!((stats.refused.too_long, stats.frames), (1, 0));
}

/// TCP over IPv6, with the header of a jumbo length if it is longer than IPv6 can say.
fn tcp6(jumbo: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    let length = (payload.len() + 20) as u32;
    match jumbo {
        false => frame.extend_from_slice(&[(length >> 8) as u8, length as u8, 6, 64]),
        true => frame.extend_from_slice(&[0, 0, 0, 64]),
    }
    frame.extend_from_slice(&[0xfd; 16]);
    frame.extend_from_slice(&[0xfe; 16]);
    if jumbo {
        frame.extend_from_slice(&[6, 0, 0xc2, 4]);
        frame.extend_from_slice(&(length + 8).to_be_bytes());
    }
    frame.extend_from_slice(&tcp4(1000, 80, 7, 0x18, &[])[34..54]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn ipv6_is_cut_with_and_without_a_jumbo_length() {
    for (jumbo, len) in [(false, 3000), (true, 3000), (true, 90_001)] {
        let data = payload(len);
        let (sent, stats) = replayed(&[ethernet(&tcp6(jumbo, &data))]);
        let chunks: Vec<_> = data.chunks(1440).collect();
        assert_eq!((sent.len(), stats.segmented), (chunks.len(), 1));
        for (index, (frame, chunk)) in sent.iter().zip(&chunks).enumerate() {
            let mut expected = tcp6(false, chunk);
            expected[58..62].copy_from_slice(&(7 + index as u32 * 1440).to_be_bytes());
            expected[67] = if index + 1 == chunks.len() {
                0x18
            } else {
                0x10
            };
            expected[70..72].copy_from_slice(&frame[70..72]);
            assert_eq!(*frame, expected, "segment {index}");
            let length = [0, 0, frame[18], frame[19]];
            let parts = [&frame[22..54], &length[..], &[0, 6], &frame[54..]];
            assert_eq!(sum(&parts), 0xffff);
        }
    }
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
    // A file does not say it.
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
            // Each went out before the wait for the next.
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

/// Frames with bytes that make no sense: none panics, none is sent that is too long, and each is in
/// one place.
#[test]
fn frames_that_make_no_sense_are_sent_or_refused() {
    let data = payload(3000);
    let good = [
        joined(0x18, &data),
        joined(0x18, &data[..200]),
        tcp6(true, &data),
        tcp6(false, &data),
        udp4(1, 2, &data),
        udp4(1, 2, &data[..9]),
    ];
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let mut frames = Vec::new();
    for n in 0..20_000 {
        let mut frame = good[n % good.len()].clone();
        for _ in 0..=random(4) {
            let at = 10 + random(70);
            if let Some(byte) = frame.get_mut(at) {
                *byte = [0, 0xff, 1, random(256) as u8][random(4)];
            }
        }
        if random(3) == 0 {
            frame.truncate(random(100));
        }
        frames.push(frame);
    }
    for fix in [false, true] {
        let mut replay = Replay::new(wire()).unwrap().mtu(1500).fix_checksums(fix);
        let packets = frames.iter().map(|frame| ethernet(frame).to_buf());
        let stats = replay.run(&mut given(packets)).unwrap();
        balances(&stats);
        assert_eq!((stats.read, stats.unsent), (20_000, 0));
        assert!(stats.segmented > 100 && stats.refused.unsegmentable > 100);
        let sent = replay.into_sink().sent;
        assert_eq!(sent.len() as u64, stats.frames);
        assert!(sent.iter().all(|frame| (14..=1518).contains(&frame.len())));
    }
}
