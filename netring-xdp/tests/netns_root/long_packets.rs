//! Packets longer than a chunk: what the MTU allows, and what offloads assemble. A capture holds
//! them, or reports which it cannot hold.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::common;

use std::os::fd::AsFd;
use std::time::Duration;

use common::MODES;
use common::attached::interface;
use common::capture::{builder, take};
use netring_sys::{Count, Error, PacketBatch, PacketSource, Timed, XdpMode, syscall};
use netring_xdp::program::aya::{Ebpf, maps::XskMap, programs::Xdp};
use netring_xdp::program::{AttachMode, Program};
use netring_xdp::{Mode, XdpCapture};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, numbered, segmenting};

const SILENCE: Duration = Duration::from_millis(200);

/// A pair of interfaces with this MTU.
fn pair(mtu: u32) {
    veth("v0", "v1").unwrap();
    for end in ["v0", "v1"] {
        ip(&format!("link set {end} mtu {mtu}")).unwrap();
    }
}

/// Everything that arrives until nothing more comes.
fn all(capture: &mut XdpCapture) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let Timed::Batch(batch) = capture.next_batch_timeout(SILENCE).unwrap() {
        packets.extend(batch.packets().map(|packet| packet.data().to_vec()));
    }
    packets
}

/// Checks that exactly this many were offered, delivered and dropped.
#[track_caller]
fn counts(capture: &mut XdpCapture, [offered, delivered, dropped]: [u64; 3]) {
    let stats = capture.stats().unwrap();
    let reported = [stats.offered, stats.delivered, stats.dropped];
    assert_eq!(reported, [offered, delivered, dropped].map(Count::Exact));
}

/// Every length that the interface carries, sent before the first packet is read.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_holds_every_packet_of_a_large_mtu_by_default() {
    for mode in [
        AttachMode::BestAvailable,
        AttachMode::Native,
        AttachMode::Generic,
    ] {
        for mtu in [1775, 3506, 3507, 3822, 3823, 9000, 65_535] {
            let _ns = Netns::enter().unwrap();
            pair(mtu);
            let open = || XdpCapture::builder().interface("v0").attach_mode(mode);
            let mut capture = open().build().unwrap();
            let expected = if mode == AttachMode::Generic {
                Mode::GenericCopy
            } else {
                Mode::NativeCopy
            };
            assert_eq!(capture.mode(), expected, "MTU {mtu}");
            let longest = mtu as usize + 14;
            let len = |n: u64| 60 + (n as usize * 7919) % (longest - 59);
            let count = if mtu > 9000 { 50 } else { 1000 };
            let sender = Sender::on("v1").unwrap();
            for n in 0..count {
                let len = if n == 0 { longest } else { len(n) };
                sender.send(&numbered(n, len)).unwrap();
            }
            let mut next = 0;
            take(&mut capture, count, |packet| {
                let len = if next == 0 { longest } else { len(next) };
                assert_eq!(packet, numbered(next, len), "MTU {mtu}, frame {next}");
                next += 1;
            });
            counts(&mut capture, [count, count, 0]);
        }
    }
}

/// A driver accepts no offloaded packet while it runs a program; a generic program gets it whole,
/// whatever the MTU.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn offloaded_packets_are_segments_in_native_mode_and_whole_in_generic_mode() {
    for mode in [AttachMode::Native, AttachMode::Generic] {
        for mtu in [1500, 9000] {
            let _ns = Netns::enter().unwrap();
            pair(mtu);
            ip("addr add 10.0.0.1/24 dev v1").unwrap();
            ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v1").unwrap();
            let open = || XdpCapture::builder().interface("v0").attach_mode(mode);
            let mut capture = open().build().unwrap();
            let socket = segmenting(1000).unwrap();
            for n in 0..20 {
                socket.send_to(&[n; 40_000], "10.0.0.2:9").unwrap();
            }
            let packets = all(&mut capture);
            let (count, len) = match mode {
                AttachMode::Generic => (20, 40_000),
                _ => (800, 1000),
            };
            assert_eq!(packets.len(), count as usize, "{mode:?}, MTU {mtu}");
            for (n, packet) in packets.iter().enumerate() {
                let payload = vec![(n * len / 40_000) as u8; len];
                assert_eq!(packet[42..], payload, "{mode:?}, MTU {mtu}, packet {n}");
            }
            counts(&mut capture, [count, count, 0]);
        }
    }
}

/// The driver of the loopback interface cannot run a program: generic mode is opened instead, with
/// room for every packet.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_that_falls_back_to_generic_mode_holds_offloaded_packets() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo mtu 1500").unwrap();
    let mut capture = XdpCapture::open("lo").unwrap();
    assert_eq!(capture.mode(), Mode::GenericCopy);
    assert!(matches!(capture.why_not_native(), Some(Error::Syscall(_))));
    let socket = segmenting(1000).unwrap();
    for n in 0..20 {
        socket.send_to(&[n; 60_000], "127.0.0.1:9").unwrap();
    }
    let packets = all(&mut capture);
    let lengths: Vec<_> = packets.iter().map(Vec::len).collect();
    assert_eq!(lengths, [60_042; 20]);
    counts(&mut capture, [20, 20, 0]);
}

/// Captures with the user's own program, or with a foreign one, hold as much.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_by_another_program_holds_what_generic_mode_brings() {
    for foreign in [false, true] {
        let _ns = Netns::enter().unwrap();
        pair(1500);
        ip("addr add 10.0.0.1/24 dev v1").unwrap();
        ip("neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev v1").unwrap();
        let open = XdpCapture::builder().interface("v0");
        let open = open.attach_mode(AttachMode::Generic);
        let mut link = None;
        let mut capture = if foreign {
            let object = Program::redirect().object().unwrap();
            let mut theirs = Ebpf::load(&object).unwrap();
            let sockets = XskMap::try_from(theirs.take_map("netring_xsks").unwrap()).unwrap();
            let program = theirs.program_mut("netring_redirect").unwrap();
            let program: &mut Xdp = program.try_into().unwrap();
            program.load().unwrap();
            let (fd, v0) = (program.fd().unwrap(), interface("v0").index);
            link = Some(syscall::bpf_link_xdp(fd.as_fd(), v0, XdpMode::Generic).unwrap());
            open.sockets(sockets.into()).build().unwrap()
        } else {
            let program = Program::redirect().load().unwrap();
            open.program(program).build().unwrap()
        };
        let socket = segmenting(1000).unwrap();
        socket.send_to(&[7; 40_000], "10.0.0.2:9").unwrap();
        let packets = all(&mut capture);
        assert_eq!(packets.len(), 1, "foreign: {foreign}");
        assert_eq!(packets[0][42..], [7; 40_000]);
        assert_eq!(capture.stats().unwrap().dropped, Count::Exact(0));
        drop(link);
    }
}

/// Without multi-buffer, packets that do not fit are counted, each once, and the capture reports
/// what fits.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_without_multi_buffer_says_what_it_holds_and_counts_the_rest() {
    let _ns = Netns::enter().unwrap();
    pair(9000);
    let open = XdpCapture::builder().interface("v0").multi_buffer(false);
    let mut capture = open.attach_mode(AttachMode::Generic).build().unwrap();
    assert_eq!(capture.longest(), Some(3840));
    let sender = Sender::on("v1").unwrap();
    for n in 0..1000 {
        sender.send(&numbered(n, 60 + 8 * n as usize)).unwrap();
    }
    // 60 + 8 × 472 = 3836 bytes is the longest that fits.
    let packets = all(&mut capture);
    assert_eq!(packets.len(), 473);
    for (n, packet) in packets.iter().enumerate() {
        assert_eq!(*packet, numbered(n as u64, 60 + 8 * n));
    }
    counts(&mut capture, [1000, 473, 527]);
}

/// The MTU is raised while a capture runs: nothing is lost uncounted, and the capture reports what
/// fits.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn packets_of_an_mtu_that_was_raised_later_are_counted_where_they_do_not_fit() {
    for mode in MODES {
        let _ns = Netns::enter().unwrap();
        pair(1500);
        let mut capture = builder(mode).build().unwrap();
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} mtu 3400")).unwrap();
        }
        let sender = Sender::on("v1").unwrap();
        for n in 0..20 {
            let len = if n % 2 == 0 { 3414 } else { 100 };
            sender.send(&numbered(n, len)).unwrap();
        }
        let packets = all(&mut capture);
        if mode == AttachMode::Generic {
            assert_eq!((capture.longest(), packets.len()), (None, 20));
            counts(&mut capture, [20, 20, 0]);
        } else {
            assert_eq!((capture.longest(), packets.len()), (Some(1792), 10));
            counts(&mut capture, [20, 10, 10]);
        }
    }
}

/// The driver of veth checks the MTU of the other end; up to 3506 bytes, a packet fits in one page.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_driver_that_refuses_the_mtu_is_explained_with_both_figures_and_the_way_out() {
    for (mtu, other) in [(3507, 3507), (9000, 9000), (1500, 9000)] {
        let _ns = Netns::enter().unwrap();
        pair(mtu);
        ip(&format!("link set v1 mtu {other}")).unwrap();
        let open = || XdpCapture::builder().interface("v0").multi_buffer(false);
        let native = || open().attach_mode(AttachMode::Native);
        let refused = native().build().unwrap_err().to_string();
        let figure = format!("MTU of {mtu}");
        for word in ["v0", &figure, "3506", "multi_buffer"] {
            assert!(refused.contains(word), "{word}: {refused}");
        }
        // The best that remains is generic mode, with the same reason.
        let capture = open().build().unwrap();
        assert_eq!(capture.mode(), Mode::GenericCopy);
        assert_eq!(capture.why_not_native().unwrap().to_string(), refused);
        drop(capture);
        // The advice in the error works: it is the default.
        let way_out = XdpCapture::builder().interface("v0").build().unwrap();
        assert_eq!(way_out.mode(), Mode::NativeCopy);
        drop(way_out);
        // So does the alternative.
        for end in ["v0", "v1"] {
            ip(&format!("link set {end} mtu 3506")).unwrap();
        }
        let capture = native().build().unwrap();
        assert_eq!(capture.longest(), Some(3840));
        drop(capture);
        // So does a program that is loaded and attached separately.
        ip("link set v1 mtu 9000").unwrap();
        let v0 = interface("v0");
        let attach = |several| {
            let program = Program::redirect().multi_buffer(several).load().unwrap();
            program.attach(&v0, AttachMode::Native)
        };
        let refused = attach(false).unwrap_err().to_string();
        assert!(refused.contains("3506"), "{refused}");
        drop(attach(true).unwrap());
    }
}

/// A driver with fewer receive queues than the other end has transmit queues.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_driver_that_has_too_few_queues_is_explained() {
    let _ns = Netns::enter().unwrap();
    ip("link add name v0 numrxqueues 1 numtxqueues 1 type veth peer name v1 numrxqueues 2 numtxqueues 2").unwrap();
    for end in ["v0", "v1"] {
        ip(&format!("link set {end} up")).unwrap();
    }
    let open = || XdpCapture::builder().interface("v0");
    let refused = open().attach_mode(AttachMode::Native).build().unwrap_err();
    let refused = refused.to_string();
    for word in ["v0", "queues", "ethtool -L"] {
        assert!(refused.contains(word), "{word}: {refused}");
    }
    let capture = open().build().unwrap();
    assert_eq!(capture.mode(), Mode::GenericCopy);
    assert_eq!(capture.longest(), None);
}
