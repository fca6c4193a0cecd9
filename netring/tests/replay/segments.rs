//! Super-packets: each segment byte for byte, its checksums by their definition, and packets that
//! cannot be segmented.

use netring::replay::Replay;
use netring::{Checksum, Offload};
use netring_sys::kernel::packet::virtio_net_hdr;
use xtask::wire::{tcp4, udp4};

use super::given::{ethernet, given, wire};
use super::{balances, replayed};

/// The ones' complement sum of bytes: 0xffff if they contain a correct checksum.
fn sum(parts: &[&[u8]]) -> u32 {
    let mut sum = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = sum % 0x10000 + sum / 0x10000;
    }
    sum
}

/// Checks the checksums of an untagged TCP segment over IPv4.
#[track_caller]
fn sums_are_right(frame: &[u8]) {
    assert_eq!(sum(&[&frame[14..34]]), 0xffff, "IPv4");
    let length = (frame.len() as u32 - 34).to_be_bytes();
    let pseudo = [&frame[26..34], &[0, 6], &length];
    assert_eq!(
        sum(&[pseudo[0], pseudo[1], pseudo[2], &frame[34..]]),
        0xffff
    );
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

/// A super-packet as a sending host captures it: the IP length may be 0, and the checksum is not
/// final.
fn joined(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = tcp4(1000, 80, u32::MAX - 1000, flags & 0x1f, &[]);
    frame.extend_from_slice(payload);
    let length = u16::try_from(frame.len() - 14).unwrap_or(0);
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    frame[18..20].copy_from_slice(&[0xff, 0xff]);
    frame[47] = flags;
    frame[50..52].copy_from_slice(&[0xde, 0xad]);
    frame
}

/// Compares segments with those that another program builds, except for identification and
/// checksums, which are checked by their definition.
#[track_caller]
fn are_segments(sent: &[Vec<u8>], flags: &[u8], payload: &[u8], size: usize) {
    let chunks: Vec<_> = payload.chunks(size).collect();
    assert_eq!(sent.len(), chunks.len());
    for (index, (frame, chunk)) in sent.iter().zip(&chunks).enumerate() {
        let sequence = (u32::MAX - 1000).wrapping_add((index * size) as u32);
        let mut expected = tcp4(1000, 80, sequence, 0x10, chunk);
        expected[47] = flags[index];
        let id = 0xffff_u16.wrapping_add(index as u16);
        expected[18..20].copy_from_slice(&id.to_be_bytes());
        for sums in [24..26, 50..52] {
            expected[sums.clone()].copy_from_slice(&frame[sums]);
        }
        assert_eq!(*frame, expected, "segment {index}");
        sums_are_right(frame);
    }
}

#[test]
fn a_long_tcp_packet_is_cut_into_segments() {
    let data = payload(5000);
    // CWR, PSH, ACK and FIN.
    let frame = joined(0x99, &data);
    let (sent, stats) = replayed(&[ethernet(&frame)]);
    are_segments(&sent, &[0x90, 0x10, 0x10, 0x19], &data, 1460);
    assert_eq!((stats.committed, stats.segmented, stats.frames), (1, 1, 4));
    assert_eq!(stats.bytes, 5000 + 4 * 54);
    // Without a length, longer than any length field can express.
    let data = payload(100_000);
    let (sent, _) = replayed(&[ethernet(&joined(0x10, &data))]);
    are_segments(&sent, &[0x10; 69], &data, 1460);
    // Short, but without a length.
    let mut short = joined(0x18, &data[..500]);
    short[16..18].fill(0);
    let (sent, _) = replayed(&[ethernet(&short)]);
    are_segments(&sent, &[0x18], &data[..500], 1460);
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let data = payload(5000);
    let long = |flags| joined(flags, &data);
    let frames = [long(0x12), long(0x14), long(0x30)];
    // A fragment, a header that is longer than the packet, and a length that is longer.
    let mut broken = [long(0x10), long(0x10), long(0x10)];
    broken[0][20] = 0x20;
    broken[1][46] = 0x10;
    broken[2][16] = 0xff;
    let packets: Vec<_> = frames
        .iter()
        .chain(&broken)
        .map(|it| ethernet(it))
        .collect();
    let (sent, stats) = replayed(&packets);
    assert_eq!((sent.len(), stats.refused.too_long), (0, 6));
    let mut replay = Replay::new(wire()).unwrap().mtu(1500).segment(false);
    let stats = replay
        .run(&mut given([ethernet(&long(0x10)).to_buf()]))
        .unwrap();
    assert_eq!((stats.refused.too_long, stats.frames), (1, 0));
}

/// TCP over IPv6, with a jumbo payload header if it is longer than IPv6's length can express.
fn tcp6(jumbo: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
    let length = (payload.len() + 20) as u32;
    match jumbo {
        false => frame.extend_from_slice(&[(length >> 8) as u8, length as u8, 6, 64]),
        true => frame.extend_from_slice(&[0, 0, 0, 64]),
    }
    frame.extend_from_slice(&[0xfd; 16]);
    frame.extend_from_slice(&[0xfe; 16]);
    if jumbo {
        frame.extend_from_slice(&[6, 0, 0xc2, 4]);
        frame.extend_from_slice(&(length + 8).to_be_bytes());
    }
    frame.extend_from_slice(&tcp4(1000, 80, 7, 0x18, &[])[34..54]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn ipv6_is_cut_with_and_without_a_jumbo_length() {
    for (jumbo, len) in [(false, 3000), (true, 3000), (true, 90_001)] {
        let data = payload(len);
        let (sent, stats) = replayed(&[ethernet(&tcp6(jumbo, &data))]);
        let chunks: Vec<_> = data.chunks(1440).collect();
        assert_eq!((sent.len(), stats.segmented), (chunks.len(), 1));
        for (index, (frame, chunk)) in sent.iter().zip(&chunks).enumerate() {
            let mut expected = tcp6(false, chunk);
            expected[58..62].copy_from_slice(&(7 + index as u32 * 1440).to_be_bytes());
            expected[67] = if index + 1 == chunks.len() {
                0x18
            } else {
                0x10
            };
            expected[70..72].copy_from_slice(&frame[70..72]);
            assert_eq!(*frame, expected, "segment {index}");
            let length = [0, 0, frame[18], frame[19]];
            let parts = [&frame[22..54], &length[..], &[0, 6], &frame[54..]];
            assert_eq!(sum(&parts), 0xffff);
        }
    }
}

/// Frames of random bytes: none causes a panic, none that is sent is too long, and each is in one
/// figure.
#[test]
fn frames_that_make_no_sense_are_sent_or_refused() {
    let data = payload(3000);
    let good = [
        joined(0x18, &data),
        joined(0x18, &data[..200]),
        tcp6(true, &data),
        tcp6(false, &data),
        udp4(1, 2, &data),
        udp4(1, 2, &data[..9]),
    ];
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    let mut frames = Vec::new();
    for n in 0..20_000 {
        let mut frame = good[n % good.len()].clone();
        for _ in 0..=random(4) {
            let at = 10 + random(70);
            if let Some(byte) = frame.get_mut(at) {
                *byte = [0, 0xff, 1, random(256) as u8][random(4)];
            }
        }
        if random(3) == 0 {
            frame.truncate(random(100));
        }
        frames.push(frame);
    }
    for fix in [false, true] {
        let mut replay = Replay::new(wire()).unwrap().mtu(1500).fix_checksums(fix);
        let packets = frames.iter().map(|frame| ethernet(frame).to_buf());
        let stats = replay.run(&mut given(packets)).unwrap();
        balances(&stats);
        assert_eq!((stats.read, stats.unsent), (20_000, 0));
        assert!(stats.segmented > 100 && stats.refused.unsegmentable > 100);
        let sent = replay.into_sink().sent;
        assert_eq!(sent.len() as u64, stats.frames);
        assert!(sent.iter().all(|frame| (14..=1518).contains(&frame.len())));
    }
}

/// The kernel's metadata for a datagram that the card was to segment.
fn cut_into(kind: u8, size: u16) -> Offload {
    let header = virtio_net_hdr {
        flags: 1,
        gso_type: kind,
        gso_size: size,
        ..virtio_net_hdr::default()
    };
    header.into()
}

/// UDP over IPv6.
fn udp6(payload: &[u8]) -> Vec<u8> {
    let mut frame = tcp6(false, payload);
    let length = (payload.len() + 8) as u16;
    frame[18..20].copy_from_slice(&length.to_be_bytes());
    frame[20] = 17;
    frame.splice(54..74, [4, 0, 0, 53, 0, 0, 0, 0]);
    frame[58..60].copy_from_slice(&length.to_be_bytes());
    frame
}

const USO: u8 = 5;
const UFO: u8 = 3;

#[test]
fn a_long_udp_packet_is_cut_into_the_datagrams_that_it_stands_for() {
    for len in [2500, 1000, 300] {
        let data = payload(len);
        let chunks: Vec<_> = data.chunks(1000).collect();
        let mut four = udp4(1000, 53, &data);
        // A checksum that does not match the packet, and an identification that wraps.
        four[40..42].copy_from_slice(&[0xde, 0xad]);
        four[18..20].copy_from_slice(&[0xff, 0xff]);
        let mut no_length = [four.clone(), udp6(&data)];
        no_length[0][16..18].fill(0);
        no_length[1][18..20].fill(0);
        let [four_without, six_without] = no_length;
        for frame in [four, four_without, udp6(&data), six_without] {
            let packet = ethernet(&frame).with_offload(Some(cut_into(USO, 1000)));
            let (sent, stats) = replayed(&[packet.with_checksum(Checksum::Partial)]);
            assert_eq!((sent.len(), stats.segmented), (chunks.len(), 1));
            for (index, (sent, chunk)) in sent.iter().zip(&chunks).enumerate() {
                let is_v6 = frame[12] == 0x86;
                let mut expected = if is_v6 {
                    udp6(chunk)
                } else {
                    udp4(1000, 53, chunk)
                };
                let (addresses, transport) = if is_v6 { (22..54, 54) } else { (26..34, 34) };
                if !is_v6 {
                    let id = 0xffff_u16.wrapping_add(index as u16);
                    expected[18..20].copy_from_slice(&id.to_be_bytes());
                    expected[24..26].copy_from_slice(&sent[24..26]);
                    assert_eq!(sum(&[&sent[14..34]]), 0xffff, "IPv4");
                }
                expected[transport + 6..transport + 8]
                    .copy_from_slice(&sent[transport + 6..transport + 8]);
                assert_eq!(*sent, expected, "datagram {index}");
                let length = &sent[transport + 4..transport + 6];
                let parts = [&sent[addresses], length, &[0, 17], &sent[transport..]];
                assert_eq!(sum(&parts), 0xffff);
            }
        }
    }
}

/// The size of a datagram has a meaning: none is guessed, and none is made smaller.
#[test]
fn a_udp_packet_of_unknown_or_too_long_datagrams_is_refused() {
    let long = udp4(1, 2, &payload(3000));
    let mut no_length = [long.clone(), udp6(&payload(3000))];
    no_length[0][16..18].fill(0);
    no_length[1][18..20].fill(0);
    let offload = |kind, size| ethernet(&long).with_offload(Some(cut_into(kind, size)));
    let (sent, stats) = replayed(&[
        ethernet(&long),
        ethernet(&no_length[0]),
        ethernet(&no_length[1]),
        offload(USO, 1473),
        offload(USO, 0),
        offload(UFO, 1000),
        // As TCP, which it is not.
        offload(1, 1000),
    ]);
    assert_eq!((sent.len(), stats.segmented), (0, 0));
    let refused = stats.refused;
    assert_eq!((refused.too_long, refused.unsegmentable), (1, 6));
    let (sent, stats) = replayed(&[offload(USO, 1472)]);
    assert_eq!((sent.len(), stats.segmented), (3, 1));
}
