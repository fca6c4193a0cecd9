//! Runs each example that sends, and checks the frames at the other end of the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use netring::adapters::SinkWriter;
use netring::wait::Pacer;
use netring::{
    AsyncInjector, AsyncSink, AsyncXdpInjector, Capture, Count, Injector, Interface, OpenSink,
    PacketSink, PacketWriter, Profile,
};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, Sniffer, collect, numbered};

use crate::program::{Program, argument_is_named, command};

const LIMIT: Duration = Duration::from_secs(10);

/// The numbers of the frames that arrive, whose bytes must be those that the example writes.
fn numbers(sniffer: &Sniffer, source: [u8; 6], count: u64) {
    for number in 0..count {
        let frame = sniffer.receive(LIMIT).unwrap().unwrap();
        let mut expected = [0; 60];
        expected[..6].fill(0xff);
        expected[6..12].copy_from_slice(&source);
        expected[12..14].copy_from_slice(&[0x88, 0xb5]);
        expected[14..22].copy_from_slice(&number.to_be_bytes());
        assert_eq!(frame, expected);
    }
    assert_eq!(sniffer.receive(Duration::from_millis(50)).unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn inject_sends_numbered_frames_and_prints_what_became_of_them() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let said = Program::start("inject", &["v0", "40"]).end();
    said.went_well();
    let line = "40 committed: 40 sent, 0 dropped, 0 rejected, 0 pending; 0 refused, 0 in flight";
    assert_eq!(said.out, [line]);
    numbers(
        &sniffer,
        Interface::by_name("v0").unwrap().address.unwrap(),
        40,
    );
    ip("link set v0 down").unwrap();
    let said = Program::start("inject", &["v0", "40"]).end();
    assert!(!said.ok && said.err.contains("down"), "{said:?}");
    argument_is_named("inject", &["lo"], "FRAMES");
    // In a user namespace that does not own this network namespace.
    let program = command("inject");
    let mut unprivileged = Command::new("unshare");
    unprivileged.arg("--user").arg(program.get_program());
    let said = Program::spawn("inject", unprivileged.arg("lo")).end();
    let refused = "socket(AF_PACKET) was refused: the process needs CAP_NET_RAW";
    assert!(!said.ok && said.err.starts_with(refused), "{said:?}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn paced_inject_takes_the_time_that_its_rate_asks_for() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let said = Program::start("paced_inject", &["v0", "50", "2"]).end();
    said.went_well();
    let line = "101 committed: 101 sent, 0 dropped, 0 rejected, 0 pending; 0 refused, 0 in flight";
    assert_eq!(said.out[0], line);
    // A delayed program reports the delay, and takes longer by as much.
    let (took, rest) = said.out[1].split_once("s, ").unwrap();
    let took: f64 = took.parse().unwrap();
    assert!(rest.ends_with(" of it not made up for"), "{rest}");
    let kept = rest.starts_with("0ns");
    assert!(took >= 2.0 && (took < 2.2 || !kept), "{said:?}");
    numbers(&sniffer, [0; 6], 101);
    argument_is_named("paced_inject", &["lo"], "RATE");
    let refused = Program::start("paced_inject", &["v0", "0", "1"]).end();
    assert!(
        !refused.ok && refused.err.contains("from 1 to"),
        "{refused:?}"
    );
}

/// Opens, sends with and without a pace, and waits for everything to be sent.
async fn sends<S: PacketSink + OpenSink + AsFd + Send + 'static>(sniffer: &Sniffer) {
    let mut sink = AsyncSink::<S>::open("v0").unwrap();
    for from in (0..400).step_by(40) {
        for n in from..from + 40 {
            sink.send(&numbered(n, 100)).await.unwrap();
        }
        sink.flush().await.unwrap();
        assert_eq!(sink.drain(LIMIT).await.unwrap(), 0);
        for n in from..from + 40 {
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
        }
    }
    // In bits: 100 frames of 100 bytes at 800 kbit/s are due in 99 ms.
    let mut pacer = Pacer::bits_per_second(800_000).unwrap();
    let start = Instant::now();
    for n in 0..100 {
        sink.send_paced(&mut pacer, &numbered(n, 100))
            .await
            .unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(99));
    assert_eq!(sink.drain(LIMIT).await.unwrap(), 0);
    for n in 0..100 {
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
    }
    // The same pacer without a runtime.
    let mut sink = sink.into_inner();
    let start = Instant::now();
    let mut pacer = Pacer::packets_per_second(1000).unwrap();
    for n in 0..50 {
        pacer.send(&mut sink, &numbered(n, 100)).unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(49));
    assert_eq!(netring::wait::drain(&mut sink, Some(LIMIT)).unwrap(), 0);
    for n in 0..50 {
        assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
    }
    assert_eq!(sink.stats().unwrap().sent, Count::Exact(550));
}

/// Both backends, by the same code.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn each_backend_sends_under_the_same_adapter_and_pacer() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    sends::<Injector>(&sniffer).await;
    sends::<netring::XdpInjector>(&sniffer).await;
    fn is_send<T: Send>(_: &T) {}
    let mut injector = AsyncInjector::open("v0").unwrap();
    is_send(&injector.send(&[0; 60]));
    let missing = AsyncXdpInjector::open("v9").unwrap_err();
    assert!(missing.to_string().contains("\"v9\""), "{missing}");
}

/// A tag that a capture reports beside the bytes is in them again after the packet is forwarded.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_a_tag_survives_from_a_capture_through_an_injector() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let open = |name| {
        let builder = Capture::builder().interface(name);
        builder.profile(Profile::Immediate).build().unwrap()
    };
    let (mut capture, mut end) = (open("v1"), open("w1"));
    let mut writer = SinkWriter::new(Injector::open("w0").unwrap());
    let sender = Sender::on("v0").unwrap();
    let mut sent = Vec::new();
    for (n, tag) in [[0x60, 5], [0, 0], [0x0f, 0xff]].into_iter().enumerate() {
        let mut frame = numbered(n as u64, 1514);
        frame.splice(12..12, [0x81, 0, tag[0], tag[1]]);
        sender.send(&frame).unwrap();
        sent.push(frame);
    }
    for packet in collect(&mut capture, 3, LIMIT).unwrap() {
        assert!(packet.vlan().is_some());
        assert!(writer.write(&packet.as_packet()).unwrap());
    }
    assert_eq!(writer.get_mut().drain(LIMIT).unwrap(), 0);
    let received = collect(&mut end, 3, LIMIT).unwrap();
    for (packet, frame) in received.iter().zip(&sent) {
        let mut bytes = vec![0; frame.len()];
        packet.as_packet().wire_bytes().copy_to(&mut bytes);
        assert_eq!(bytes, *frame);
    }
}
