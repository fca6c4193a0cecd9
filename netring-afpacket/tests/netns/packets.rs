//! What a capture reports about each packet, compared with what went over the wire.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::net::UdpSocket;
use std::time::{Duration, SystemTime};

use netring_afpacket::{Capture, Profile, SockFilter, TimestampSource};
use netring_sys::kernel::filter::{BPF_LD_W_LEN, BPF_RET_A, BPF_RET_K};
use netring_sys::{
    Checksum, Clock, Direction, Interface, LinkType, PacketBatch, PacketBuf, PacketSource,
    Timestamp, VlanTag,
};
use nix::sys::socket::{setsockopt, sockopt};
use xtask::load::wait_until;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, number, numbered, udp4};

const SILENCE: Duration = Duration::from_millis(300);

fn builder(interface: &str) -> netring_afpacket::CaptureBuilder {
    let builder = Capture::builder().interface(interface);
    builder.profile(Profile::LowMemory)
}

fn take(capture: &mut Capture, count: usize) -> Vec<PacketBuf> {
    let packets = collect(capture, count, SILENCE).unwrap();
    assert_eq!(packets.len(), count);
    packets
}

/// The kernel's own test of its ring, `psock_tpacket`: version 3, receive, on the loopback
/// interface. What its API exposes and ours does not is tested in `rx/parse/tests.rs`.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_tpacket_v3_rx() {
    let _ns = Netns::enter().unwrap();
    let mut capture = builder("lo").block_size(4096).build().unwrap();
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    let payload = |n: usize| vec![b'a' + (n % 26) as u8; 100 + n];
    let mut sent = 0..100;
    let mut received = Vec::new();
    let (mut sequence, mut blocks) = (0, 0);
    while received.len() < 100 {
        // A few at a time: several blocks are filled, and several handed over by time.
        for n in sent.by_ref().take(40) {
            from.send_to(&payload(n), to.local_addr().unwrap()).unwrap();
        }
        let batch = capture
            .next_batch_timeout(SILENCE)
            .unwrap()
            .batch()
            .unwrap();
        assert_eq!(batch.sequence(), sequence + 1);
        (sequence, blocks) = (batch.sequence(), blocks + 1);
        received.extend(batch.packets().map(PacketBuf::from));
    }
    assert!(
        blocks >= 5,
        "{blocks} blocks of 4096 bytes hold 100 packets"
    );
    for (n, packet) in received.iter().enumerate() {
        assert_eq!(packet.data()[42..], payload(n));
        assert_eq!(packet.wire_len() as usize, 42 + payload(n).len());
    }
    assert_eq!(received.len(), 100);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_byte_is_the_one_that_was_sent() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder("a").build().unwrap();
    let sender = Sender::on("b").unwrap();
    let frames: Vec<Vec<u8>> = (14..=1514)
        .map(|len: usize| {
            let mut frame: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
            // An address of its own, and no protocol that a stack accepts.
            frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8, 0x88, 0xb5]);
            frame
        })
        .collect();
    for frame in &frames {
        sender.send(frame).unwrap();
    }
    let packets = take(&mut capture, frames.len());
    let index = Interface::by_name("a").unwrap().index;
    for (packet, frame) in packets.iter().zip(&frames) {
        assert_eq!(packet.data(), frame);
        let facts = (
            packet.wire_len() as usize,
            packet.interface(),
            packet.link_type(),
        );
        assert_eq!(facts, (frame.len(), index, LinkType::ETHERNET));
        assert_eq!((packet.vlan(), packet.rx_hash()), (None, None));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p18_on_the_loopback_interface_each_packet_is_seen_once() {
    let _ns = Netns::enter().unwrap();
    let mut once = builder("lo").build().unwrap();
    let mut twice = builder("lo").ignore_outgoing(false).build().unwrap();
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..10_u64 {
        from.send_to(&n.to_be_bytes(), to.local_addr().unwrap())
            .unwrap();
    }
    let directions = |packets: &[PacketBuf]| {
        let count = |way| {
            packets
                .iter()
                .filter(|packet| packet.direction() == Some(way))
                .count()
        };
        (
            count(Direction::Host),
            count(Direction::Outgoing),
            packets.len(),
        )
    };
    let packets = collect(&mut once, usize::MAX, SILENCE).unwrap();
    assert_eq!(directions(&packets), (10, 0, 10));
    let numbers: Vec<_> = packets
        .iter()
        .map(|packet| number(packet.data()).unwrap())
        .collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    let packets = collect(&mut twice, usize::MAX, SILENCE).unwrap();
    assert_eq!(directions(&packets), (10, 10, 20));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s12_a_snap_length_cuts_the_bytes_keeps_the_length_and_says_so() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    // The return value of a filter is no snap length if it is a constant; the builder's is, and so
    // is a returned accumulator.
    let accept = |bytes| vec![SockFilter::stmt(BPF_RET_K, bytes)];
    let accept_all_of_it = || {
        vec![
            SockFilter::stmt(BPF_LD_W_LEN, 0),
            SockFilter::stmt(BPF_RET_A, 0),
        ]
    };
    let captures = [
        (Some(100), None, 100),
        (Some(100), Some(accept(40)), 100),
        (Some(100), Some(accept_all_of_it()), 100),
        (Some(1), Some(accept(65_535)), 1),
        (None, Some(accept(40)), 1000),
        (None, Some(accept_all_of_it()), 1000),
        (Some(1000), None, 1000),
        (Some(999), None, 999),
        (None, None, 1000),
    ];
    let frame = numbered(5, 1000);
    for (snap_len, filter, kept) in captures {
        let mut builder = builder("a");
        if let Some(bytes) = snap_len {
            builder = builder.snap_len(bytes);
        }
        if let Some(program) = &filter {
            builder = builder.filter(program);
        }
        let mut capture = builder.build().unwrap();
        Sender::on("b").unwrap().send(&frame).unwrap();
        let packet = take(&mut capture, 1).remove(0);
        assert_eq!(packet.data(), &frame[..kept], "{snap_len:?} {filter:?}");
        assert_eq!(packet.wire_len(), 1000);
        assert_eq!(packet.as_packet().is_cut(), kept < 1000);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s12_the_kernel_cuts_so_a_ring_holds_more() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let small = || builder("a").block_size(4096).block_count(4);
    let mut whole = small().build().unwrap();
    let mut cut = small().snap_len(60).build().unwrap();
    let sender = Sender::on("b").unwrap();
    for n in 0..80 {
        sender.send(&numbered(n, 1500)).unwrap();
    }
    let held = |capture: &mut Capture| collect(capture, usize::MAX, SILENCE).unwrap().len();
    // Two whole frames fit a block of 4096 bytes, and 28 of 144 bytes each.
    assert_eq!((held(&mut whole), held(&mut cut)), (8, 80));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s12_frames_over_65535_bytes_are_cut_by_no_accept_value_but_by_a_block() {
    let _ns = Netns::enter().unwrap();
    let accept = [SockFilter::stmt(BPF_RET_K, 65_535)];
    let mut whole = builder("lo").filter(accept).build().unwrap();
    let mut small = builder("lo").block_size(32 * 1024).build().unwrap();
    // The loopback's MTU is 65,536: with its header of 14 bytes this frame is longer than 16 bits
    // can express.
    let payload: Vec<u8> = (0..65_507_u32).map(|at| (at % 251) as u8).collect();
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = UdpSocket::bind("127.0.0.1:0").unwrap();
    from.send_to(&payload, to.local_addr().unwrap()).unwrap();

    let packet = take(&mut whole, 1).remove(0);
    assert_eq!((packet.data().len(), packet.wire_len()), (65_549, 65_549));
    assert_eq!(packet.data()[42..], payload);
    assert!(!packet.as_packet().is_cut());

    let packet = take(&mut small, 1).remove(0);
    assert_eq!(packet.wire_len(), 65_549);
    assert!(packet.as_packet().is_cut());
    let kept = packet.data().len();
    assert!((32_000..32_768).contains(&kept), "{kept}");
    assert_eq!(packet.data()[42..], payload[..kept - 42]);
    assert_eq!(small.stats().unwrap().pending(), Some(0));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p13_a_tag_is_reported_with_its_tpid_and_tci_also_a_tci_of_zero() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder("a").build().unwrap();
    let sender = Sender::on("b").unwrap();
    let tags = [
        (0x8100, 0),
        (0x8100, 5),
        (0x8100, 0xefff),
        (0x88a8, 0),
        (0x88a8, 0x2064),
    ];
    let plain = numbered(1, 100);
    let tagged = |tpid: u16, tci: u16| {
        let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
        [&plain[..12], &tag, &plain[12..]].concat()
    };
    sender.send(&plain).unwrap();
    for (tpid, tci) in tags {
        sender.send(&tagged(tpid, tci)).unwrap();
    }
    // Of two tags the kernel moves the outer one out of the bytes.
    let inner = tagged(0x8100, 7);
    let outer = [0x88, 0xa8, 0, 9];
    sender
        .send(&[&inner[..12], &outer, &inner[12..]].concat())
        .unwrap();

    let packets = take(&mut capture, 7);
    let got: Vec<_> = packets.iter().map(|packet| packet.vlan()).collect();
    let tag = |(tpid, tci)| Some(VlanTag { tpid, tci });
    let mut expected = vec![None];
    expected.extend(tags.map(tag));
    expected.push(tag((0x88a8, 9)));
    assert_eq!(got, expected);
    for (packet, wire_len) in packets[..6].iter().zip([100, 104, 104, 104, 104, 104]) {
        assert_eq!((packet.data(), packet.wire_len()), (&plain[..], wire_len));
    }
    assert_eq!(
        (packets[6].data(), packets[6].wire_len()),
        (&inner[..], 108)
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_direction_follows_from_the_address_and_the_sender() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let own = Interface::by_name("a").unwrap().address.unwrap();
    let mut all = builder("a").promiscuous(true).build().unwrap();
    let mut incoming = builder("a").ignore_outgoing(true).build().unwrap();
    let to = |address: [u8; 6]| {
        let mut frame = udp4(1, 2, b"x");
        frame[..6].copy_from_slice(&address);
        frame
    };
    let sender = Sender::on("b").unwrap();
    for address in [own, [0xff; 6], [1, 0, 0x5e, 0, 0, 1], [2, 9, 9, 9, 9, 9]] {
        sender.send(&to(address)).unwrap();
    }
    Sender::on("a")
        .unwrap()
        .send(&to([2, 9, 9, 9, 9, 9]))
        .unwrap();
    let ways = |packets: Vec<PacketBuf>| -> Vec<_> {
        packets
            .iter()
            .map(|packet| packet.direction().unwrap())
            .collect()
    };
    use Direction::{Broadcast, Host, Multicast, OtherHost, Outgoing};
    assert_eq!(
        ways(take(&mut all, 5)),
        [Host, Broadcast, Multicast, OtherHost, Outgoing]
    );
    let some = collect(&mut incoming, usize::MAX, SILENCE).unwrap();
    assert_eq!(ways(some), [Host, Broadcast, Multicast, OtherHost]);
}

/// Sends frames until one arrives with this clock. Returns the packet, and the host's time before
/// and after.
fn stamped_by(capture: &mut Capture, clock: Clock) -> (PacketBuf, SystemTime, SystemTime) {
    let sender = Sender::on("b").unwrap();
    let mut found = None;
    wait_until("a packet with that clock", Duration::from_secs(5), || {
        let before = SystemTime::now();
        sender.send(&numbered(1, 60)).unwrap();
        let packet = take(capture, 1).remove(0);
        let right = packet.timestamp().clock() == clock;
        found = right.then(|| (packet, before, SystemTime::now()));
        right
    });
    found.unwrap()
}

/// The kernel stamps packets early only if some socket of the machine requests it, and then for all
/// of them. That a packet without a stamp reports `Clock::Socket` is tested in
/// `rx/parse/tests.rs`, because no test can keep other programs from requesting it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s9_each_packet_says_which_clock_it_really_got() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let asks = UdpSocket::bind("127.0.0.1:0").unwrap();
    setsockopt(&asks, sockopt::ReceiveTimestampns, &true).unwrap();
    // No virtual interface has a clock: whatever is requested, the kernel's is used, and reported.
    let sources = [
        TimestampSource::Software,
        TimestampSource::SysHardware,
        TimestampSource::RawHardware,
    ];
    for source in sources {
        let mut capture = builder("a").timestamps(source).build().unwrap();
        let (packet, before, after) = stamped_by(&mut capture, Clock::Software);
        let time = packet.timestamp();
        assert!(
            Timestamp::from(before) <= time && time <= Timestamp::from(after),
            "{time}"
        );
    }
    drop(asks);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn timestamps_are_those_of_the_hosts_clock_in_nanoseconds() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder("a").build().unwrap();
    let sender = Sender::on("b").unwrap();
    let mut times = Vec::new();
    for n in 0..100 {
        let before = Timestamp::from(SystemTime::now());
        sender.send(&numbered(n, 60)).unwrap();
        times.push((before, Timestamp::from(SystemTime::now())));
    }
    let packets = take(&mut capture, 100);
    for (packet, (before, after)) in packets.iter().zip(times) {
        // veth delivers a frame before the call that sent it returns, or within the softirq right
        // behind it.
        let time = packet.timestamp();
        let late = after.saturating_add(Duration::from_millis(50));
        assert!(before <= time && time <= late, "{before} {time} {after}");
        assert_ne!(time.clock(), Clock::Hardware);
    }
    assert!(packets.is_sorted_by_key(|packet| packet.timestamp()));
    let finer = |packet: &PacketBuf| packet.timestamp().as_nanos() % 1000 != 0;
    assert!(packets.iter().filter(|packet| finer(packet)).count() > 50);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_flow_hash_is_there_if_requested_and_is_that_of_the_flow() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut with = builder("a").rx_hash(true).build().unwrap();
    let mut without = builder("a").build().unwrap();
    let sender = Sender::on("b").unwrap();
    for n in 0..40 {
        sender.send(&udp4(1000 + n % 4, 2000, &[n as u8])).unwrap();
    }
    let packets = take(&mut with, 40);
    let hashes: Vec<_> = packets
        .iter()
        .map(|packet| packet.rx_hash().unwrap())
        .collect();
    assert!(
        hashes
            .iter()
            .zip(&hashes[4..])
            .all(|(hash, next)| hash == next),
        "{hashes:?}"
    );
    let mut flows = hashes[..4].to_vec();
    flows.sort();
    flows.dedup();
    assert_eq!(flows.len(), 4, "four flows, {flows:?}");
    assert!(!flows.contains(&0));
    assert!(
        take(&mut without, 40)
            .iter()
            .all(|packet| packet.rx_hash().is_none())
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_is_known_of_a_checksum_is_reported() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut wire = builder("a").build().unwrap();
    let mut local = builder("lo").build().unwrap();
    // A frame sent by a plain socket was never checked. What the stack sends to itself has no
    // checksum yet.
    Sender::on("b").unwrap().send(&numbered(1, 60)).unwrap();
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    to.send_to(b"x", to.local_addr().unwrap()).unwrap();
    assert_eq!(take(&mut wire, 1)[0].checksum(), Checksum::Unknown);
    assert_eq!(take(&mut local, 1)[0].checksum(), Checksum::Partial);
}
