//! The generated program in the kernel: its verdict on each packet and its counters, by test runs
//! and on a wire.
#![expect(clippy::unwrap_used, reason = "functions that serve tests")]

use std::os::fd::AsFd;
use std::time::Duration;

use netring_sys::kernel::bpf::{XDP_DROP, XDP_PASS, xdp_md};
use netring_sys::{Interface, syscall};
use netring_xdp::program::{AttachMode, Attachment, Counters, DefaultAction, Program, Redirect};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use xtask::netns::{Netns, ip, veth, veth_with_queues};
use xtask::wire::{Sender, Sniffer, numbered};

/// A veth pair with four queues at each end.
fn veth4() -> Interface {
    veth_with_queues("v0", "v1", 4).unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    assert_eq!(v0.rx_queues, 4);
    v0
}

/// Runs the program over a packet as if it arrived on this queue.
fn run(program: &mut Program, on: &Interface, queue: u32, packet: &[u8]) -> u32 {
    let context = xdp_md {
        data_end: packet.len() as u32,
        ingress_ifindex: on.index,
        rx_queue_index: queue,
        ..xdp_md::default()
    };
    let fd = program.fd().unwrap().try_clone_to_owned().unwrap();
    let (verdict, left) = syscall::bpf_test_xdp(fd.as_fd(), packet, context).unwrap();
    assert_eq!(left, packet, "the program changes no packet");
    verdict
}

fn missed(count: u64) -> Counters {
    let mut counters = Counters::default();
    counters.missed = count;
    counters
}

fn counted(attachment: &Attachment, queue: u32) -> Counters {
    attachment.counters(queue).unwrap().unwrap()
}

/// Every variant of the program.
fn shapes() -> impl Iterator<Item = (Redirect, DefaultAction)> {
    [DefaultAction::Pass, DefaultAction::Drop]
        .into_iter()
        .flat_map(|otherwise| {
            [false, true].map(|multi_buffer| {
                let shape = Program::redirect()
                    .default_action(otherwise)
                    .multi_buffer(multi_buffer);
                (shape, otherwise)
            })
        })
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn each_packet_without_a_socket_is_a_counted_miss_of_its_queue() {
    let _ns = Netns::enter().unwrap();
    let v0 = veth4();
    for (shape, otherwise) in shapes() {
        // Room for fewer queues than there are: packets of the others are counted as well.
        let mut program = shape.clone().queues(2).load().unwrap();
        let verdict = match otherwise {
            DefaultAction::Pass => XDP_PASS,
            DefaultAction::Drop => XDP_DROP,
        };
        // Only an Ethernet header, cut within the IP header, garbage, the smallest and the largest
        // frame.
        let frame = numbered(7, 1514);
        let packets: [&[u8]; 6] = [
            &frame[..14],
            &frame[..15],
            &frame[..33],
            &[0xff; 60],
            &frame[..60],
            &frame,
        ];
        for (queue, times) in [(0, 1), (1, 2), (2, 3), (3, 4)] {
            for packet in packets {
                for _ in 0..times {
                    assert_eq!(run(&mut program, &v0, queue, packet), verdict);
                }
            }
        }
        ip("link set v1 down").unwrap();
        ip("link add w0 type veth peer name w1").unwrap();
        let w0 = Interface::by_name("w0").unwrap();
        let attachment = program.attach(&w0, AttachMode::Generic).unwrap();
        assert_eq!(counted(&attachment, 0), missed(6));
        assert_eq!(counted(&attachment, 1), missed(12));
        let total = attachment.counters_total().unwrap().unwrap();
        assert_eq!(total, missed(6 * (1 + 2 + 3 + 4)));
        assert_eq!(total.offered(), 60);
        let error = attachment.counters(2).unwrap_err().to_string();
        assert!(error.contains("the queues 0 to 1"), "{error}");
        ip("link del w0").unwrap();
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_in_several_buffers_is_taken_by_the_multi_buffer_program() {
    let _ns = Netns::enter().unwrap();
    let v0 = veth4();
    let mut program = Program::redirect().multi_buffer(true).load().unwrap();
    let packet = numbered(1, 9000);
    assert_eq!(run(&mut program, &v0, 3, &packet), XDP_PASS);
    let attachment = program.attach(&v0, AttachMode::Native).unwrap();
    assert_eq!(counted(&attachment, 3), missed(1));
}

/// The verifier accepts the program with all settings, and the first packet is counted.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_setting_passes_the_verifier() {
    let _ns = Netns::enter().unwrap();
    let v0 = veth4();
    let queues = prop_oneof![1..=65_536_u32, Just(1), Just(64), Just(65_536)];
    let settings = (
        queues,
        any::<bool>(),
        any::<bool>(),
        0..4_u32,
        14..1514_usize,
    );
    let mut runner = TestRunner::new(Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&settings, |(queues, drops, multi_buffer, queue, len)| {
            let otherwise = if drops {
                DefaultAction::Drop
            } else {
                DefaultAction::Pass
            };
            let shape = Program::redirect()
                .queues(queues)
                .default_action(otherwise)
                .multi_buffer(multi_buffer);
            let mut program = shape.load().unwrap();
            let verdict = run(&mut program, &v0, queue, &numbered(1, 1514)[..len]);
            prop_assert_eq!(verdict, if drops { XDP_DROP } else { XDP_PASS });
            Ok(())
        })
        .unwrap();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn on_a_wire_what_is_missed_is_passed_or_dropped_and_counted_exactly() {
    const FRAMES: u64 = 3000;
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let sender = Sender::on("v1").unwrap();
    let sniffer = Sniffer::on("v0").unwrap();
    for (shape, otherwise) in shapes() {
        for mode in [AttachMode::Native, AttachMode::Generic] {
            let attachment = shape.load().unwrap().attach(&v0, mode).unwrap();
            for number in 0..FRAMES {
                let frame = numbered(number, 60 + number as usize % 1400);
                sender.send(&frame).unwrap();
                if otherwise == DefaultAction::Pass {
                    let passed = sniffer.receive(Duration::from_secs(2)).unwrap();
                    assert_eq!(passed.as_deref(), Some(&frame[..]), "{number} {mode:?}");
                }
            }
            // A dropped frame reaches nobody; the frame behind it would come after it.
            assert_eq!(sniffer.receive(Duration::from_millis(100)).unwrap(), None);
            let total = attachment.counters_total().unwrap().unwrap();
            assert_eq!(total, missed(FRAMES), "{mode:?} {shape:?}");
            assert_eq!(counted(&attachment, 0), missed(FRAMES));
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn many_processors_and_queues_lose_no_count() {
    const FRAMES: u64 = 20_000;
    let _ns = Netns::enter().unwrap();
    let v0 = veth4();
    for mode in [AttachMode::Native, AttachMode::Generic] {
        let program = Program::redirect()
            .default_action(DefaultAction::Drop)
            .load()
            .unwrap();
        let attachment = program.attach(&v0, mode).unwrap();
        let before = Interface::by_name("v1").unwrap().counters.tx_packets;
        std::thread::scope(|scope| {
            for thread in 0..4_u16 {
                scope.spawn(move || {
                    let sender = Sender::on("v1").unwrap();
                    for number in 0..FRAMES {
                        // Another port makes another flow, and that selects another queue.
                        let port = (number % 64) as u16;
                        sender
                            .send(&xtask::wire::udp4(thread, port, &[0; 40]))
                            .unwrap();
                    }
                });
            }
        });
        let arrived = settled(&attachment, 4 * FRAMES);
        let sent = Interface::by_name("v1").unwrap().counters.tx_packets - before;
        // What the sender dropped because its queue was full never reached the program.
        assert_eq!(arrived.missed, sent, "{mode:?}");
        assert_eq!(arrived, missed(sent));
        let queues: Vec<u64> = (0..4)
            .map(|queue| counted(&attachment, queue).offered())
            .collect();
        assert_eq!(queues.iter().sum::<u64>(), sent);
        assert!(
            queues.iter().all(|&count| count < sent),
            "more than one queue: {queues:?}"
        );
    }
}

/// The counters, once they reach `expected` or stop changing.
fn settled(attachment: &Attachment, expected: u64) -> Counters {
    let mut last = Counters::default();
    for _ in 0..50 {
        let now = attachment.counters_total().unwrap().unwrap();
        if now.offered() == expected {
            return now;
        }
        last = now;
        std::thread::sleep(Duration::from_millis(20));
    }
    last
}
