//! All workers start together, receive only their own packets, and flows stay where they are.

use std::collections::HashMap;
use std::thread;

use netring_afpacket::{Fanout, FanoutGroup, FanoutMode, SockFilter};
use netring_sys::kernel::filter::{BPF_JEQ_K, BPF_LD_H_ABS, BPF_RET_K};
use netring_sys::{Count, Interface, PacketBuf, PacketSource};
use xtask::load::{Flood, wait_until};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, udp4};

use super::{PATIENCE, flow_of, of_flow, small};

const FLOWS: u64 = 256;

/// Frames of all flows in turn, each with its number in its flow.
fn all_flows(n: u64) -> Vec<u8> {
    of_flow((n % FLOWS) as u16, n / FLOWS)
}

/// Checks that each flow was seen by one worker alone, in order, and without a gap if `whole`.
/// Returns the number of flows.
fn check_flows(read: &[Vec<PacketBuf>], whole: bool) -> usize {
    let mut seen: HashMap<u16, (usize, u64)> = HashMap::new();
    for (worker, packets) in read.iter().enumerate() {
        for packet in packets {
            let (flow, number) = flow_of(packet.data());
            if let Some((before, last)) = seen.insert(flow, (worker, number)) {
                assert_eq!(before, worker, "flow {flow} moved");
                assert!(number > last, "flow {flow}: {number} after {last}");
                assert!(
                    !whole || number == last + 1,
                    "flow {flow}: {number} after {last}"
                );
            }
        }
    }
    seen.len()
}

/// A flow that is seen while some of the members have joined is seen by another one later.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn no_flow_moves_while_the_group_is_opened() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let flood = Flood::on("b", all_flows).unwrap();
    for _ in 0..40 {
        let fanout = Fanout::default().workers(4);
        let mut group = FanoutGroup::open(small("a"), fanout).unwrap();
        let workers = group.workers_mut().iter_mut();
        let read: Vec<_> = workers
            .map(|worker| collect(worker, 500, PATIENCE).unwrap())
            .collect();
        assert!(read.iter().all(|packets| packets.len() >= 500));
        let whole = group.stats().unwrap().dropped == Count::Exact(0);
        assert_eq!(check_flows(&read, whole), FLOWS as usize);
    }
    assert!(flood.stop() > 0);
}

/// UDP port 2000, in frames that are all UDP.
const TO_PORT_2000: [SockFilter; 4] = [
    SockFilter::stmt(BPF_LD_H_ABS, 36),
    SockFilter::jump(BPF_JEQ_K, 2000, 0, 1),
    SockFilter::stmt(BPF_RET_K, 65_535),
    SockFilter::stmt(BPF_RET_K, 0),
];

/// A frame whose source port identifies the interface; every second one is not for port 2000.
fn marked(interface: u16) -> impl FnMut(u64) -> Vec<u8> + Send + 'static {
    move |n| udp4(interface, 2000 + (n % 2) as u16, &n.to_be_bytes())
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s5_nothing_but_matching_packets_of_the_interface_while_the_group_is_opened() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let index = Interface::by_name("a").unwrap().index;
    let floods = [
        Flood::on("b", marked(1)).unwrap(),
        Flood::on("d", marked(2)).unwrap(),
    ];
    for round in 0..40 {
        let fanout = Fanout::new(FanoutMode::LoadBalance).workers(3);
        let builder = small("a").filter(TO_PORT_2000);
        let mut group = FanoutGroup::open(builder, fanout).unwrap();
        for worker in group.workers_mut() {
            let packets = collect(worker, 100, PATIENCE).unwrap();
            assert!(packets.len() >= 100, "{} packets of a flood", packets.len());
            for packet in packets {
                let port =
                    |at: usize| u16::from_be_bytes(*packet.data()[at..].first_chunk().unwrap());
                let facts = (packet.interface(), port(34), port(36));
                assert_eq!(facts, (index, 1, 2000), "round {round}");
            }
        }
    }
    assert!(floods.map(Flood::stop).iter().all(|sent| *sent > 0));
}

/// Each worker on a thread of its own, and every packet accounted for.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p17_each_flow_stays_on_one_worker_and_in_order() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    const SENT: u64 = 100 * FLOWS;
    let group = FanoutGroup::open(small("a"), Fanout::default().workers(3)).unwrap();
    let handle = group.handle();
    let sender = Sender::on("b").unwrap();
    let read: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = group
            .into_workers()
            .into_iter()
            .map(|mut worker| {
                scope.spawn(move || {
                    let mut packets = Vec::new();
                    worker
                        .for_each(|packet| packets.push(packet.to_buf()))
                        .unwrap();
                    let stats = worker.stats().unwrap();
                    assert_eq!(stats.delivered, Count::Exact(packets.len() as u64));
                    assert_eq!(stats.pending(), Some(0));
                    packets
                })
            })
            .collect();
        (0..SENT).for_each(|n| sender.send(&all_flows(n)).unwrap());
        // The handle counts while the workers are on their threads.
        wait_until("every packet is delivered or lost", PATIENCE, || {
            let stats = handle.stats().unwrap();
            stats.offered == Count::Exact(SENT) && stats.pending() == Some(0)
        });
        handle.stop();
        let joined = workers.into_iter().map(|worker| worker.join().unwrap());
        joined.collect()
    });
    let stats = handle.stats().unwrap();
    let delivered: usize = read.iter().map(Vec::len).sum();
    assert_eq!(stats.offered, Count::Exact(SENT));
    assert_eq!(stats.delivered, Count::Exact(delivered as u64));
    assert_eq!(stats.delivered + stats.dropped, Count::Exact(SENT));
    let whole = stats.dropped == Count::Exact(0);
    assert_eq!(check_flows(&read, whole), FLOWS as usize);
    assert!(read.iter().all(|packets| !packets.is_empty()));
}
