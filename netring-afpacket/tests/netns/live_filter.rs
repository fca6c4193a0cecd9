//! The filter of a running capture: replaced, removed, locked.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::fs;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use netring_afpacket::{
    Capture, CaptureBuilder, Fanout, FanoutGroup, FanoutMode, Filter, Profile, SockFilter,
};
use netring_sys::kernel::filter::BPF_RET_K;
use netring_sys::{Count, Error, Interface, PacketSource, errno, syscall};
use xtask::load::{Flood, wait_until};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, udp4};

const SILENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(5);
const ALL: u32 = u32::MAX;

fn builder() -> CaptureBuilder {
    let builder = Capture::builder().interface("a");
    builder.profile(Profile::LowMemory)
}

/// Matches UDP datagrams to this port, by its offset in frames without options.
fn to_port(port: u16) -> [SockFilter; 4] {
    [
        SockFilter::stmt(0x28, 36),
        SockFilter::jump(0x15, port.into(), 0, 1),
        SockFilter::stmt(BPF_RET_K, ALL),
        SockFilter::stmt(BPF_RET_K, 0),
    ]
}

fn port(frame: &[u8]) -> u16 {
    u16::from_be_bytes(*frame[36..].first_chunk().unwrap())
}

/// The error of a filter that the kernel refuses because of the lock.
#[track_caller]
fn is_locked(result: Result<(), Error>) {
    let error = result.unwrap_err();
    assert!(matches!(
        error,
        Error::Config {
            setting: "filter",
            ..
        }
    ));
    let text = error.to_string();
    assert!(text.contains("locked (EPERM)"), "{text}");
}

/// Each filter is in force when `set_filter` returns.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_filter_decides_over_every_packet_that_is_sent_after_it_was_set() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder().filter(to_port(1)).build().unwrap();
    let sender = Sender::on("b").unwrap();
    for round in 0..300_u16 {
        let (old, new) = (1 + (round + 1) % 2, 1 + round % 2);
        capture.set_filter(to_port(new)).unwrap();
        // In this order over one queue: once the last has arrived, the others were decided.
        for port in [3, old, new] {
            sender.send(&udp4(round, port, b"x")).unwrap();
        }
        wait_until("the packet is offered", PATIENCE, || {
            capture.stats().unwrap().offered == Count::Exact(u64::from(round) + 1)
        });
    }
    let packets = collect(&mut capture, 300, SILENCE).unwrap();
    let got: Vec<u16> = packets.iter().map(|packet| port(packet.data())).collect();
    let expected: Vec<u16> = (0..300).map(|round| 1 + round % 2).collect();
    assert_eq!(got, expected);
    let stats = capture.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(300), Count::Exact(0))
    );
}

/// No packet passes without being judged while filters are replaced under a flood.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s5_a_packet_that_no_filter_accepts_never_comes_while_filters_are_replaced() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder().filter(to_port(1)).build().unwrap();
    let flood = Flood::on("b", |n| udp4(9, 1 + (n % 3) as u16, b"flood")).unwrap();
    let mut seen = [0_u64; 4];
    let end = Instant::now() + Duration::from_secs(60);
    let mut swaps = 0_u16;
    // Until each filter has accepted packets, and at least 500 times.
    while swaps < 500 || seen[1].min(seen[2]) < 1000 {
        assert!(Instant::now() < end, "{swaps} swaps, {seen:?}");
        capture.set_filter(to_port(1 + swaps % 2)).unwrap();
        swaps += 1;
        for packet in collect(&mut capture, 1, Duration::from_millis(1)).unwrap() {
            seen[usize::from(port(packet.data()))] += 1;
        }
    }
    let sent = flood.stop();
    for packet in collect(&mut capture, usize::MAX, SILENCE).unwrap() {
        seen[usize::from(port(packet.data()))] += 1;
    }
    assert_eq!(seen[3], 0, "of {} that were sent", sent / 3);
    let stats = capture.stats().unwrap();
    assert_eq!(stats.delivered, Count::Exact(seen[1] + seen[2]));
    assert_eq!(stats.pending(), Some(0));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_filter_is_removed_and_the_snap_length_stays() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for (snap_len, profile) in [
        (None, Profile::LowMemory),
        (Some(50), Profile::LowMemory),
        (Some(50), Profile::Immediate),
    ] {
        let mut builder = builder().profile(profile).filter(to_port(1));
        if let Some(bytes) = snap_len {
            builder = builder.snap_len(bytes);
        }
        let mut capture = builder.build().unwrap();
        let sender = Sender::on("b").unwrap();
        let frames = [1, 2, 3].map(|port| udp4(9, port, &[7; 100]));
        let mut expected = Vec::new();
        let mut send = |capture: &mut Capture, accepted: &[usize]| {
            frames.iter().for_each(|frame| sender.send(frame).unwrap());
            let packets = collect(capture, usize::MAX, SILENCE).unwrap();
            expected.clear();
            expected.extend(accepted.iter().map(|&n| &frames[n]));
            assert_eq!(packets.len(), expected.len());
            for (packet, frame) in packets.iter().zip(&expected) {
                let kept = snap_len.map_or(frame.len(), |bytes| bytes as usize);
                assert_eq!(packet.data(), &frame[..kept]);
                assert_eq!(packet.wire_len() as usize, frame.len());
            }
        };
        send(&mut capture, &[0]);
        capture.set_filter(to_port(2)).unwrap();
        send(&mut capture, &[1]);
        capture.remove_filter().unwrap();
        send(&mut capture, &[0, 1, 2]);
        // There is nothing to remove, so nothing changes.
        capture.remove_filter().unwrap();
        send(&mut capture, &[0, 1, 2]);
        capture.set_filter(to_port(3)).unwrap();
        send(&mut capture, &[2]);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_filter_that_is_refused_leaves_the_old_one() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder().filter(to_port(1)).build().unwrap();
    let endless = capture.set_filter([SockFilter::stmt(0x05, 7)]).unwrap_err();
    assert!(endless.to_string().contains("jumps out"), "{endless}");
    // Valid, but larger than the default limit of a socket.
    let mut large = vec![SockFilter::stmt(0x28, 12); 4095];
    large.push(SockFilter::stmt(BPF_RET_K, 0));
    let large = capture.set_filter(large).unwrap_err();
    assert!(large.to_string().contains("optmem_max"), "{large}");
    let none = capture.set_ebpf_filter(std::io::stdin()).unwrap_err();
    assert!(
        none.to_string().contains("BPF_PROG_TYPE_SOCKET_FILTER"),
        "{none}"
    );
    let sender = Sender::on("b").unwrap();
    for port in [2, 1] {
        sender.send(&udp4(9, port, b"x")).unwrap();
    }
    let packets = collect(&mut capture, usize::MAX, SILENCE).unwrap();
    let ports: Vec<u16> = packets.iter().map(|packet| port(packet.data())).collect();
    assert_eq!(ports, [1]);
}

/// The socket of the only capture on this interface of this thread's namespace.
fn socket_on(interface: &str) -> OwnedFd {
    let here = syscall::packet_socket().unwrap();
    let here = syscall::network_namespace(here.as_fd()).unwrap();
    let index = Interface::by_name(interface).unwrap().index as i32;
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    let numbers = descriptors.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut sockets = numbers.filter_map(|number| {
        // SAFETY: only duplicated, and looked at after that: if another test closed it meanwhile,
        // the call fails or duplicates another that the checks below pass over.
        let socket = unsafe { BorrowedFd::borrow_raw(number) }
            .try_clone_to_owned()
            .ok()?;
        let address = syscall::packet_socket_address(socket.as_fd()).ok()?;
        let is_it = address.sll_ifindex == index
            && address.sll_protocol != 0
            && syscall::network_namespace(socket.as_fd()).ok()? == here;
        is_it.then_some(socket)
    });
    sockets.next().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_locked_filter_stays_whatever_is_tried() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder()
        .filter(to_port(1))
        .lock_filter(true)
        .build()
        .unwrap();
    is_locked(capture.set_filter(to_port(2)));
    is_locked(capture.remove_filter());
    is_locked(capture.set_ebpf_filter(std::io::stdin()));
    // Through the capture's descriptor, past the capture.
    let socket = socket_on("a");
    let tried = [
        syscall::attach_filter(socket.as_fd(), &to_port(2)),
        syscall::detach_filter(socket.as_fd()),
    ];
    for result in tried {
        assert!(result.unwrap_err().is(errno::EPERM));
    }
    let sender = Sender::on("b").unwrap();
    for port in [2, 3, 1] {
        sender.send(&udp4(9, port, b"x")).unwrap();
    }
    let packets = collect(&mut capture, usize::MAX, SILENCE).unwrap();
    let ports: Vec<u16> = packets.iter().map(|packet| port(packet.data())).collect();
    assert_eq!(ports, [1]);
    drop(capture);

    // The absence of a filter can be locked too; a snap length is a filter.
    for (builder, kept) in [(builder(), 43), (builder().snap_len(20), 20)] {
        let mut capture = builder.lock_filter(true).build().unwrap();
        is_locked(capture.set_filter(to_port(2)));
        is_locked(capture.remove_filter());
        sender.send(&udp4(9, 3, b"x")).unwrap();
        let packets = collect(&mut capture, 1, SILENCE).unwrap();
        assert_eq!(packets[0].data().len(), kept);
    }
}

/// An expression is compiled for the link type of the interface when it is set.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_expression_replaces_a_program_and_the_reverse() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = builder().filter(to_port(1)).build().unwrap();
    let sender = Sender::on("b").unwrap();
    let arrived = |capture: &mut Capture| -> Vec<u16> {
        for port in [1, 2, 3] {
            sender.send(&udp4(9, port, b"x")).unwrap();
        }
        let packets = collect(capture, usize::MAX, SILENCE).unwrap();
        packets.iter().map(|packet| port(packet.data())).collect()
    };
    let expression = |text: &str| text.parse::<Filter>().unwrap();
    capture.set_filter(expression("udp dst port 2")).unwrap();
    assert_eq!(arrived(&mut capture), [2]);
    capture.set_filter(to_port(3)).unwrap();
    assert_eq!(arrived(&mut capture), [3]);
    capture
        .set_filter(expression("not port 3 and inbound"))
        .unwrap();
    assert_eq!(arrived(&mut capture), [1, 2]);
}

/// The members of a group reject everything until all have joined; the lock applies to the filter
/// that they get then.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_members_of_a_group_have_their_locked_filter() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    for (builder, expected) in [
        (builder().filter(to_port(1)), vec![1]),
        (builder(), vec![1, 2, 3]),
    ] {
        let fanout = Fanout::new(FanoutMode::LoadBalance).workers(2);
        let group = FanoutGroup::open(builder.lock_filter(true), fanout).unwrap();
        let mut workers = group.into_workers();
        for port in [1, 2, 3] {
            sender.send(&udp4(9, port, b"x")).unwrap();
        }
        let mut ports = Vec::new();
        for worker in &mut workers {
            is_locked(worker.set_filter(to_port(2)));
            let packets = collect(worker, usize::MAX, SILENCE).unwrap();
            ports.extend(packets.iter().map(|packet| port(packet.data())));
        }
        ports.sort_unstable();
        assert_eq!(ports, expected);
    }
}

/// A capture of all interfaces rejects the packets that loopback sends, also after its filter was
/// replaced.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p18_loopback_is_seen_once_whatever_filter_replaces_another() {
    let _ns = Netns::enter().unwrap();
    let builder = || {
        Capture::builder()
            .profile(Profile::LowMemory)
            .all_interfaces()
    };
    let mut capture = builder().filter(to_port(1)).build().unwrap();
    let to = UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = to.local_addr().unwrap();
    let arrived = |capture: &mut Capture| {
        to.send_to(b"x", own).unwrap();
        collect(capture, usize::MAX, SILENCE).unwrap().len()
    };
    assert_eq!(arrived(&mut capture), 0);
    let expression: Filter = format!("udp dst port {}", own.port()).parse().unwrap();
    capture.set_filter(expression).unwrap();
    assert_eq!(arrived(&mut capture), 1);
    capture.set_filter(to_port(own.port())).unwrap();
    assert_eq!(arrived(&mut capture), 1);
    capture.remove_filter().unwrap();
    assert_eq!(arrived(&mut capture), 1);
    // An eBPF program would replace that filter too.
    let refused = capture.set_ebpf_filter(std::io::stdin()).unwrap_err();
    assert!(refused.to_string().contains("loopback sends"), "{refused}");
    let mut twice = builder().ignore_outgoing(false).build().unwrap();
    twice.set_filter(to_port(own.port())).unwrap();
    assert_eq!(arrived(&mut twice), 2);
    // Hardware timestamps require a single interface.
    let refused = builder().enable_hardware_timestamps(true).build();
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("a setting of one interface"), "{refused}");
}
