//! What the kernel refuses, and what the errors say; and joining a group that exists. The rows
//! `control_*`, `unique_fanout_group_ids` and `unbound_fanout` of the kernel's own test.

use std::os::fd::AsFd;

use netring_afpacket::{
    CaptureBuilder, Fanout, FanoutGroup, FanoutMode, FanoutProgram, SockFilter,
};
use netring_sys::kernel::packet::fanout_args;
use netring_sys::syscall::{bind_packet, join_packet_fanout, packet_socket};
use netring_sys::{Count, Error, Interface, errno};
use xtask::load::wait_until;
use xtask::netns::{Netns, veth};
use xtask::wire::Sender;

use super::{PATIENCE, drain, of_flow, pair, small};

/// The text of the refusal.
fn refused(builder: CaptureBuilder, fanout: Fanout) -> String {
    match FanoutGroup::open(builder, fanout) {
        Err(error @ Error::Config { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn one() -> Fanout {
    Fanout::default().workers(1)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn control_single() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let both = Fanout::new(FanoutMode::Rollover).workers(1).rollover(true);
    let text = refused(small("a"), both);
    assert!(
        text.starts_with("rollover: the mode `Rollover` rolls over"),
        "{text}"
    );
    // And the kernel refuses it too.
    let socket = packet_socket().unwrap();
    bind_packet(socket.as_fd(), Interface::by_name("a").unwrap().index, 3).unwrap();
    let request = fanout_args {
        type_flags: 0x1003,
        ..fanout_args::default()
    };
    let error = join_packet_fanout(socket.as_fd(), &request).unwrap_err();
    assert!(error.is(errno::EINVAL), "{error:?}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn control_group() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let group = FanoutGroup::open(small("a"), one()).unwrap();
    let id = group.id();
    let others = [
        (small("a"), Fanout::new(FanoutMode::LoadBalance).workers(1)),
        (small("a"), one().rollover(true)),
        (small("a"), one().defragment(true)),
        (small("a").ignore_outgoing(true), one()),
        (small("b"), one()),
    ];
    for (builder, fanout) in others {
        let text = refused(builder, fanout.id(id));
        let start = format!("fanout: the kernel refused to join group {id} (EINVAL)");
        assert!(text.starts_with(&start), "{text}");
        for cause in [
            "mode",
            "rollover",
            "defragment",
            "ignore_outgoing",
            "interface",
        ] {
            assert!(text.contains(cause), "{text}");
        }
    }
    let same = FanoutGroup::open(small("a"), one().id(id)).unwrap();
    assert_eq!(same.id(), id);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn control_group_max_num_members() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let text = refused(small("a"), one().max_members(65_537));
    assert!(
        text.starts_with("max_members: 65537; a group has 1 to 65,536"),
        "{text}"
    );
    // The default is 256.
    let group = FanoutGroup::open(small("a"), one()).unwrap();
    let join = one().id(group.id());
    let text = refused(small("a"), join.clone().max_members(257));
    assert!(text.contains("maximum of members"), "{text}");
    let _equal = FanoutGroup::open(small("a"), join.clone().max_members(256)).unwrap();
    let _unset = FanoutGroup::open(small("a"), join).unwrap();
    let _most = FanoutGroup::open(small("a"), one().max_members(65_536)).unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn unique_fanout_group_ids() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let taken = FanoutGroup::open(small("a"), one().id(1)).unwrap();
    let groups = [(); 8].map(|()| FanoutGroup::open(small("a"), one()).unwrap());
    let mut ids: Vec<_> = groups
        .iter()
        .map(FanoutGroup::id)
        .chain([taken.id()])
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 9);
}

/// A capture is always bound, so this tests the system call alone.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn unbound_fanout() {
    let _ns = Netns::enter().unwrap();
    let socket = packet_socket().unwrap();
    let error = join_packet_fanout(socket.as_fd(), &fanout_args::default()).unwrap_err();
    assert!(error.is(errno::EINVAL), "{error:?}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_group_that_is_full_is_named() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let full = Fanout::default().workers(2).max_members(2);
    let mut group = FanoutGroup::open(small("a"), full).unwrap();
    let text = refused(small("a"), one().id(group.id()));
    let start = format!("fanout: group {} is full", group.id());
    assert!(text.starts_with(&start), "{text}");
    // The attempt disturbed no worker.
    let sender = Sender::on("b").unwrap();
    (0..10).for_each(|n| sender.send(&of_flow(n, 0)).unwrap());
    super::until_offered(&group, 10);
    assert_eq!(drain(&mut group).iter().map(Vec::len).sum::<usize>(), 10);
    drop(group.into_workers().pop());
}

/// A second process with the same id shares the packets; when it leaves, all of them go to the
/// first again.
/// The number of packet sockets in this thread's namespace.
fn sockets() -> usize {
    let lines = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
    lines.lines().count() - 1
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_group_that_is_joined_shares_its_packets() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let turns = || Fanout::new(FanoutMode::LoadBalance).id(7);
    let mut first = FanoutGroup::open(small("a"), turns().workers(1)).unwrap();
    let alone = sockets();
    let mut second = FanoutGroup::open(small("a"), turns().workers(2)).unwrap();
    assert_eq!((first.id(), second.id()), (7, 7));
    (0..30).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
    super::until_offered(&first, 10);
    super::until_offered(&second, 20);
    let count = |group: &mut FanoutGroup| drain(group).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(count(&mut first), [10]);
    assert_eq!(count(&mut second), [10, 10]);
    assert_eq!(second.stats().unwrap().offered, Count::Exact(20));
    drop(second);
    // A program that another test starts holds the sockets until it runs, and they get their share.
    wait_until("the sockets are gone", PATIENCE, || sockets() == alone);
    (0..30).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
    super::until_offered(&first, 40);
    assert_eq!(count(&mut first), [30]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_program_is_refused_where_there_is_none_and_once_nobody_is_left() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let program = FanoutProgram::classic([SockFilter::stmt(0x06, 1)]);
    let group = pair(FanoutMode::Hash);
    let text = group
        .handle()
        .set_program(&program)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("the mode of the group is not a classic program"),
        "{text}"
    );
    drop(group);

    let group = pair(FanoutMode::Program(program.clone()));
    let handle = group.handle();
    let endless = FanoutProgram::classic([SockFilter::stmt(0x05, 7)]);
    let text = handle.set_program(&endless).unwrap_err().to_string();
    assert!(text.contains("jumps out of the program"), "{text}");
    // A descriptor that is not a program.
    let socket = FanoutProgram::ebpf(packet_socket().unwrap()).unwrap();
    let text = handle.set_program(&socket).unwrap_err().to_string();
    assert!(text.contains("not an eBPF program"), "{text}");
    let text = refused(
        small("a"),
        Fanout::new(FanoutMode::Program(socket)).workers(1),
    );
    assert!(text.contains("not of type socket filter"), "{text}");
    handle.set_program(&program).unwrap();
    drop(group);
    assert!(matches!(handle.set_program(&program), Err(Error::Closed)));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_does_not_exist_is_named() {
    let _ns = Netns::enter().unwrap();
    match FanoutGroup::open(small("nothing"), one()) {
        Err(Error::NoSuchInterface { name, .. }) => assert_eq!(name, "nothing"),
        other => panic!("{other:?}"),
    }
}
