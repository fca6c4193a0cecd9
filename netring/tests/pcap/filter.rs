//! A filter over a capture file, whose packets can have several link types.

use std::ops::ControlFlow;

use netring::adapters::Filtered;
use netring::pcap::{CaptureFile, FileError};
use netring::{Count, Error, Filter, LinkType, PacketBatch, PacketSource, Readiness};
use xtask::wire::{tcp4, udp4};

use super::bytes::{Little, enhanced, interface, section};

const DNS: &str = "udp dst port 53";

fn filter(text: &str) -> Filter {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

/// A pcapng file with interfaces of these link types, and packets of the interface with this index.
fn file(links: &[LinkType], packets: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = section(Little);
    for link in links {
        file.extend(interface(Little, link.0, 0, b""));
    }
    for (n, (index, data)) in packets.iter().enumerate() {
        file.extend(enhanced(Little, *index, n as u64, data.len() as u32, data));
    }
    file
}

/// The packets by their times, which number them, until the end or an error.
fn numbers(source: &mut impl PacketSource) -> (Vec<i64>, Option<Error>) {
    let mut numbers = Vec::new();
    let end = source.for_each(|packet| numbers.push(packet.timestamp().as_nanos() / 1000));
    (numbers, end.err())
}

#[test]
fn each_packet_is_filtered_by_its_link_type() {
    let (dns, web) = (udp4(40_000, 53, b"a query"), tcp4(40_000, 80, 1, 2, b""));
    let cooked = [&[0; 14][..], &[8, 0], &dns[14..]].concat();
    let cooked2 = [&[8, 0][..], &[0; 18], &dns[14..]].concat();
    let links = [
        LinkType::ETHERNET,
        LinkType::RAW_IP,
        LinkType::LINUX_SLL,
        LinkType::LINUX_SLL2,
    ];
    let packets = [
        (0, &dns[..]),
        (0, &web),
        (1, &dns[14..]),
        (1, &web[14..]),
        (2, &cooked),
        (3, &cooked2),
        // Behind another link header it would mean something else.
        (1, &dns),
        (0, &cooked),
    ];
    let file = file(&links, &packets);
    let open = || CaptureFile::new(&file[..]).unwrap();
    let mut inside = open().filter(filter(DNS)).unwrap();
    let mut around = Filtered::new(open(), filter(DNS)).unwrap();
    let (selected, end) = numbers(&mut inside);
    assert_eq!((selected, end.is_none()), (vec![0, 2, 4, 5], true));
    let (selected, end) = numbers(&mut around);
    assert_eq!((selected, end.is_none()), (vec![0, 2, 4, 5], true));
    for stats in [inside.stats().unwrap(), around.stats().unwrap()] {
        assert_eq!(stats.offered, Count::Exact(8));
        assert_eq!(stats.delivered, Count::Exact(4));
        assert_eq!(stats.left_out, Count::Exact(4));
        assert_eq!(stats.pending(), Some(0));
    }
}

/// A packet for which the expression has no verdict ends the source, with the reason, after the
/// packets before it. It is neither lent nor skipped.
#[test]
fn x21_a_packet_that_the_expression_says_nothing_about_is_reported() {
    let dns = udp4(40_000, 53, b"a query");
    let packets: Vec<_> = [0, 0, 1, 0].map(|link| (link, &dns[..])).to_vec();
    for (link, text, reason) in [
        (
            LinkType::NFLOG,
            "not tcp",
            "filter expressions are not available for the link type LinkType::NFLOG",
        ),
        (
            LinkType::RAW_IP,
            "not vlan 5",
            "for a packet of the link type RAW_IP: `vlan 5`: VLAN tags are not in packets",
        ),
    ] {
        let file = file(&[LinkType::ETHERNET, link], &packets);
        let open = || CaptureFile::new(&file[..]).unwrap();

        let mut inside = open().filter(filter(text)).unwrap();
        let (selected, error) = numbers(&mut inside);
        assert_eq!(selected, [0, 1], "{text}");
        let error = error.unwrap();
        let cause = error.downcast_ref::<FileError>();
        assert!(matches!(cause, Some(FileError::Filter { .. })), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(inside.ready().is_err());
        let stats = inside.stats().unwrap();
        assert_eq!(stats.left_out, Count::Exact(1));
        assert_eq!(stats.pending(), Some(0));

        // With the filter around the file, the batch is lent without it, and the error follows.
        let mut around = Filtered::new(open(), filter(text)).unwrap();
        let (selected, error) = numbers(&mut around);
        assert_eq!(selected, [0, 1, 3], "{text}");
        let error = error.unwrap();
        assert!(
            matches!(
                error,
                Error::Config {
                    setting: "filter",
                    ..
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
        assert!(error.is_terminal());
        for _ in 0..2 {
            assert!(matches!(around.ready(), Err(Error::Closed)));
            assert!(matches!(around.wait(None), Err(Error::Closed)));
        }
        let stats = around.stats().unwrap();
        assert_eq!(stats.left_out, Count::Exact(1));
    }
}

/// Even if the reader does not look at the packet: a batch that is dropped early is filtered
/// completely.
#[test]
fn x21_a_batch_that_is_left_early_reports_it_too() {
    let dns = udp4(40_000, 53, b"a query");
    let file = file(
        &[LinkType::ETHERNET, LinkType::NFLOG],
        &[(0, &dns), (1, &dns)],
    );
    let inside = CaptureFile::new(&file[..]).unwrap();
    let mut source = Filtered::new(inside, filter(DNS)).unwrap();
    assert_eq!(source.ready().unwrap(), Readiness::Ready);
    let batch = source.batch();
    assert_eq!(batch.packets().take(1).count(), 1);
    drop(batch);
    assert!(matches!(source.ready(), Err(Error::Config { .. })));
}

#[test]
fn a_loop_over_a_filtered_file_keeps_its_place() {
    let frames: Vec<_> = (0..5000_u16)
        .map(|n| udp4(n, 53 + n % 2, b"a query"))
        .collect();
    let packets: Vec<_> = frames.iter().map(|frame| (0, &frame[..])).collect();
    let bytes = file(&[LinkType::ETHERNET], &packets);
    let file = CaptureFile::new(&bytes[..]).unwrap();
    let mut file = file.filter(filter(DNS)).unwrap();
    let mut next = 0;
    for stop in [1, 2, 700, 1024, 1025, 2500] {
        let broke = file.try_for_each(|packet| {
            assert_eq!(packet.data()[34..36], u16::to_be_bytes(2 * next));
            next += 1;
            match next == stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        assert_eq!(broke.unwrap(), Some(()), "{stop}");
    }
    assert_eq!(file.next_batch().unwrap().map(|_| ()), None);
    let stats = file.stats().unwrap();
    assert_eq!(stats.offered, Count::Exact(5000));
    assert_eq!(stats.left_out, Count::Exact(2500));
}

/// A file in which nothing matches lends an empty batch now and then, so that an asynchronous task
/// can yield.
#[test]
fn a_file_without_a_selected_packet_is_read_in_steps() {
    let dns = udp4(40_000, 53, b"a query");
    let packets = vec![(0, &dns[..]); 3000];
    let bytes = file(&[LinkType::ETHERNET], &packets);
    let file = CaptureFile::new(&bytes[..]).unwrap();
    let mut file = file.filter(filter("arp")).unwrap();
    let mut steps = Vec::new();
    while file.ready().unwrap() == Readiness::Ready {
        assert_eq!(file.batch().packets().count(), 0);
        steps.push(file.stats().unwrap().left_out.exact().unwrap());
    }
    assert_eq!(steps, [1024, 2048]);
    assert_eq!(file.stats().unwrap().left_out, Count::Exact(3000));
}
