//! Merged captures and files under the layers above: tokio, flows, broadcasts, adapters.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use futures::StreamExt;
use netring::adapters::{AnySource, Filtered, Limit};
use netring::afpacket::Profile;
use netring::flow::FlowEvent;
use netring::flow::extract::FiveTuple;
use netring::pcap::{CaptureFile, CaptureWriter};
use netring::wait::Merge;
use netring::{
    AsyncCaptures, AsyncSource, Capture, Captures, Clock, Count, Error, Interface, LinkType,
    OpenAsync, Packet, PacketBatch, PacketSource, PacketWriter, SockFilter, Timestamp,
};
use tokio::time::timeout;
use xtask::load::Flood;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, number, numbered, udp4};

const LIMIT: Duration = Duration::from_secs(10);

fn each() -> netring::afpacket::CaptureBuilder {
    Capture::builder().profile(Profile::LowMemory)
}

/// Cancelled waits lose nothing, and an interface that appears wakes the task.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn s3_interfaces_come_and_go_under_an_async_reader() {
    let _ns = Netns::enter().unwrap();
    let (events, seen) = channel();
    let builder = Captures::builder(each()).interfaces(["a", "c"]);
    let builder = builder.on_event(move |event| events.send(event.to_string()).unwrap());
    let mut captures: AsyncCaptures = builder.join(true).reopen(true).open().await.unwrap();
    for round in 0..3 {
        veth("a", "b").unwrap();
        seen.recv_timeout(LIMIT).unwrap();
        let index = Interface::by_name("a").unwrap().index;
        let (mut next, mut sent, sender) = (0, 0, Sender::on("b").unwrap());
        while next < 100 {
            if next == sent {
                (sent..sent + 10).for_each(|n| sender.send(&numbered(n, 60)).unwrap());
                sent += 10;
            }
            // Mostly cancelled before the block is handed over.
            let waited = timeout(Duration::from_millis(7), captures.next_batch()).await;
            let Ok(batch) = waited else {
                continue;
            };
            let batch = batch.unwrap().unwrap();
            assert_eq!(batch.origin(), round);
            for packet in batch.packets() {
                assert_eq!(number(packet.data()), Some(next));
                assert_eq!(packet.interface(), index);
                next += 1;
            }
        }
        ip("link del dev a").unwrap();
        assert_eq!(seen.recv_timeout(LIMIT).unwrap(), "a was removed");
    }
    let stats = captures.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.delivered),
        (Count::Exact(300), Count::Exact(300))
    );
    let stop = captures.stop_handle();
    stop.stop();
    assert!(captures.next_batch().await.unwrap().is_none());
}

/// More sources than the kernel reports at once, all of them busy, over nested epoll sets.
#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn p15_many_captures_under_load_are_read_to_the_last_packet() {
    const PAIRS: usize = 10;
    let _ns = Netns::enter().unwrap();
    let ends: Vec<_> = (0..PAIRS)
        .map(|n| (format!("a{n}"), format!("b{n}")))
        .collect();
    ends.iter().for_each(|(a, b)| veth(a, b).unwrap());
    let names = ends.iter().map(|(a, _)| a.as_str());
    let captures = Captures::builder(each()).interfaces(names).build().unwrap();
    let mut captures = AsyncSource::new(captures).unwrap();
    let floods: Vec<_> = ends
        .iter()
        .map(|(_, b)| {
            Flood::on(b, |n| {
                if n % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(3));
                }
                numbered(n, 60)
            })
            .unwrap()
        })
        .collect();
    let mut next = [0; PAIRS];
    let end = Instant::now() + Duration::from_secs(1);
    let (mut floods, mut sent) = (Some(floods), None);
    while sent.as_ref().is_none_or(|sent: &Vec<u64>| next != sent[..]) {
        // Its own descriptor must wake it: a timeout would only lead to another check.
        let batch = tokio::select! {
            biased;
            () = tokio::time::sleep(LIMIT) => panic!("{next:?} of {sent:?}"),
            batch = captures.next_batch() => batch.unwrap().unwrap(),
        };
        for packet in batch.packets() {
            assert_eq!(number(packet.data()), Some(next[batch.origin()]));
            next[batch.origin()] += 1;
        }
        if Instant::now() > end
            && let Some(floods) = floods.take()
        {
            sent = Some(floods.into_iter().map(Flood::stop).collect());
        }
    }
    let stats = captures.stats().unwrap();
    assert_eq!(stats.delivered, Count::Exact(next.iter().sum()));
    assert_eq!(
        (stats.offered, stats.dropped),
        (stats.delivered, Count::Exact(0))
    );
}

/// Packets of one flow belong to it whichever interfaces they arrive on; and the broadcast
/// continues while there is no interface.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn flows_of_all_interfaces_reach_every_subscriber() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let (events, seen) = channel();
    let builder = Captures::builder(each()).interfaces(["a", "c"]);
    let builder = builder.on_event(move |event| events.send(event.to_string()).unwrap());
    let captures = builder.join(true).reopen(true).build().unwrap();
    let captures = AsyncSource::new(captures).unwrap();
    let broadcast = captures
        .flow_stream(FiveTuple::bidirectional())
        .broadcast(64);
    let mut subscribers = [broadcast.subscribe(), broadcast.subscribe()];
    Sender::on("b")
        .unwrap()
        .send(&udp4(1, 53, &[0; 30]))
        .unwrap();
    ip("link del dev a").unwrap();
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), "a was removed");
    veth("c", "d").unwrap();
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), "c has joined");
    Sender::on("d")
        .unwrap()
        .send(&udp4(2, 53, &[0; 30]))
        .unwrap();
    veth("a", "b").unwrap();
    assert_eq!(seen.recv_timeout(LIMIT).unwrap(), "a has come back");
    Sender::on("b")
        .unwrap()
        .send(&udp4(3, 53, &[0; 30]))
        .unwrap();
    for subscriber in &mut subscribers {
        let mut ports = Vec::new();
        while ports.len() < 3 {
            let event = timeout(LIMIT, subscriber.next()).await.unwrap();
            if let FlowEvent::Started { key, .. } = &*event.unwrap().unwrap() {
                ports.push(key.a().port());
            }
        }
        ports.sort_unstable();
        assert_eq!(ports, [1, 2, 3]);
    }
    timeout(LIMIT, broadcast.shutdown()).await.unwrap().unwrap();
}

/// A capture file with these numbers.
fn file(numbers: std::ops::Range<u64>) -> CaptureFile<std::io::Cursor<Vec<u8>>> {
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    for n in numbers {
        let time = Timestamp::from_parts(n as u32, 0, Clock::Unknown);
        let frame = numbered(n, 60);
        writer
            .write(&Packet::new(&frame, time, LinkType::ETHERNET))
            .unwrap();
    }
    CaptureFile::new(std::io::Cursor::new(writer.finish().unwrap())).unwrap()
}

#[tokio::test]
async fn files_merge_and_damage_to_one_ends_that_one() {
    let whole = file(0..5000);
    let mut cut = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    let frame = numbered(7, 60);
    let packet = Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET);
    cut.write(&packet).unwrap();
    let mut cut = cut.finish().unwrap();
    cut.extend([0; 10]);
    let cut = CaptureFile::new(std::io::Cursor::new(cut)).unwrap();
    let mut merge = Merge::replay([whole, cut, file(9000..9003)]).unwrap();
    let (mut counts, mut lost) = ([0; 3], Vec::new());
    loop {
        match merge.ready() {
            Ok(netring::Readiness::Ready) => {
                let batch = merge.batch();
                counts[batch.origin()] += batch.packets().count();
            }
            Ok(netring::Readiness::Ended) => break,
            Ok(found) => panic!("{found:?}"),
            Err(Error::SourceLost { origin, error }) => lost.push((origin, error.to_string())),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(counts, [5000, 1, 3]);
    assert_eq!(lost.len(), 1);
    assert!(
        lost[0].0 == 1 && lost[0].1.contains("cut short"),
        "{lost:?}"
    );
    assert_eq!(merge.stats().unwrap().delivered, Count::Exact(5004));

    // The same with tokio.
    let merge = Merge::replay([file(0..10), file(10..20)]).unwrap();
    let mut source = AsyncSource::new(merge).unwrap();
    let mut numbers = Vec::new();
    while let Some(batch) = source.next_batch().await.unwrap() {
        numbers.extend(batch.packets().map(|packet| number(packet.data()).unwrap()));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

/// A merge of a capture and a file, with adapters inside and outside.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn sources_of_different_types_merge() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let live = each().interface("a").build().unwrap();
    let long = [
        SockFilter::stmt(0x80, 0),
        SockFilter::jump(0x35, 100, 0, 1),
        SockFilter::stmt(0x06, u32::MAX),
        SockFilter::stmt(0x06, 0),
    ];
    let live = Filtered::new(live, long).unwrap();
    let sources = [
        AnySource::with_descriptor(live, |live| Some(std::os::fd::AsFd::as_fd(live))),
        AnySource::new(file(50..60)),
    ];
    let merge = Merge::with_descriptor(sources, AnySource::descriptor).unwrap();
    let mut limited = Limit::new(merge, 12);
    let sender = Sender::on("b").unwrap();
    for n in 0..4 {
        sender
            .send(&numbered(n, if n < 2 { 60 } else { 100 }))
            .unwrap();
    }
    let mut numbers = Vec::new();
    limited
        .for_each(|packet| numbers.push(number(packet.data()).unwrap()))
        .unwrap();
    numbers.sort_unstable();
    assert_eq!(numbers[..2], [2, 3]);
    assert_eq!(numbers[2..], (50..60).collect::<Vec<_>>());
    let stats = limited.stats().unwrap();
    assert_eq!(
        (stats.delivered, stats.left_out),
        (Count::Exact(12), Count::Exact(2))
    );
}
