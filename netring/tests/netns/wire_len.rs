//! The same frames have the same lengths and belong to the same flows, live and from a file, with
//! and without a VLAN tag.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use crate::contract::files::bytes;

use std::time::Duration;

use bytes::{Little, MICROS, header, record};
use netring::flow::extract::FiveTuple;
use netring::flow::{FlowEvent, FlowTracker};
use netring::pcap::CaptureFile;
use netring::{Capture, PacketBatch, PacketBuf, PacketSource, VlanTag};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, udp4};

const SECOND: Duration = Duration::from_secs(1);

fn tagged(frame: &[u8], tags: &[[u8; 4]]) -> Vec<u8> {
    [&frame[..12], &tags.concat(), &frame[12..]].concat()
}

/// Frames as the wire carries them: untagged, tagged, with a tag of 0, with two tags.
fn frames() -> Vec<Vec<u8>> {
    let plain = udp4(1000, 53, &[7; 58]);
    assert_eq!(plain.len(), 100);
    let outer = [0x88, 0xa8, 0, 9];
    vec![
        plain,
        tagged(&udp4(2000, 53, &[7; 58]), &[[0x81, 0, 0, 5]]),
        tagged(&udp4(3000, 53, &[7; 58]), &[[0x81, 0, 0, 0]]),
        tagged(&udp4(4000, 53, &[7; 58]), &[outer, [0x81, 0, 0, 5]]),
        // The shortest frame of a flow, without padding.
        tagged(&udp4(5000, 53, b""), &[[0x81, 0, 0, 5]]),
    ]
}

fn live(snap_len: Option<u32>) -> Vec<PacketBuf> {
    veth("v0", "v1").unwrap();
    let mut builder = Capture::builder().interface("v1");
    if let Some(snap_len) = snap_len {
        builder = builder.snap_len(snap_len);
    }
    let mut capture = builder.build().unwrap();
    let sender = Sender::on("v0").unwrap();
    for frame in frames() {
        sender.send(&frame).unwrap();
    }
    collect(&mut capture, frames().len(), SECOND).unwrap()
}

fn from_file(snap_len: usize) -> Vec<PacketBuf> {
    let mut file = header(Little, MICROS, 65_535, 1);
    for (second, frame) in (1..).zip(frames()) {
        let kept = &frame[..frame.len().min(snap_len)];
        file.extend(record(Little, (second, 0), frame.len() as u32, kept));
    }
    let mut file = CaptureFile::new(file.as_slice()).unwrap();
    let mut packets = Vec::new();
    while let Some(batch) = file.next_batch().unwrap() {
        packets.extend(batch.packets().map(|packet| packet.to_buf()));
    }
    packets
}

/// Key, packets and bytes of each flow.
fn flows(packets: &[PacketBuf]) -> Vec<(String, u64, u64)> {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    for packet in packets {
        tracker.track(&packet.as_packet(), &mut events);
    }
    assert!(!tracker.finish(&mut events));
    let ended = events.iter().filter_map(|event| match event {
        FlowEvent::Ended { key, stats, .. } => {
            Some((key.to_string(), stats.packets(), stats.bytes()))
        }
        _ => None,
    });
    let mut ended: Vec<_> = ended.collect();
    ended.sort();
    ended
}

fn wire_lengths(packets: &[PacketBuf]) -> Vec<u32> {
    packets.iter().map(|packet| packet.wire_len()).collect()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn lengths_and_flows_are_the_same_live_and_from_a_file() {
    let _ns = Netns::enter().unwrap();
    let (live, file) = (live(None), from_file(65_535));
    // The kernel moved the outer tag out of the bytes.
    let tags: Vec<_> = live.iter().map(|packet| packet.vlan().is_some()).collect();
    assert_eq!(tags, [false, true, true, true, true]);
    assert_eq!(
        live[2].vlan(),
        Some(VlanTag {
            tpid: 0x8100,
            tci: 0
        })
    );
    assert_eq!(wire_lengths(&live), [100, 104, 104, 108, 46]);
    assert_eq!(wire_lengths(&file), wire_lengths(&live));
    assert!(
        live.iter()
            .chain(&file)
            .all(|packet| !packet.as_packet().is_cut())
    );
    let bytes: Vec<_> = flows(&live)
        .into_iter()
        .map(|(_, _, bytes)| bytes)
        .collect();
    assert_eq!(bytes, [100, 104, 104, 108, 46]);
    assert_eq!(flows(&live), flows(&file));
}

/// A snap length counts the bytes as they are in the capture: a tag beside them takes no room.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_packet_is_cut_if_bytes_are_missing_and_not_because_a_tag_is_beside_them() {
    let _ns = Netns::enter().unwrap();
    let cut = |snap_len| {
        let packets = live(Some(snap_len));
        xtask::netns::ip("link del dev v0").unwrap();
        let lens = packets.iter().map(|packet| packet.data().len());
        let is_cut = packets.iter().map(|packet| packet.as_packet().is_cut());
        (
            lens.collect::<Vec<_>>(),
            is_cut.collect::<Vec<_>>(),
            wire_lengths(&packets),
            flows(&packets),
        )
    };
    let wire = vec![100, 104, 104, 108, 46];
    let file = flows(&from_file(65_535));
    let (lens, is_cut, lengths, flows) = cut(100);
    assert_eq!(lens, [100, 100, 100, 100, 42]);
    // With two tags the inner one is in the bytes, which are 104.
    assert_eq!(is_cut, [false, false, false, true, false]);
    assert_eq!((lengths, &flows), (wire.clone(), &file));
    let (lens, is_cut, lengths, flows) = cut(99);
    assert_eq!(lens, [99, 99, 99, 99, 42]);
    assert_eq!(is_cut, [true, true, true, true, false]);
    assert_eq!((lengths, &flows), (wire, &file));
}
