//! What veth's driver knows of a packet, as the program writes it in front of the packet.
#![expect(clippy::unwrap_used, reason = "functions that serve tests")]

use super::plain;

use std::os::fd::AsFd;
use std::time::Duration;

use netring_sys::{Error, Interface, VlanTag, XdpMode};
use netring_xdp::SockFilter;
use netring_xdp::program::{AttachMode, Attachment, Metadata, Program};
use plain::Plain;
use xtask::netns::{Netns, bridge, ip, veth};
use xtask::wire::{Sender, numbered, udp4};

/// A program with metadata on `v0`, and the socket of its queue.
fn attached() -> (Attachment, Plain) {
    let v0 = Interface::by_name("v0").unwrap();
    let program = Program::redirect().metadata(&v0).load().unwrap();
    let mut attachment = program.attach(&v0, AttachMode::BestAvailable).unwrap();
    assert_eq!(attachment.mode(), XdpMode::Native);
    let socket = Plain::bind(&v0, 0, 1024);
    attachment.set_socket(0, socket.as_fd()).unwrap();
    (attachment, socket)
}

fn receive(socket: &mut Plain) -> (Option<Metadata>, Vec<u8>) {
    let (before, packet) = socket
        .receive_with(Metadata::LEN, Duration::from_secs(2))
        .unwrap();
    (Metadata::read(before.first_chunk().unwrap()), packet)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_hash_of_a_flow_is_the_same_for_all_its_packets_and_another_for_others() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (attachment, mut socket) = attached();
    let sender = Sender::on("v1").unwrap();
    let mut hashes = Vec::new();
    for flow in 0..32 {
        for packet in 0..3 {
            let frame = udp4(1000 + flow, 2000, &[packet; 40]);
            sender.send(&frame).unwrap();
            let (metadata, received) = receive(&mut socket);
            assert_eq!(received, frame);
            let metadata = metadata.unwrap();
            assert_eq!(
                (metadata.vlan, metadata.timestamp),
                (None, None),
                "veth has none for this frame"
            );
            hashes.push(metadata.hash.unwrap());
        }
    }
    assert!(
        hashes
            .chunks(3)
            .all(|flow| flow[0] == flow[1] && flow[1] == flow[2])
    );
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 32, "a hash for each flow");
    let total = attachment.counters_total().unwrap().unwrap();
    assert_eq!((total.redirected, total.offered()), (96, 96));
}

/// S13 at its root: the kernel takes the tag out of the bytes, and only the metadata still contains
/// it.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_a_tag_that_is_not_in_the_bytes_is_in_the_metadata() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    // The stack takes the tag out of the bytes when the bridge's port receives the frame, and veth
    // passes it on beside them.
    bridge("br0", &["v1", "w1"]).unwrap();
    let (_attachment, mut socket) = attached();
    let sender = Sender::on("w0").unwrap();
    for (tpid, tci) in [(0x8100, 3 << 13 | 5), (0x88a8, 77), (0x8100, 0)] {
        let plain = numbered(7, 100);
        let mut tagged = plain.clone();
        let [t0, t1] = u16::to_be_bytes(tpid);
        let [c0, c1] = u16::to_be_bytes(tci);
        tagged.splice(12..12, [t0, t1, c0, c1]);
        sender.send(&tagged).unwrap();
        let (metadata, received) = receive(&mut socket);
        assert_eq!(received, plain, "without a tag in it");
        assert_eq!(metadata.unwrap().vlan, Some(VlanTag { tpid, tci }));
        // What is sent with the tag in its bytes keeps it there.
        Sender::on("v1").unwrap().send(&tagged).unwrap();
        let (metadata, received) = receive(&mut socket);
        assert_eq!((metadata.unwrap().vlan, received), (None, tagged));
    }
}

/// The driver is asked only about packets that match the filter.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x21_a_filter_chooses_before_the_driver_is_asked() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    for multi_buffer in [false, true] {
        // `ether[37] = 53`, a port below 256.
        let filter = [
            SockFilter::stmt(0x30, 37),
            SockFilter::jump(0x15, 53, 0, 1),
            SockFilter::stmt(0x06, u32::MAX),
            SockFilter::stmt(0x06, 0),
        ];
        let program = Program::redirect().multi_buffer(multi_buffer).metadata(&v0);
        let program = program.filter(filter).load().unwrap();
        let mut attachment = program.attach(&v0, AttachMode::Native).unwrap();
        let mut socket = Plain::bind(&v0, 0, 1024);
        attachment.set_socket(0, socket.as_fd()).unwrap();
        let sender = Sender::on("v1").unwrap();
        for n in 0..20 {
            for port in [54, 53] {
                sender.send(&udp4(1000, port, &[n; 40])).unwrap();
            }
            let (metadata, received) = receive(&mut socket);
            assert_eq!(received, udp4(1000, 53, &[n; 40]));
            assert!(metadata.unwrap().hash.is_some());
        }
        let total = attachment.counters_total().unwrap().unwrap();
        assert_eq!(
            (total.redirected, total.passed, total.offered()),
            (20, 20, 40)
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_length_and_several_buffers_get_metadata() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    for multi_buffer in [false, true] {
        let program = Program::redirect()
            .metadata(&v0)
            .multi_buffer(multi_buffer)
            .queues(1);
        let listing = program.listing();
        assert_eq!(listing.matches("call kfunc#").count(), 3, "{listing}");
        let mut attachment = program
            .load()
            .unwrap()
            .attach(&v0, AttachMode::Native)
            .unwrap();
        let mut socket = Plain::bind(&v0, 0, 1024);
        attachment.set_socket(0, socket.as_fd()).unwrap();
        let sender = Sender::on("v1").unwrap();
        for len in (60..1514).step_by(50) {
            sender.send(&numbered(len, len as usize)).unwrap();
            let (metadata, received) = receive(&mut socket);
            assert_eq!(received, numbered(len, len as usize));
            assert!(metadata.unwrap().hash.is_some());
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_cannot_have_metadata_is_an_error() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (v0, v1) = (
        Interface::by_name("v0").unwrap(),
        Interface::by_name("v1").unwrap(),
    );
    let load = || Program::redirect().metadata(&v0).load().unwrap();
    // Bound to one interface, it attaches to no other.
    let error = load()
        .attach(&v1, AttachMode::BestAvailable)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is bound to the interface with index"),
        "{error}"
    );
    // Generic mode has no driver to ask: it is no fallback, and an explicit request is refused.
    let error = load().attach(&v0, AttachMode::Generic).unwrap_err();
    assert!(
        matches!(&error, Error::Syscall(failed) if failed.call == "bpf(BPF_LINK_CREATE)"),
        "{error}"
    );
    ip("link set v1 mtu 9000").unwrap();
    let error = load().attach(&v0, AttachMode::BestAvailable).unwrap_err();
    assert!(error.to_string().contains("3506"), "{error}");
    let lo = Interface::by_name("lo").unwrap();
    let refused = Program::redirect()
        .metadata(&lo)
        .load()
        .and_then(|program| program.attach(&lo, AttachMode::BestAvailable));
    assert!(matches!(refused, Err(Error::Syscall(_))), "{refused:?}");
    let error = Program::redirect()
        .metadata(&v0)
        .object()
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be an object"), "{error}");
    let mut program = load();
    assert!(program.fd().is_ok());
    assert!(matches!(program.xdp_mut(), Err(Error::Config { .. })));
    ip("link del v0").unwrap();
    let error = Program::redirect().metadata(&v0).load().unwrap_err();
    assert!(matches!(error, Error::Syscall(_)), "{error}");
}

/// A bound program owns its link: foreign programs are as safe from it, and it is detached as
/// reliably.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x13_a_bound_program_is_refused_over_another_and_goes_when_it_is_dropped() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let (attachment, _socket) = attached();
    let id = attachment.program_id();
    for bound in [false, true] {
        let shape = Program::redirect();
        let shape = if bound { shape.metadata(&v0) } else { shape };
        let error = shape
            .load()
            .unwrap()
            .attach(&v0, AttachMode::BestAvailable)
            .unwrap_err();
        assert!(
            matches!(&error, Error::ProgramInTheWay { id: reported, name: Some(name), .. } if *reported == id && name == "netring_redirec"),
            "{error}"
        );
    }
    assert!(attachment.is_attached().unwrap());
    drop(attachment);
    assert_eq!(Interface::by_name("v0").unwrap().xdp, None);
}
