//! The rows of the kernel's own test of fanout groups (`psock_fanout`), with its figures: two rings
//! of 20 frames that nobody reads; 15 packets of one flow and 5 of another, then 15 more of the
//! second.

use netring_afpacket::{Fanout, FanoutGroup, FanoutMode, FanoutProgram, Profile, SockFilter};
use netring_sys::{Count, PacketSource, Stats};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, udp4};

use super::{drain, of_flow, two_flows, until_offered};
use netring_afpacket::Capture;

/// 20 slots of one page each.
fn open(fanout: Fanout) -> FanoutGroup {
    let builder = Capture::builder()
        .interface("a")
        .profile(Profile::Immediate);
    let builder = builder.block_size(4096).block_count(20);
    let mut group = FanoutGroup::open(builder, fanout).unwrap();
    for worker in group.workers_mut() {
        assert_eq!(worker.ring().slots(), Some(20));
    }
    group
}

/// Packets in the ring of each worker, and those that it dropped.
fn in_rings(group: &mut FanoutGroup) -> Vec<(u64, u64)> {
    let figures = |stats: Stats| (stats.pending().unwrap(), stats.dropped.exact().unwrap());
    let workers = group.workers_mut().iter_mut();
    workers
        .map(|worker| figures(worker.stats().unwrap()))
        .collect()
}

/// Sends the pattern to a group, and returns what is in the rings in between and at the end. At the
/// end, each packet was delivered or counted.
fn rings(sender: &Sender, mut group: FanoutGroup, frames: [Vec<u8>; 2]) -> [[u64; 2]; 2] {
    let send = |flow: usize, count| (0..count).for_each(|_| sender.send(&frames[flow]).unwrap());
    let filled = |group: &mut FanoutGroup, sent| {
        until_offered(group, sent);
        let rings: Vec<_> = in_rings(group).iter().map(|ring| ring.0).collect();
        <[u64; 2]>::try_from(rings).unwrap()
    };
    send(0, 15);
    send(1, 5);
    let first = filled(&mut group, 20);
    send(0, 15);
    let second = filled(&mut group, 35);
    let dropped: Vec<_> = in_rings(&mut group).iter().map(|ring| ring.1).collect();
    assert_eq!(second.iter().sum::<u64>() + dropped.iter().sum::<u64>(), 35);
    let read = drain(&mut group);
    for ((packets, ring), dropped) in read.iter().zip(second).zip(dropped) {
        assert_eq!(packets.len() as u64, ring);
        assert!(
            packets
                .iter()
                .all(|packet| frames.iter().any(|frame| frame == packet.data()))
        );
        // Nothing is dropped while there is room.
        assert!(
            ring == 20 || dropped == 0,
            "{ring} in the ring, {dropped} dropped"
        );
    }
    let stats = group.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(35));
    assert_eq!(stats.delivered, Count::Exact(second.iter().sum()));
    [first, second]
}

/// Runs a row with two flows of which the hash gives the first to the first worker.
fn row(fanout: Fanout) -> [[u64; 2]; 2] {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let frames = two_flows(&sender).map(|flow| of_flow(flow, 0));
    rings(&sender, open(fanout.workers(2)), frames)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_hash() {
    assert_eq!(row(Fanout::default()), [[15, 5], [20, 5]]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_hash_rollover() {
    assert_eq!(row(Fanout::default().rollover(true)), [[15, 5], [20, 15]]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_load_balance() {
    let mut figures = row(Fanout::new(FanoutMode::LoadBalance));
    figures
        .iter_mut()
        .for_each(|rings| rings.sort_unstable_by(|a, b| b.cmp(a)));
    assert_eq!(figures, [[10, 10], [18, 17]]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_rollover() {
    assert_eq!(row(Fanout::new(FanoutMode::Rollover)), [[15, 5], [20, 15]]);
}

/// The program of the kernel's test: byte 80 of the packet, which is 'a' or 'b'.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_cbpf() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let program = FanoutProgram::classic([SockFilter::stmt(0x30, 80), SockFilter::stmt(0x16, 0)]);
    let group = open(Fanout::new(FanoutMode::Program(program)).workers(2));
    // 'b' is even and goes to the first worker.
    let frames = [b'b', b'a'].map(|byte| udp4(8000, 8002, &[byte; 100]));
    let [first, second] = rings_as_the_kernel_sends(&sender, group, frames);
    assert_eq!([first, second], [[15, 5], [15, 20]]);
}

/// For a program, the kernel's test sends the second 15 packets as the second kind.
fn rings_as_the_kernel_sends(
    sender: &Sender,
    mut group: FanoutGroup,
    frames: [Vec<u8>; 2],
) -> [[u64; 2]; 2] {
    let send = |flow: usize, count| (0..count).for_each(|_| sender.send(&frames[flow]).unwrap());
    let now = |group: &mut FanoutGroup| -> [u64; 2] {
        let rings: Vec<_> = in_rings(group).iter().map(|ring| ring.0).collect();
        rings.try_into().unwrap()
    };
    send(0, 15);
    send(1, 5);
    until_offered(&group, 20);
    let first = now(&mut group);
    send(1, 15);
    until_offered(&group, 35);
    let second = now(&mut group);
    assert_eq!(group.stats().unwrap().dropped, Count::Exact(0));
    let kinds: Vec<Vec<u8>> = drain(&mut group)
        .iter()
        .map(|packets| packets.iter().map(|packet| packet.data()[60]).collect())
        .collect();
    assert_eq!(kinds, [vec![frames[0][60]; 15], vec![frames[1][60]; 20]]);
    [first, second]
}

/// The sender stays on one processor, and so does the packet over a veth pair.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_cpu() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let frames = [of_flow(1, 0), of_flow(2, 0)];
    for (cpu, expected) in [(0, [[20, 0], [20, 0]]), (1, [[0, 20], [0, 20]])] {
        let group = open(Fanout::new(FanoutMode::Cpu).workers(2));
        let mut only = CpuSet::new();
        only.set(cpu).unwrap();
        sched_setaffinity(Pid::from_raw(0), &only).unwrap();
        assert_eq!(
            rings(&sender, group, frames.clone()),
            expected,
            "processor {cpu}"
        );
    }
}

/// Each socket is a group of its own and receives everything.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_unique_id() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let mut groups = [(); 2].map(|()| open(Fanout::default().workers(1)));
    assert_ne!(groups[0].id(), groups[1].id());
    let send = |flow, count| (0..count).for_each(|_| sender.send(&of_flow(flow, 0)).unwrap());
    send(0, 15);
    send(1, 5);
    for group in &mut groups {
        until_offered(group, 20);
        assert_eq!(in_rings(group), [(20, 0)]);
    }
    send(0, 15);
    for group in &mut groups {
        until_offered(group, 35);
        assert_eq!(in_rings(group), [(20, 15)]);
        assert_eq!(drain(group)[0].len(), 20);
    }
}
