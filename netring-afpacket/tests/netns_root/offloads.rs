//! Checksums and segments that are requested with a frame, as the reader of a TAP interface gets
//! them: it has no offloads, so the kernel does what was requested.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use netring_afpacket::{CopyMode, Injector, Segmentation};
use netring_sys::{Count, PacketSink, PacketSlot};
use xtask::netns::Netns;
use xtask::wire::{tcp4, udp4};

use crate::tun::tap;

const LIMIT: Duration = Duration::from_secs(10);
/// Where the transport header of a frame without a tag starts.
const TRANSPORT: usize = 34;

fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|two| match *two {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        _ => u32::from(two[0]) << 8,
    });
    words.sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo-header of a frame whose network header starts at `ip`.
fn pseudo(frame: &[u8], ip: usize) -> u32 {
    let len = (frame.len() - ip - 20) as u32;
    sum(&frame[ip + 12..ip + 20]) + u32::from(frame[ip + 9]) + len
}

/// The frame as it is submitted: with the sum of the pseudo-header in place of the checksum.
fn partial(frame: &[u8], ip: usize, offset: usize) -> Vec<u8> {
    let mut partial = frame.to_vec();
    let at = ip + 20 + offset;
    partial[at..at + 2].copy_from_slice(&fold(pseudo(frame, ip)).to_be_bytes());
    partial
}

fn is_valid(frame: &[u8]) -> bool {
    let header = fold(sum(&frame[14..TRANSPORT])) == 0xffff;
    header && fold(pseudo(frame, 14) + sum(&frame[TRANSPORT..])) == 0xffff
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 256) as u8).collect()
}

fn read(wire: &mut File) -> Vec<u8> {
    let mut frame = vec![0; 1 << 17];
    let len = wire.read(&mut frame).unwrap();
    frame.truncate(len);
    frame
}

fn injector(mode: CopyMode) -> Injector {
    let builder = Injector::builder("tap0").offloads(true).slots(3);
    builder.copy_mode(mode).build().unwrap()
}

const MODES: [CopyMode; 2] = [CopyMode::Copy, CopyMode::ZeroCopy];

/// With a tag in the bytes the offsets are four more; and a slot forgets what was requested with
/// the frame before.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p24_a_requested_checksum_is_computed_and_the_next_frame_of_the_slot_is_left_alone() {
    let _ns = Netns::enter().unwrap();
    let mut wire = tap("tap0");
    for mode in MODES {
        let mut injector = injector(mode);
        for round in 0..10 {
            let frame = udp4(1000, round, &payload(100 + usize::from(round)));
            let mut tagged = frame.clone();
            tagged.splice(12..12, [0x81, 0, 0, 5]);
            let mut bad = frame.clone();
            bad[TRANSPORT + 6..TRANSPORT + 8].copy_from_slice(&[0xba, 0xad]);
            for (frame, ip, requested) in
                [(&frame, 14, true), (&bad, 14, false), (&tagged, 18, true)]
            {
                let mut slot = injector.slot(frame.len()).unwrap().unwrap();
                match requested {
                    true => {
                        slot.copy_from_slice(&partial(frame, ip, 6));
                        slot.request_checksum(ip + 20, 6).unwrap();
                    }
                    false => slot.copy_from_slice(frame),
                }
                slot.commit();
                assert_eq!(injector.drain(LIMIT).unwrap(), 0);
                assert_eq!(read(&mut wire), *frame);
            }
        }
        assert_eq!(injector.stats().unwrap().sent, Count::Exact(30));
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p24_a_long_frame_is_cut_into_segments_with_headers_of_their_own() {
    let _ns = Netns::enter().unwrap();
    let mut wire = tap("tap0");
    for mode in MODES {
        let mut injector = injector(mode);
        for (what, headers, offset) in [(Segmentation::Udp, 42, 6), (Segmentation::Tcp4, 54, 16)] {
            let payload = payload(5300);
            let frame = match what {
                Segmentation::Udp => udp4(1, 2, &payload),
                _ => tcp4(1, 2, 1_000_000, 16, &payload),
            };
            let mut slot = injector.slot(frame.len()).unwrap().unwrap();
            slot.copy_from_slice(&partial(&frame, 14, offset));
            slot.request_checksum(TRANSPORT, offset).unwrap();
            slot.request_segmentation(what, headers, 1000).unwrap();
            slot.commit();
            // An ordinary frame behind it, which is not segmented.
            assert!(injector.send(&udp4(3, 4, b"behind it")).unwrap());
            assert_eq!(injector.drain(LIMIT).unwrap(), 0);
            for (n, part) in payload.chunks(1000).enumerate() {
                let segment = read(&mut wire);
                assert_eq!(segment[headers..], *part, "segment {n}");
                assert!(is_valid(&segment), "segment {n}: {segment:?}");
                if what == Segmentation::Tcp4 {
                    let sequence = segment[38..42].first_chunk().copied();
                    let sequence = sequence.map(u32::from_be_bytes);
                    assert_eq!(sequence, Some(1_000_000 + 1000 * n as u32));
                }
            }
            assert_eq!(read(&mut wire), udp4(3, 4, b"behind it"));
        }
        // A frame counts once, whatever it becomes.
        let stats = injector.stats().unwrap();
        assert_eq!((stats.committed, stats.sent), (4, Count::Exact(4)));
    }
}

/// The longest IP packet, at a boundary that is the last one.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p24_the_longest_packet_is_segmented_whole() {
    let _ns = Netns::enter().unwrap();
    let mut wire = tap("tap0");
    for mode in MODES {
        let mut injector = injector(mode);
        let payload = payload(65_535 - 40);
        let frame = tcp4(1, 2, 7, 16, &payload);
        assert_eq!(frame.len(), 65_549);
        let mut slot = injector.slot(frame.len()).unwrap().unwrap();
        slot.copy_from_slice(&partial(&frame, 14, 16));
        slot.request_checksum(TRANSPORT, 16).unwrap();
        slot.request_segmentation(Segmentation::Tcp4, 54, 1460)
            .unwrap();
        slot.commit();
        assert_eq!(injector.flush().unwrap(), 0);
        let mut received: Vec<u8> = Vec::new();
        while received.len() < payload.len() {
            let segment = read(&mut wire);
            assert!(is_valid(&segment));
            received.extend(&segment[54..]);
        }
        assert_eq!(received, payload);
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        // Without the request it is as long as any other that is too long.
        let mut slot = injector.slot(frame.len()).unwrap().unwrap();
        slot.copy_from_slice(&frame);
        slot.commit();
        assert!(injector.send(&frame).is_err());
        assert!(injector.slot(70_000).is_err());
        assert_eq!(injector.drain(LIMIT).unwrap(), 0);
        assert_eq!(injector.rejected().too_long, 1);
    }
}
