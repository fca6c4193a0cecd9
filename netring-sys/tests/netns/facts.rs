//! What is reported about interfaces, compared with iproute2, in namespaces of the tests' own.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::mem::offset_of;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use netring_sys::kernel::packet::{
    ARPHRD_ETHER, ARPHRD_LOOPBACK, ETH_P_ALL, TP_STATUS_KERNEL, TP_STATUS_USER, TPACKET_V3,
    tpacket_block_desc, tpacket_req3, tpacket3_hdr,
};
use netring_sys::wait::Waiter;
use netring_sys::{Count, Error, Interface, LinkType, Mmap, XdpFeatures, XdpMetadata, syscall};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, ip_batch, ip_says, veth};
use xtask::wire::{Sender, numbered};

/// The output of `ip -details link show` for an interface.
#[derive(Debug)]
struct IpLink(String);

impl IpLink {
    fn of(interface: &str) -> Self {
        Self(ip_says(&format!("-details link show dev {interface}")).unwrap())
    }

    /// The word after this one.
    fn after(&self, word: &str) -> &str {
        let mut words = self.0.split_whitespace();
        words.find(|&reported| reported == word);
        words.next().unwrap()
    }

    fn number(&self, word: &str) -> u32 {
        self.after(word).parse().unwrap()
    }

    fn index(&self) -> u32 {
        self.0.split_once(':').unwrap().0.parse().unwrap()
    }

    /// Whether the flag is between the angle brackets.
    fn has(&self, flag: &str) -> bool {
        let (_, rest) = self.0.split_once('<').unwrap();
        let (flags, _) = rest.split_once('>').unwrap();
        flags.split(',').any(|reported| reported == flag)
    }

    fn address(&self) -> [u8; 6] {
        let parts = self.after("link/ether").split(':');
        let bytes: Vec<_> = parts
            .map(|part| u8::from_str_radix(part, 16).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }
}

const FLAGS: [(&str, u32); 6] = [
    ("UP", 1),
    ("BROADCAST", 1 << 1),
    ("LOOPBACK", 1 << 3),
    ("PROMISC", 1 << 8),
    ("MULTICAST", 1 << 12),
    ("LOWER_UP", 1 << 16),
];

fn agree(interface: &str) -> Interface {
    let (ours, reported) = (
        Interface::by_name(interface).unwrap(),
        IpLink::of(interface),
    );
    for (name, bit) in FLAGS {
        assert_eq!(
            ours.flags & bit != 0,
            reported.has(name),
            "{name} of {reported:?}"
        );
    }
    assert_eq!(
        (ours.index, ours.mtu),
        (reported.index(), reported.number("mtu")),
        "{reported:?}"
    );
    assert_eq!(ours.is_up(), reported.has("UP") && reported.has("LOWER_UP"));
    assert_eq!(ours.is_loopback(), reported.has("LOOPBACK"));
    assert_eq!(Interface::by_index(ours.index).unwrap().name, interface);
    ours
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_flags_mtu_and_queues_are_those_of_the_namespace() {
    let _ns = Netns::enter().unwrap();
    let lo = agree("lo");
    assert_eq!(lo.hardware_type, ARPHRD_LOOPBACK);
    ip("link set dev lo down").unwrap();
    assert!(!agree("lo").is_up());

    ip("link add name a mtu 1300 numrxqueues 3 numtxqueues 2 type veth peer name b").unwrap();
    let reported = IpLink::of("a");
    let a = agree("a");
    assert_eq!(
        (
            reported.number("numrxqueues"),
            reported.number("numtxqueues")
        ),
        (3, 2)
    );
    assert_eq!((a.rx_queues, a.tx_queues), (3, 2));
    assert_eq!(
        (a.address, a.hardware_type),
        (Some(reported.address()), ARPHRD_ETHER)
    );
    assert_eq!(a.link_type(), LinkType::ETHERNET);
    for change in [
        "a up",
        "b up",
        "a promisc on",
        "a mtu 9000",
        "b down",
        "a down",
    ] {
        ip(&format!("link set dev {change}")).unwrap();
        agree("a");
        agree("b");
    }
}

/// A driver allocates as many queues as it may ever need, and uses fewer: veth allocates one per
/// processor and uses one.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_queues_are_those_in_use() {
    let _ns = Netns::enter().unwrap();
    ip("link add name a type veth peer name b").unwrap();
    let made = thread::available_parallelism().unwrap().get() as u32;
    if made > 1 {
        assert!(IpLink::of("a").number("numrxqueues") > 1);
    }
    let a = Interface::by_name("a").unwrap();
    assert_eq!((a.rx_queues, a.tx_queues), (1, 1));
}

/// The same name is a different interface in another namespace; the thread's own is used.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s24_a_name_is_looked_up_in_the_namespace_of_the_thread() {
    let _ns = Netns::enter().unwrap();
    ip("link add name a mtu 1400 type veth peer name b").unwrap();
    let there = Netns::new().unwrap();
    let mtu = there.run(|| {
        ip("link add name a mtu 1300 type veth peer name b")?;
        Ok(agree("a").mtu)
    });
    assert_eq!((mtu.unwrap(), agree("a").mtu), (1300, 1400));
    there.take("b").unwrap_err();
    ip("link del dev a").unwrap();
    assert!(matches!(
        Interface::by_name("a"),
        Err(Error::NoSuchInterface { .. })
    ));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_counters_of_an_interface_are_those_of_the_wire() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    for n in 0..10 {
        sender.send(&numbered(n, 100)).unwrap();
    }
    let (a, b) = (
        Interface::by_name("a").unwrap(),
        Interface::by_name("b").unwrap(),
    );
    assert_eq!((a.counters.rx_packets, a.counters.rx_bytes), (10, 1000));
    assert_eq!((b.counters.tx_packets, b.counters.tx_bytes), (10, 1000));
    assert_eq!((a.counters.tx_packets, b.counters.rx_packets), (0, 0));
    // Nothing is sent to an end that is down.
    ip("link set dev a down").unwrap();
    assert_eq!(Interface::by_name("a").unwrap().counters.rx_packets, 10);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_waiter_takes_the_error_off_the_socket_and_reports_once() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let a = Interface::by_name("a").unwrap();
    let socket = syscall::packet_socket().unwrap();
    let mut waiter = Waiter::new(socket.as_fd(), &a).unwrap();
    syscall::bind_packet(socket.as_fd(), a.index, ETH_P_ALL).unwrap();
    let readable = |waiter: &Waiter| {
        let none = Duration::from_millis(50);
        syscall::poll_readable(waiter.as_fd(), Some(none)).unwrap()
    };
    // The kernel may announce more about it, but nothing that is reported, and then it is silent.
    let quiet = |waiter: &mut Waiter| {
        wait_until("silence", Duration::from_secs(2), || {
            let news = readable(waiter);
            waiter.take_news(socket.as_fd()).unwrap();
            waiter.report().unwrap();
            !news
        });
    };
    // The first news is the current state of the interface.
    assert!(readable(&waiter));
    waiter.take_news(socket.as_fd()).unwrap();
    waiter.report().unwrap();
    quiet(&mut waiter);

    ip("link set dev a down").unwrap();
    assert!(readable(&waiter));
    waiter.take_news(socket.as_fd()).unwrap();
    assert_eq!(syscall::take_socket_error(socket.as_fd()).unwrap(), 0);
    // News is kept until it is reported, whatever is queried in between.
    waiter.take_news(socket.as_fd()).unwrap();
    assert!(matches!(waiter.report(), Err(Error::LinkDown { interface, .. }) if interface == "a"));
    waiter.report().unwrap();
    quiet(&mut waiter);
    assert_eq!(
        (waiter.link_downs(), waiter.is_removed()),
        (Count::Exact(1), false)
    );

    ip("link del dev a").unwrap();
    assert!(readable(&waiter));
    waiter.take_news(socket.as_fd()).unwrap();
    for _ in 0..2 {
        assert!(matches!(
            waiter.report(),
            Err(Error::InterfaceRemoved { .. })
        ));
    }
    assert!(waiter.is_removed());
}

/// The kernel drops notifications that nobody reads; the state of the interface is then queried
/// again.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_waiter_that_lost_notifications_learns_how_the_interface_stands() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let a = Interface::by_name("a").unwrap();
    let socket = syscall::packet_socket().unwrap();
    let mut waiter = Waiter::new(socket.as_fd(), &a).unwrap();
    // More than its socket holds, about another interface; then ours goes down.
    let batch: String = (0..2000)
        .map(|n| format!("link set dev b mtu {}\n", 1000 + n % 2))
        .collect();
    ip_batch(&batch).unwrap();
    ip("link set dev a down").unwrap();

    let mut reported = 0;
    for _ in 0..5 {
        syscall::poll_readable(waiter.as_fd(), Some(Duration::from_millis(50))).unwrap();
        waiter.take_news(socket.as_fd()).unwrap();
        reported += u32::from(waiter.report().is_err());
    }
    // Among the lost ones it may have gone down and come up.
    assert_eq!((reported, waiter.link_downs()), (1, Count::AtLeast(1)));
}

/// The kernel's own test of its ring, `psock_tpacket`, version 3, receive: the header of each
/// block, with the words that a capture does not expose.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn psock_tpacket_v3_rx_block_headers() {
    const BLOCK: usize = 4096;
    const BLOCKS: usize = 64;
    let _ns = Netns::enter().unwrap();
    let lo = Interface::by_name("lo").unwrap();
    let socket = syscall::packet_socket().unwrap();
    syscall::set_packet_version(socket.as_fd(), TPACKET_V3).unwrap();
    let request = tpacket_req3 {
        tp_block_size: BLOCK as u32,
        tp_block_nr: BLOCKS as u32,
        tp_frame_size: 2048,
        tp_frame_nr: (BLOCKS * BLOCK / 2048) as u32,
        tp_retire_blk_tov: 10,
        ..tpacket_req3::default()
    };
    syscall::set_packet_rx_ring(socket.as_fd(), &request).unwrap();
    let map = Mmap::shared(socket.as_fd(), BLOCK * BLOCKS).unwrap();
    syscall::set_packet_ignore_outgoing(socket.as_fd(), true).unwrap();
    syscall::bind_packet(socket.as_fd(), lo.index, ETH_P_ALL).unwrap();
    let (from, to) = (udp(), udp());
    for n in 0..100 {
        from.send_to(&vec![n as u8; 100 + n], to.local_addr().unwrap())
            .unwrap();
    }

    let (mut packets, mut index) = (0, 0);
    while packets < 100 {
        let status = map
            .atomic_u32(index * BLOCK + offset_of!(tpacket_block_desc, block_status))
            .unwrap();
        wait_until("the next block", Duration::from_secs(2), || {
            status.load(Ordering::Acquire) & TP_STATUS_USER != 0
        });
        // SAFETY: the mapping is this test's; the status says that the kernel is done with the
        // block, which is not returned before the slice is gone; `bytes` checks the range.
        let block = unsafe { map.bytes(index * BLOCK, BLOCK) }.unwrap();
        let word = |at: usize| u32::from_ne_bytes(*block[at..].first_chunk().unwrap()) as usize;
        let sequence = u64::from_ne_bytes(
            *block[offset_of!(tpacket_block_desc, seq_num)..]
                .first_chunk()
                .unwrap(),
        );
        assert_eq!(sequence, index as u64 + 1);
        let mut at = word(offset_of!(tpacket_block_desc, offset_to_first_pkt));
        let mut used = at;
        assert_eq!(at, size_of::<tpacket_block_desc>());
        let count = word(offset_of!(tpacket_block_desc, num_pkts));
        for n in 0..count {
            let field = |offset: usize| word(at + offset);
            let len = field(offset_of!(tpacket3_hdr, tp_snaplen));
            let mac = usize::from(u16::from_ne_bytes(
                *block[at + offset_of!(tpacket3_hdr, tp_mac)..]
                    .first_chunk()
                    .unwrap(),
            ));
            let next = field(offset_of!(tpacket3_hdr, tp_next_offset));
            assert_eq!(
                block[at + mac + 42..at + mac + len],
                vec![packets as u8; 100 + packets]
            );
            assert_eq!(field(offset_of!(tpacket3_hdr, tp_len)), len);
            let room = (mac + len).next_multiple_of(8);
            assert_eq!(next, if n + 1 < count { room } else { 0 });
            (used, at, packets) = (used + room, at + next, packets + 1);
        }
        assert_eq!(word(offset_of!(tpacket_block_desc, blk_len)), used);
        status.store(TP_STATUS_KERNEL, Ordering::Release);
        index += 1;
    }
    assert!(index >= 5, "{index} blocks");
    let counted = syscall::packet_statistics(socket.as_fd()).unwrap();
    assert_eq!(
        (
            counted.tp_packets,
            counted.tp_drops,
            counted.tp_freeze_q_cnt
        ),
        (100, 0, 0)
    );
}

fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// veth reports that it has no zero-copy mode, and which metadata it offers. An interface that does
/// not exist is an error.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_a_driver_does_for_xdp_sockets_is_asked_for_by_index() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let of = |name| {
        let index = Interface::by_name(name).unwrap().index;
        XdpFeatures::of(index).unwrap().unwrap()
    };
    let mut veth = of("v0");
    // The metadata that its driver offers (kernel 6.7); that of lo offers none.
    let metadata = veth.metadata.take().unwrap();
    assert!(
        metadata.timestamp && metadata.hash && metadata.vlan,
        "{metadata:?}"
    );
    let mut expected = XdpFeatures::default();
    (
        expected.native,
        expected.redirect,
        expected.receive_segments,
    ) = (true, true, true);
    assert_eq!(veth, expected);
    assert_eq!(of("lo").metadata, Some(XdpMetadata::default()));
    let gone = XdpFeatures::of(12345).unwrap_err();
    assert!(gone.is_no_device(), "{gone}");
}
