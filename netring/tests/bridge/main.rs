//! A bridge between sources and sinks of the test: what waits, what is counted, and that neither
//! direction delays the other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

#[path = "../replay/given.rs"]
#[allow(dead_code, reason = "shared with the tests of replays")]
mod given;

use std::panic::{AssertUnwindSafe, catch_unwind};

use netring::bridge::{Bridge, BridgeDirectionStats, Frame, Port, Side, Step, Verdict, Way};
use netring::{
    Checksum, Direction, Error, LinkType, Packet, PacketBatch, PacketBuf, PacketSource, Readiness,
    Stats, VlanTag,
};
use xtask::wire::{number, numbered, tcp4, udp4};

use given::{Given, Wire, at, ethernet, given, wire};

type Files = Bridge<Port<Given, Wire>>;

fn forward(_: &mut Frame<'_>) -> Verdict {
    Verdict::Forward
}

fn bridge(a: Given, to_b: Wire) -> Files {
    Bridge::new(Port::new(a, wire()), Port::new(given([]), to_b)).unwrap()
}

/// A sink that is full after every four frames, for three flushes.
fn slow() -> Wire {
    let mut wire = wire();
    wire.every = 4;
    wire
}

fn frames(count: u64) -> Given {
    given((0..count).map(|n| ethernet(&numbered(n, 60)).to_buf()))
}

#[track_caller]
fn there(bridge: &mut Files) -> BridgeDirectionStats {
    let stats = bridge.stats().unwrap().a_to_b;
    assert_eq!(stats.received + stats.split, stats.accounted(), "{stats}");
    stats
}

#[test]
fn what_the_sink_has_no_room_for_waits_and_is_asked_about_once() {
    let mut bridge = bridge(frames(100), slow());
    let (mut asked, mut waits) = (0, 0);
    loop {
        let step = bridge.step(|frame| {
            assert_eq!(number(frame.data()), Some(asked));
            asked += 1;
            Verdict::Forward
        });
        let stats = there(&mut bridge);
        assert_eq!(stats.received, 100);
        assert_eq!(stats.waiting, 100 - asked, "{stats}");
        match step.unwrap() {
            Step::Done => break,
            Step::Busy => {}
            // The sink has to be tried again, and the bridge does not wait for the source
            // meanwhile.
            Step::Wait { on, at_most } => {
                assert!(!on[0] && at_most.is_some());
                waits += 1;
            }
        }
    }
    assert_eq!(asked, 100);
    assert!(waits > 0);
    let (_, b) = bridge.into_ports();
    let sent = &b.sink().sent;
    for (n, frame) in (0..100).zip(sent) {
        assert_eq!(*frame, numbered(n, 60));
    }
    assert_eq!(sent.len(), 100);
}

#[test]
fn packets_that_cannot_be_sent_whole_and_right_are_counted_by_the_reason() {
    let long = numbered(1, 1600);
    let frame = numbered(2, 100);
    let tag = Some(VlanTag {
        tpid: 0x8100,
        tci: 0,
    });
    let mut icmp = udp4(1, 2, &[0; 30]);
    icmp[23] = 1;
    let packets = [
        ethernet(&frame),
        ethernet(&frame).with_vlan(tag),
        ethernet(&frame).with_wire_len(1000),
        ethernet(&long),
        ethernet(&frame[..13]),
        Packet::new(&frame[14..], at(0), LinkType::RAW_IP),
        ethernet(&icmp).with_checksum(Checksum::Partial),
        ethernet(&frame).with_direction(Some(Direction::Outgoing)),
        ethernet(&frame).with_direction(Some(Direction::Host)),
    ];
    let a = given(packets.map(PacketBuf::from));
    let to = Port::new(given([]), wire()).mtu(1500);
    let mut bridge = Bridge::new(Port::new(a, wire()), to).unwrap();
    while bridge.step(forward).unwrap() != Step::Done {}
    let stats = there(&mut bridge);
    let refused = stats.refused;
    assert_eq!((refused.cut, refused.too_long), (1, 1));
    assert_eq!((refused.too_short, refused.link_type), (1, 1));
    assert_eq!((refused.checksum, refused.unsegmentable), (1, 0));
    assert_eq!((stats.forwarded, stats.outgoing), (3, 1));
    assert_eq!(
        stats.to_string(),
        "9 received: 3 forwarded, 0 dropped, 1 of this host, refused: 1 cut, 1 of another link \
         type, 1 too long, 1 without a checksum, 1 too short"
    );
    let sent = &bridge.b().sink().sent;
    assert_eq!(sent[1][12..18], [0x81, 0, 0, 0, 8, 0]);
}

/// The sum of the pseudo header in place of the checksum, whether the source knows it or not.
#[test]
fn a_checksum_that_was_left_out_is_computed() {
    let tcp = tcp4(1, 2, 3, 24, b"some payload of odd length.");
    let udp = udp4(1, 2, b"payload");
    let partial = |frame: &[u8], at: usize| {
        let mut partial = frame.to_vec();
        let words = |bytes: &[u8]| -> u32 {
            let words = bytes.chunks(2);
            words
                .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
                .sum()
        };
        let sum = words(&frame[26..34]) + u32::from(frame[23]) + frame.len() as u32 - 34;
        let sum = (sum & 0xffff) + (sum >> 16);
        partial[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
        partial
    };
    let (partial_tcp, partial_udp) = (partial(&tcp, 50), partial(&udp, 40));
    let mut wrong = tcp.clone();
    wrong[50] ^= 0xff;
    let packets = [
        ethernet(&partial_tcp).with_checksum(Checksum::Partial),
        ethernet(&partial_tcp),
        ethernet(&partial_udp),
        ethernet(&tcp),
        // A wrong checksum stays wrong.
        ethernet(&wrong),
        ethernet(&partial_tcp).with_checksum(Checksum::Valid),
    ];
    let mut bridge = bridge(given(packets.map(PacketBuf::from)), wire());
    while bridge.step(forward).unwrap() != Step::Done {}
    assert_eq!(there(&mut bridge).forwarded, 6);
    let sent = &bridge.b().sink().sent;
    let expected = [&tcp, &tcp, &udp, &tcp, &wrong, &partial_tcp];
    assert_eq!(sent.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn segments_for_which_there_is_no_room_wait() {
    let long = tcp4(1, 2, 3, 24, &[7; 20_000]);
    let packets = [&long, &numbered(1, 60)].map(|frame| ethernet(frame).to_buf());
    let to = Port::new(given([]), slow()).mtu(1500);
    let mut bridge = Bridge::new(Port::new(given(packets), wire()), to).unwrap();
    let mut asked = Vec::new();
    let mut waited = Vec::new();
    while bridge
        .step(|frame| {
            asked.push(frame.data().len());
            frame.data_mut()[0] = 6;
            Verdict::Forward
        })
        .unwrap()
        != Step::Done
    {
        waited.push(there(&mut bridge).waiting);
    }
    // One decision for all 14 segments, of which four fit at a time.
    assert_eq!(asked, [20_054, 60]);
    waited.dedup();
    assert_eq!(waited, [11, 7, 3, 0]);
    let stats = there(&mut bridge);
    assert_eq!((stats.received, stats.split, stats.forwarded), (2, 13, 15));
    let sent = &bridge.b().sink().sent;
    assert_eq!(sent.len(), 15);
    assert!(sent.iter().all(|frame| frame[0] == 6));
    let payload: usize = sent[..14].iter().map(|frame| frame.len() - 54).sum();
    assert_eq!(payload, 20_000);
}

#[test]
fn while_the_link_is_down_frames_are_counted_and_not_asked_about() {
    let mut to_b = wire();
    let down = || Error::LinkDown {
        interface: "b0".into(),
        was_up: false,
    };
    to_b.errors = [down(), down()].into();
    let mut bridge = bridge(frames(20), to_b);
    let mut asked = 0;
    while bridge
        .step(|_| {
            asked += 1;
            Verdict::Forward
        })
        .unwrap()
        != Step::Done
    {}
    let stats = there(&mut bridge);
    // Four were in the sink when it turned out to be down.
    assert_eq!((asked, stats.forwarded, stats.link_down), (4, 4, 16));
    assert_eq!((stats.link_downs, stats.lost()), (1, 16));
}

#[test]
fn a_decision_that_panics_leaves_the_books_right() {
    let mut bridge = bridge(frames(50), wire());
    let (mut asked, mut panics) = (Vec::new(), 0);
    loop {
        let step = catch_unwind(AssertUnwindSafe(|| {
            bridge.step(|frame| {
                let n = number(frame.data()).unwrap();
                asked.push(n);
                assert!(!n.is_multiple_of(10), "a decision that panics");
                Verdict::Forward
            })
        }));
        let stats = there(&mut bridge);
        match step {
            Ok(Ok(Step::Done)) => break,
            Ok(step) => assert_ne!(step.unwrap(), Step::Done),
            Err(_) => panics += 1,
        }
        assert_eq!(stats.undecided, panics);
    }
    assert_eq!(panics, 5);
    assert_eq!(asked, (0..50).collect::<Vec<_>>());
    assert_eq!(there(&mut bridge).forwarded, 45);
}

#[test]
fn a_sink_that_is_lost_is_the_end_and_what_it_did_not_get_still_waits() {
    let mut to_b = wire();
    let removed = Error::InterfaceRemoved {
        interface: "b0".into(),
    };
    to_b.errors = [removed].into();
    let mut bridge = bridge(frames(20), to_b);
    let error = bridge.step(forward).unwrap_err();
    assert_eq!(
        error.to_string(),
        "side B of the bridge: the interface b0 was removed; open it again when it is back"
    );
    assert_eq!(bridge.lost(), Some(Side::B));
    let stats = there(&mut bridge);
    assert_eq!(
        (stats.received, stats.in_flight, stats.waiting),
        (20, 4, 16)
    );
    assert!(matches!(bridge.step(forward), Err(Error::Closed)));
}

#[test]
fn a_source_that_fails_is_named() {
    let mut a = frames(1);
    a.end = Some(Error::Closed);
    let mut bridge = bridge(a, wire());
    assert_eq!(bridge.step(forward).unwrap(), Step::Busy);
    assert!(bridge.step(forward).is_err());
    assert_eq!(bridge.lost(), Some(Side::A));
    assert_eq!(there(&mut bridge).forwarded, 1);
}

/// Lends the same batch endlessly.
struct Flood(Vec<PacketBuf>, u64);

struct Lent<'a>(&'a [PacketBuf]);

impl PacketBatch for Lent<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.iter().map(PacketBuf::as_packet)
    }
}

impl PacketSource for Flood {
    type Batch<'a> = Lent<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        Ok(Readiness::Ready)
    }
    fn batch(&mut self) -> Lent<'_> {
        self.1 += self.0.len() as u64;
        Lent(&self.0)
    }
    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.1))
    }
    fn is_live(&self) -> bool {
        true
    }
}

/// A flood in one direction takes as many turns as single frames in the other, whether the sink of
/// the flood keeps up or not.
#[test]
fn s15_a_flood_does_not_starve_the_other_direction() {
    for every in [1, 4] {
        let flood = Flood(vec![ethernet(&numbered(0, 60)).to_buf(); 500], 0);
        let one = Flood(vec![ethernet(&numbered(1, 60)).to_buf()], 0);
        let mut to_b = wire();
        to_b.every = every;
        let mut bridge = Bridge::new(Port::new(flood, wire()), Port::new(one, to_b)).unwrap();
        let mut seen = [0_u64; 2];
        for step in 1..=1000 {
            let decided = bridge.step(|frame| {
                seen[usize::from(frame.way() == Way::BToA)] += 1;
                Verdict::Forward
            });
            assert_eq!(decided.unwrap(), Step::Busy);
            assert_eq!(seen[1], step);
        }
        let stats = bridge.stats().unwrap();
        assert_eq!(stats.b_to_a.forwarded, 1000);
        // A whole batch, or as many frames as one flush of four makes room for.
        let expected = if every == 1 { 500_000 } else { 1000 };
        assert!(seen[0] >= expected && seen[0] <= 4 * expected, "{seen:?}");
        assert_eq!(stats.a_to_b.received, stats.a_to_b.accounted());
    }
}

#[test]
fn a_bridge_that_is_stopped_does_nothing_more() {
    let mut bridge = bridge(frames(20), slow());
    assert_eq!(bridge.step(forward).unwrap(), Step::Busy);
    bridge.stop_handle().stop();
    assert_eq!(bridge.step(forward).unwrap(), Step::Done);
    let stats = there(&mut bridge);
    assert_eq!((stats.received, stats.waiting), (20, 16));
}
