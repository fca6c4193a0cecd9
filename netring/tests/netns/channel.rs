//! A capture on its own thread, behind a full channel, on a wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use netring::afpacket::Profile;
use netring::{Capture, ChannelBuilder, ChannelCapture, Count, Error, Packet, PacketSource};
use xtask::load::{Flood, wait_until};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, number, numbered};

const LIMIT: Duration = Duration::from_secs(20);

/// A capture of `v1`, in a ring of `blocks` blocks of 16 KiB.
fn capture(blocks: usize) -> Capture {
    let builder = Capture::builder().interface("v1").ignore_outgoing(true);
    let builder = builder.profile(Profile::LowMemory).block_size(1 << 14);
    builder.block_count(blocks).build().unwrap()
}

fn full(packets: usize, lossless: bool) -> ChannelBuilder {
    ChannelCapture::builder()
        .capacity(packets)
        .lossless(lossless)
}

/// Waits until this many packets are pending and all others are accounted for.
#[track_caller]
fn settles(channel: &mut ChannelCapture, sent: u64, pending: impl Fn(u64) -> bool) {
    wait_until("each packet is queued or lost", LIMIT, || {
        let stats = channel.stats().unwrap();
        stats.offered == Count::Exact(sent) && stats.pending().is_some_and(&pending)
    });
}

/// The number of a frame; its bytes have to be those that were sent.
fn checked(packet: Packet<'_>, len: usize) -> u64 {
    let number = number(packet.data()).unwrap();
    assert_eq!(packet.data(), numbered(number, len));
    number
}

/// Reads until the end.
fn rest(channel: &mut ChannelCapture, len: usize) -> (Vec<u64>, Result<(), Error>) {
    let mut numbers = Vec::new();
    let end = channel.for_each(|packet| numbers.push(checked(packet, len)));
    (numbers, end)
}

/// Waits until the sender's is the only packet socket that the kernel lists in this namespace. A
/// process that another test starts also has all sockets, between its `fork` and its `exec`.
#[track_caller]
fn only_the_sender_is_left() {
    wait_until("the socket is closed", LIMIT, || {
        let list = fs::read_to_string("/proc/thread-self/net/packet").unwrap();
        list.lines().count() - 1 == 1
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s16_what_a_full_channel_lost_is_counted_and_the_oldest_packets_stay() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let mut channel = full(500, false).start(capture(256)).unwrap();
    let flood = Flood::on("v0", |number| numbered(number, 60)).unwrap();
    wait_until("20,000 are sent", LIMIT, || flood.sent() >= 20_000);
    let sent = flood.stop();
    settles(&mut channel, sent, |pending| pending == 500);
    channel.stop();
    let (numbers, end) = rest(&mut channel, 60);
    end.unwrap();
    assert_eq!(numbers.len(), 500);
    assert!(numbers[0] == 0 && numbers.is_sorted_by(|a, b| a < b));
    let stats = channel.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(sent));
    assert_eq!(stats.delivered, Count::Exact(500));
    assert_eq!(stats.dropped, Count::Exact(sent - 500));
    assert!(channel.lost() <= sent - 500);
    // The kernel's own counter of the interface.
    let wire = ip_counters("v1");
    assert_eq!(wire, sent);
}

fn ip_counters(interface: &str) -> u64 {
    let path = format!("-s -j link show dev {interface}");
    let said = xtask::netns::ip_says(&path).unwrap();
    let (_, rx) = said.split_once(r#""rx":{"#).unwrap();
    let (_, packets) = rx.split_once(r#""packets":"#).unwrap();
    packets.split(',').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s16_a_lossless_channel_lets_the_ring_absorb_and_the_ring_counts_the_rest() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    // 3 MB in a ring of 4 MiB: all of it. In one of 64 KiB: what fits.
    for (blocks, all) in [(256, true), (4, false)] {
        let mut channel = full(64, true).start(capture(blocks)).unwrap();
        for number in 0..2000 {
            sender.send(&numbered(number, 1500)).unwrap();
        }
        settles(&mut channel, 2000, |pending| pending > 0);
        assert_eq!(channel.lost(), 0);
        let mut numbers = Vec::new();
        while channel.stats().unwrap().pending() != Some(0) {
            let batch = channel.recv().unwrap().unwrap();
            numbers.extend(batch.iter().map(|packet| checked(packet, 1500)));
        }
        let stats = channel.stats().unwrap();
        let got = numbers.len() as u64;
        assert_eq!(stats.offered, Count::Exact(2000));
        assert_eq!(stats.delivered, Count::Exact(got));
        assert_eq!(stats.dropped, Count::Exact(2000 - got));
        assert_eq!(channel.lost(), 0);
        assert!(numbers.is_sorted_by(|a, b| a < b));
        // 64 packets and a block in the channel, and 40 in the small ring.
        assert_eq!(got == 2000, all, "{got}");
        assert!(all || got <= 64 + 10 + 40, "{got}");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s16_a_removed_interface_is_an_error_behind_the_packets_of_a_full_channel() {
    for lossless in [false, true] {
        let _ns = Netns::enter().unwrap();
        veth("v0", "v1").unwrap();
        let sender = Sender::on("v0").unwrap();
        let mut channel = full(10, lossless).start(capture(64)).unwrap();
        for number in 0..50 {
            sender.send(&numbered(number, 100)).unwrap();
        }
        settles(&mut channel, 50, |pending| pending == 10 || lossless);
        ip("link del dev v1").unwrap();
        let (numbers, end) = rest(&mut channel, 100);
        let error = end.unwrap_err();
        assert!(matches!(error, Error::InterfaceRemoved { .. }), "{error}");
        assert!(matches!(channel.recv(), Err(Error::Closed)));
        let kept = if lossless { 50 } else { 10 };
        assert_eq!(numbers, (0..kept).collect::<Vec<_>>());
        let stats = channel.stats().unwrap();
        assert_eq!(stats.delivered, Count::Exact(kept));
        assert_eq!(stats.dropped, Count::Exact(50 - kept));
        assert_eq!(channel.lost(), 50 - kept);
        // The error arrives after the socket is closed, so the sender's is the only one left.
        only_the_sender_is_left();
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s16_a_channel_is_dropped_during_a_flood_and_nothing_is_left() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let flood = Flood::on("v0", |number| numbered(number, 60)).unwrap();
    only_the_sender_is_left();
    for round in 0..30 {
        let mut channel = full(200, round % 2 == 0).start(capture(16)).unwrap();
        if round % 3 == 0 {
            assert!(!channel.recv().unwrap().unwrap().is_empty());
        } else {
            wait_until("the channel is full", LIMIT, || {
                channel.stats().unwrap().pending() >= Some(200)
            });
        }
        if round % 5 == 0 {
            channel.stop();
        }
        let (dropped, done) = mpsc::channel();
        thread::spawn(move || {
            drop(channel);
            dropped.send(())
        });
        done.recv_timeout(LIMIT).unwrap();
        only_the_sender_is_left();
    }
    flood.stop();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_channel_cannot_be_opened_on_an_interface_that_does_not_exist() {
    let _ns = Netns::enter().unwrap();
    let error = ChannelCapture::open("v9").unwrap_err();
    assert!(matches!(error, Error::NoSuchInterface { .. }), "{error}");
}
