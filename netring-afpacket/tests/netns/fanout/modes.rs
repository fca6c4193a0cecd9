//! The modes and flags that the kernel's own test leaves out: random, by queue, defragmentation,
//! ignoring what the host sends; and what programs see.

use std::process::Command;
use std::time::Duration;

use netring_afpacket::{Fanout, FanoutGroup, FanoutMode, FanoutProgram, SockFilter};
use netring_sys::{Count, PacketBuf, PacketSource};
use xtask::load::Flood;
use xtask::netns::{Netns, ip, veth, veth_with_queues};
use xtask::wire::{Sender, collect, udp4};

use super::{drain, of_flow, pair, small, until_offered};

/// The packets of each worker.
fn counts(group: &mut FanoutGroup) -> Vec<usize> {
    drain(group).iter().map(Vec::len).collect()
}

/// Each of 4000 packets goes to either worker with equal probability: outside of 6 standard
/// deviations once in 500 million runs.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_random() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let mut group = pair(FanoutMode::Random);
    (0..4000).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
    until_offered(&group, 4000);
    let counts = counts(&mut group);
    assert_eq!(counts.iter().sum::<usize>(), 4000);
    assert!(counts[0].abs_diff(2000) < 190, "{counts:?}");
}

/// The packets that each sending queue of `b` carried, by the kernel's own count. A veth pair
/// preserves the queue.
fn sent_by_queue() -> Vec<usize> {
    let said = Command::new("tc")
        .args("-s class show dev b".split(' '))
        .output();
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    let lines = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Sent "));
    let packets = lines.map(|line| line.split_whitespace().nth(2).unwrap().parse().unwrap());
    packets.collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_queue_mapping() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("a", "b", 3).unwrap();
    let mut mq = Command::new("tc");
    mq.args("qdisc replace dev b root mq".split(' '));
    assert!(mq.status().unwrap().success());
    let sender = Sender::on("b").unwrap();
    for workers in [3, 2] {
        let fanout = Fanout::new(FanoutMode::QueueMapping).workers(workers);
        let mut group = FanoutGroup::open(small("a"), fanout).unwrap();
        let before = sent_by_queue();
        (0..200).for_each(|flow| sender.send(&of_flow(flow, 0)).unwrap());
        until_offered(&group, 200);
        let mut expected = vec![0; workers];
        for (queue, (after, before)) in sent_by_queue().iter().zip(before).enumerate() {
            assert!(*after > before, "no flow uses queue {queue}");
            expected[queue % workers] += after - before;
        }
        assert_eq!(counts(&mut group), expected);
    }
}

/// The frame with its IPv4 datagram in two fragments, the second of which comes first.
fn fragments(whole: &[u8]) -> [Vec<u8>; 2] {
    const HEADERS: usize = 34;
    let end = whole.len() - HEADERS;
    [(304, end), (0, 304)].map(|(from, to)| {
        let more = if to < end { 0x2000 } else { 0 };
        let mut frame = whole[..HEADERS].to_vec();
        frame[16..18].copy_from_slice(&((20 + to - from) as u16).to_be_bytes());
        frame[20..22].copy_from_slice(&(more | (from / 8) as u16).to_be_bytes());
        frame[24..26].fill(0);
        let words = frame[14..HEADERS].chunks(2);
        let sum: u32 = words
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        frame[24..26].copy_from_slice(&sum.to_be_bytes());
        frame.extend(&whole[HEADERS + from..HEADERS + to]);
        frame
    })
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_defragment() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let payload: Vec<u8> = (0..600).map(|n| n as u8).collect();
    let whole = udp4(4000, 2000, &payload);
    let open = |defragment| {
        let fanout = Fanout::default().workers(2).defragment(defragment);
        FanoutGroup::open(small("a"), fanout).unwrap()
    };
    let mut plain = open(false);
    fragments(&whole)
        .iter()
        .for_each(|frame| sender.send(frame).unwrap());
    until_offered(&plain, 2);
    let read: Vec<PacketBuf> = drain(&mut plain).into_iter().flatten().collect();
    let read: Vec<_> = read.iter().map(PacketBuf::data).collect();
    assert_eq!(read, fragments(&whole));
    drop(plain);

    let mut together = open(true);
    fragments(&whole)
        .iter()
        .for_each(|frame| sender.send(frame).unwrap());
    sender.send(&whole).unwrap();
    until_offered(&together, 2);
    let read = drain(&mut together);
    // Reassembled, the datagram belongs to the same flow as one that was never fragmented.
    let of_one = read.iter().find(|packets| !packets.is_empty()).unwrap();
    assert_eq!(of_one.len(), 2);
    for packet in of_one {
        assert_eq!(packet.data()[..14], whole[..14]);
        assert_eq!(packet.data()[34..], whole[34..]);
        assert_eq!(packet.wire_len() as usize, whole.len());
    }
    assert_eq!(together.stats().unwrap().offered, Count::Exact(2));
}

/// An own transmission on the interface that is captured, and one that arrives.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p16_own_transmissions_are_left_out_in_a_group_too() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let (own, peer) = (Sender::on("a").unwrap(), Sender::on("b").unwrap());
    for (ignore, expected) in [(true, 30), (false, 60)] {
        let builder = small("a").ignore_outgoing(ignore);
        let fanout = Fanout::default().workers(2);
        let mut group = FanoutGroup::open(builder, fanout).unwrap();
        for flow in 0..30 {
            own.send(&of_flow(flow, 1)).unwrap();
            peer.send(&of_flow(flow, 2)).unwrap();
        }
        until_offered(&group, expected);
        let read: Vec<_> = drain(&mut group).into_iter().flatten().collect();
        assert_eq!(read.len() as u64, expected);
        assert_eq!(group.stats().unwrap().offered, Count::Exact(expected));
        let number = |packet: &PacketBuf| super::flow_of(packet.data()).1;
        let arrived = read.iter().filter(|packet| number(packet) == 2).count();
        assert_eq!(arrived, 30);
    }
}

/// On the loopback interface it is the default, as it is without a group.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p18_on_lo_a_group_sees_each_packet_once() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up").unwrap();
    let sender = Sender::on("lo").unwrap();
    let fanout = Fanout::default().workers(2);
    let mut group = FanoutGroup::open(small("lo"), fanout).unwrap();
    (0..40).for_each(|flow| sender.send(&of_flow(flow, 0)).unwrap());
    until_offered(&group, 40);
    assert_eq!(counts(&mut group).iter().sum::<usize>(), 40);
    assert_eq!(group.stats().unwrap().offered, Count::Exact(40));
}

/// `ldb [offset]; ret a`
fn byte_at(offset: u32) -> FanoutProgram {
    FanoutProgram::classic([SockFilter::stmt(0x30, offset), SockFilter::stmt(0x16, 0)])
}

/// Offset 0 is the network header of what arrives and the Ethernet header of what is sent;
/// `SKF_NET_OFF` is the network header of both.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_begins_at_the_header_that_the_docs_say() {
    const NETWORK: u32 = 0xfff0_0000;
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let (own, peer) = (Sender::on("a").unwrap(), Sender::on("b").unwrap());
    // The first byte of IPv4 is 0x45 and odd, that of the Ethernet header 2 and even. The kernel's
    // result is modulo the number of workers.
    let mut group = pair(FanoutMode::Program(byte_at(0)));
    let handle = group.handle();
    let mut run = |sender: &Sender| {
        let before = group.stats().unwrap().offered.exact().unwrap();
        (0..10).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
        until_offered(&group, before + 10);
        counts(&mut group)
    };
    assert_eq!(run(&peer), [0, 10]);
    assert_eq!(run(&own), [10, 0]);
    handle.set_program(&byte_at(NETWORK)).unwrap();
    assert_eq!(run(&peer), [0, 10]);
    assert_eq!(run(&own), [0, 10]);
    // A read outside of the packet ends a program with 0.
    handle.set_program(&byte_at(NETWORK + 5000)).unwrap();
    assert_eq!(run(&peer), [10, 0]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_that_is_replaced_is_in_force_from_the_next_packet_on() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let constant = |n| FanoutProgram::classic([SockFilter::stmt(0x06, n)]);
    let mut group = pair(FanoutMode::Program(constant(0)));
    let handle = group.handle();
    let sender = Sender::on("b").unwrap();
    for round in 0..20_u64 {
        handle.set_program(&constant((round % 2) as u32)).unwrap();
        (0..50).for_each(|n| sender.send(&of_flow(1, 50 * round + n)).unwrap());
        until_offered(&group, 50 * (round + 1));
    }
    let read = drain(&mut group);
    let number = |packet: &PacketBuf| super::flow_of(packet.data()).1;
    for (worker, packets) in read.iter().enumerate() {
        let numbers: Vec<_> = packets.iter().map(number).collect();
        let expected = (0..1000).filter(|n| n / 50 % 2 == worker as u64);
        assert_eq!(numbers, expected.collect::<Vec<_>>());
    }
    for worker in group.workers_mut() {
        assert_eq!(worker.stats().unwrap().delivered, Count::Exact(500));
    }
}

/// No packet is lost or doubled between the old program and the new one.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_is_replaced_while_packets_arrive() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let constant = |n| FanoutProgram::classic([SockFilter::stmt(0x06, n)]);
    let mut group = pair(FanoutMode::Program(constant(0)));
    let flood = Flood::on("b", |n| of_flow(1, n)).unwrap();
    let mut numbers = Vec::new();
    for round in 0..20 {
        group.handle().set_program(&constant(round % 2)).unwrap();
        for worker in group.workers_mut() {
            let read = collect(worker, 50, Duration::from_millis(5)).unwrap();
            numbers.extend(read.iter().map(|packet| super::flow_of(packet.data()).1));
        }
    }
    let sent = flood.stop();
    until_offered(&group, sent);
    let rest = drain(&mut group).into_iter().flatten();
    numbers.extend(rest.map(|packet| super::flow_of(packet.data()).1));
    let stats = group.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(sent));
    assert_eq!(stats.delivered, Count::Exact(numbers.len() as u64));
    assert_eq!(stats.delivered + stats.dropped, Count::Exact(sent));
    numbers.sort_unstable();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "a packet came twice"
    );
}
