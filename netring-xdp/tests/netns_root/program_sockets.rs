//! Packets that a program redirects to sockets: each is where the counters say.
#![expect(clippy::unwrap_used, reason = "functions that serve tests")]

use super::plain;

use std::os::fd::AsFd;
use std::time::Duration;

use netring_sys::kernel::bpf::{XDP_REDIRECT, xdp_md};
use netring_sys::{Error, Interface, syscall};
use netring_xdp::program::{AttachMode, Attachment, Counters, DefaultAction, Program};
use plain::Plain;
use xtask::netns::{Netns, veth, veth_with_queues};
use xtask::wire::{Sender, Sniffer, numbered, udp4};

const SOON: Duration = Duration::from_secs(2);

fn counters(redirected: u64, missed: u64) -> Counters {
    let mut counters = Counters::default();
    (counters.redirected, counters.missed) = (redirected, missed);
    counters
}

fn total(attachment: &Attachment) -> Counters {
    attachment.counters_total().unwrap().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_goes_to_the_socket_of_its_queue_and_to_no_other() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 4).unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let socket = syscall::xdp_socket().unwrap();
    for otherwise in [DefaultAction::Pass, DefaultAction::Drop] {
        let mut program = Program::redirect()
            .queues(4)
            .default_action(otherwise)
            .load()
            .unwrap();
        let fd = program.fd().unwrap().try_clone_to_owned().unwrap();
        let run = |queue| {
            let frame = numbered(0, 60);
            let context = xdp_md {
                data_end: 60,
                ingress_ifindex: v0.index,
                rx_queue_index: queue,
                ..xdp_md::default()
            };
            syscall::bpf_test_xdp(fd.as_fd(), &frame, context)
                .unwrap()
                .0
        };
        program.sockets_mut().set(2, socket.as_fd()).unwrap();
        let verdicts: Vec<u32> = (0..4).map(run).collect();
        let else_ = otherwise as u32;
        assert_eq!(verdicts, [else_, else_, XDP_REDIRECT, else_]);
        program.sockets_mut().clear(2).unwrap();
        program.sockets_mut().clear(2).unwrap();
        assert_eq!(run(2), else_);
        for queue in [4, u32::MAX] {
            let error = program
                .sockets_mut()
                .set(queue, socket.as_fd())
                .unwrap_err();
            assert!(error.to_string().contains("the queues 0 to 3"), "{error}");
            assert!(program.sockets_mut().clear(queue).is_err());
        }
        let attachment = program.attach(&v0, AttachMode::Generic).unwrap();
        let of = |queue| attachment.counters(queue).unwrap().unwrap();
        assert_eq!(
            [of(0), of(1), of(2), of(3)],
            [(0, 1), (0, 1), (1, 1), (0, 1)].map(|(r, m)| counters(r, m))
        );
        assert_eq!(total(&attachment), counters(1, 4));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn what_is_no_af_xdp_socket_is_refused() {
    let _ns = Netns::enter().unwrap();
    let mut program = Program::redirect().load().unwrap();
    let packet = syscall::packet_socket().unwrap();
    let event = syscall::event().unwrap();
    for other in [packet.as_fd(), event.as_fd()] {
        let error = program.sockets_mut().set(0, other).unwrap_err();
        let reported = "bpf(BPF_MAP_UPDATE_ELEM)";
        assert!(
            matches!(&error, Error::Syscall(failed) if failed.call == reported),
            "{error}"
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn on_a_wire_every_frame_reaches_the_socket_as_it_was_sent() {
    const FRAMES: u64 = 900;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let sender = Sender::on("v1").unwrap();
    let sniffer = Sniffer::on("v0").unwrap();
    for mode in [AttachMode::Native, AttachMode::Generic] {
        let mut attachment = Program::redirect()
            .load()
            .unwrap()
            .attach(&v0, mode)
            .unwrap();
        let mut socket = Plain::bind(&v0, 0, 1024);
        attachment.set_socket(0, socket.as_fd()).unwrap();
        for number in 0..FRAMES {
            let frame = numbered(number, 60 + number as usize * 7 % 1400);
            sender.send(&frame).unwrap();
            assert_eq!(
                socket.receive(SOON).as_ref(),
                Some(&frame),
                "{number} {mode:?}"
            );
        }
        assert_eq!(total(&attachment), counters(FRAMES, 0), "{mode:?}");
        assert_eq!(socket.statistics().rx_dropped, 0);
        assert_eq!(
            sniffer.receive(Duration::from_millis(50)).unwrap(),
            None,
            "the host saw none"
        );

        // Without its socket, the queue belongs to the kernel again.
        attachment.clear_socket(0).unwrap();
        sender.send(&numbered(1, 60)).unwrap();
        assert_eq!(sniffer.receive(SOON).unwrap(), Some(numbered(1, 60)));
        attachment.set_socket(0, socket.as_fd()).unwrap();
        sender.send(&numbered(2, 60)).unwrap();
        assert_eq!(socket.receive(SOON), Some(numbered(2, 60)));
        // A closed socket leaves the map by itself. A child that another test is starting may hold
        // it a moment longer; each frame goes to one of the two.
        drop(socket);
        let mut sent = 0;
        let seen = (0..20).any(|_| {
            sent += 1;
            sender.send(&numbered(3, 60)).unwrap();
            sniffer.receive(Duration::from_millis(500)).unwrap() == Some(numbered(3, 60))
        });
        assert!(seen, "the host sees frames again");
        let swallowed = sent - 1;
        assert_eq!(
            total(&attachment),
            counters(FRAMES + 1 + swallowed, 2),
            "{mode:?}"
        );
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn redirected_is_received_or_in_the_counters_of_the_socket() {
    const FRAMES: u64 = 250;
    const CHUNKS: u64 = 100;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let sender = Sender::on("v1").unwrap();
    for mode in [AttachMode::Native, AttachMode::Generic] {
        let mut attachment = Program::redirect()
            .load()
            .unwrap()
            .attach(&v0, mode)
            .unwrap();
        let mut socket = Plain::bind(&v0, 0, CHUNKS as u32);
        attachment.set_socket(0, socket.as_fd()).unwrap();
        for number in 0..FRAMES {
            sender.send(&numbered(number, 60)).unwrap();
        }
        for number in 0..CHUNKS {
            assert_eq!(socket.receive(SOON), Some(numbered(number, 60)));
        }
        assert_eq!(socket.receive(Duration::from_millis(50)), None);
        assert_eq!(socket.statistics().rx_dropped, FRAMES - CHUNKS, "{mode:?}");
        assert_eq!(total(&attachment), counters(FRAMES, 0), "{mode:?}");
    }
}

/// X15 at its root: packets of a queue that nobody serves are counted, so it cannot pass for an
/// idle link.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn x15_queues_without_a_socket_are_counted() {
    const FRAMES: u64 = 1000;
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 4).unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let sender = Sender::on("v1").unwrap();
    let program = Program::redirect()
        .queues(4)
        .default_action(DefaultAction::Drop)
        .load()
        .unwrap();
    let mut attachment = program.attach(&v0, AttachMode::Native).unwrap();
    let mut socket = Plain::bind(&v0, 1, 1024);
    attachment.set_socket(1, socket.as_fd()).unwrap();
    let mut received = 0;
    for number in 0..FRAMES {
        sender
            .send(&udp4(1, (number % 64) as u16, &number.to_be_bytes()))
            .unwrap();
        while socket.receive(Duration::ZERO).is_some() {
            received += 1;
        }
    }
    while socket.receive(Duration::from_millis(200)).is_some() {
        received += 1;
    }
    assert_eq!(total(&attachment), counters(received, FRAMES - received));
    assert_eq!(
        attachment.counters(1).unwrap().unwrap(),
        counters(received, 0)
    );
    assert!(
        received > 0 && received < FRAMES,
        "flows spread over the queues: {received}"
    );
}
