//! A filter selects the same packets on a packet socket and over packets from a socket without it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use netring::adapters::Filtered;
use netring::{Capture, Count, Error, Filter, Input, PacketBatch, PacketSource, SockFilter, Timed};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, numbered, tcp4, udp4};

const SKF_AD_OFF: u32 = -0x1000_i32 as u32;
const SKF_NET_OFF: u32 = -0x0010_0000_i32 as u32;
const SKF_LL_OFF: u32 = -0x0020_0000_i32 as u32;

/// The frames that `v0` sends and `v1` receives.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = vec![
        numbered(1, 60),
        numbered(2, 1500),
        tcp4(1, 80, 7, 2, b"abc"),
        udp4(53, 53, &[9; 700]),
    ];
    // Broadcast, multicast, with a tag, with a tag of 802.1ad, without a protocol, and IPv6.
    let mut with = |change: fn(&mut Vec<u8>)| {
        let mut frame = numbered(3, 80);
        change(&mut frame);
        frames.push(frame);
    };
    with(|frame| frame[..6].fill(0xff));
    with(|frame| frame[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 1]));
    with(|frame| drop(frame.splice(12..12, [0x81, 0x00, 0x60, 0x05])));
    with(|frame| drop(frame.splice(12..12, [0x88, 0xa8, 0x00, 0x00])));
    with(|frame| frame[12..14].copy_from_slice(&[0, 40]));
    with(|frame| frame[12..16].copy_from_slice(&[0, 40, 0xff, 0xff]));
    with(|frame| frame[12..14].copy_from_slice(&[0x86, 0xdd]));
    frames
}

/// Programs that compare one loaded value with a number.
fn filters(index: u32) -> Vec<Filter> {
    let fact = |number, k| (0x20, SKF_AD_OFF + number, k);
    let mut loads = vec![
        (0x30, 23, 17),
        (0x80, 0, 80),
        (0x80, 0, 84),
        (0x28, 12, 0x800),
        (0x30, SKF_NET_OFF + 9, 17),
        (0x30, SKF_LL_OFF + 23, 6),
        (0x20, SKF_NET_OFF + 46, 0),
        fact(8, index),
        fact(8, index + 1),
        fact(24, 1),
        fact(44, 0x6005),
        fact(44, 0),
        fact(48, 1),
        fact(48, 0),
        fact(60, 0x8100),
        fact(60, 0x88a8),
    ];
    loads.extend([0x800, 0x86dd, 1, 4, 0x8100].map(|kind| fact(0, kind)));
    loads.extend((0..5).map(|kind| fact(4, kind)));
    let filter = |(code, k, with)| {
        Filter::from([
            SockFilter::stmt(code, k),
            SockFilter::jump(0x15, with, 0, 1),
            SockFilter::stmt(0x06, u32::MAX),
            SockFilter::stmt(0x06, 0),
        ])
    };
    loads.into_iter().map(filter).collect()
}

/// The packets that arrive until there are none for a while.
fn received(source: &mut impl PacketSource) -> Result<Vec<Vec<u8>>, Error> {
    let mut packets = Vec::new();
    while let Timed::Batch(batch) = source.next_batch_timeout(Duration::from_millis(60))? {
        packets.extend(batch.packets().map(|packet| packet.data().to_vec()));
    }
    Ok(packets)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_filter_chooses_the_same_in_the_kernel_and_over_packets() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let index = netring::Interface::by_name("v1").unwrap().index;
    let frames = frames();
    let all = frames.len() as u64;
    let builder = || Capture::builder().interface("v1").block_size(1 << 16);
    let mut chosen = 0;
    for filter in filters(index) {
        let filtered = builder().block_count(4).build().unwrap();
        let mut filtered = Filtered::new(filtered, &filter).unwrap();
        let mut kernel = builder().block_count(4).filter(&filter).build().unwrap();
        let sender = Sender::on("v0").unwrap();
        for frame in &frames {
            sender.send(frame).unwrap();
        }
        let expected = received(&mut kernel).unwrap();
        assert_eq!(received(&mut filtered).unwrap(), expected, "{filter}");
        let stats = filtered.stats().unwrap();
        let count = expected.len() as u64;
        assert_eq!(stats.delivered, Count::Exact(count), "{filter}");
        assert_eq!(stats.left_out, Count::Exact(all - count), "{filter}");
        assert_eq!(stats.offered, Count::Exact(all));
        chosen += u64::from(count > 0 && count < all);
    }
    assert!(chosen >= 12, "{chosen} filters tell packets apart");
}

/// The same settings open an interface, for which the kernel filters.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_input_of_an_interface_has_a_filter() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let filter: Filter = "vlan 5 and udp port 53".parse().unwrap();
    let builder = Input::builder().filter(filter);
    let mut input = builder.clone().open_interface("v1").unwrap();
    let mut tagged = udp4(53, 53, b"a query");
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    let sender = Sender::on("v0").unwrap();
    for frame in [udp4(53, 53, b"a query"), tagged.clone(), numbered(1, 60)] {
        sender.send(&frame).unwrap();
    }
    let packets = collect(&mut input, 1, Duration::from_secs(10)).unwrap();
    assert_eq!(
        packets[0].as_packet().wire_bytes().pieces().concat(),
        tagged
    );
    assert_eq!(input.stats().unwrap().offered, Count::Exact(1));
    let error = builder.open_interface("no-such-name").unwrap_err();
    assert!(matches!(error, Error::NoSuchInterface { .. }), "{error}");
}
