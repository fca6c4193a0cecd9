//! The metadata of veth's driver as a capture reports it: the tag that is not in the bytes, and the
//! hash; and what a capture without metadata reports.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use super::plain;
use crate::common;

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::time::Duration;

use common::attached::redirect;
use common::capture::*;
use common::*;
use netring_sys::{
    Clock, Count, Error, Interface, PacketBatch, PacketBuf, PacketSource, VlanTag, XdpMode,
};
use netring_xdp::program::{AttachMode, Metadata, Program};
use netring_xdp::{CopyMode, DriverMetadata, Mode, XdpCapture};
use plain::Plain;
use xtask::netns::{Netns, bridge, ip, veth, veth_with_queues};
use xtask::wire::{Sender, collect, numbered, udp4};

/// The tags of the tests: priority and identifier, another protocol, and the TCI 0, which means
/// "priority 0, no VLAN".
const TAGS: [VlanTag; 3] = [
    VlanTag {
        tpid: 0x8100,
        tci: 3 << 13 | 5,
    },
    VlanTag {
        tpid: 0x88a8,
        tci: 77,
    },
    VlanTag {
        tpid: 0x8100,
        tci: 0,
    },
];

/// The frame with this tag in its bytes.
fn tagged(plain: &[u8], tag: VlanTag) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    let ([t0, t1], [c0, c1]) = (tag.tpid.to_be_bytes(), tag.tci.to_be_bytes());
    bytes.splice(12..12, [t0, t1, c0, c1]);
    bytes
}

/// `v0`, connected to the port `v1` of a bridge. A tagged frame sent on `w0` arrives with its tag
/// beside the bytes, because the stack takes it out when the port `w1` receives the frame.
fn behind_a_bridge() -> Netns {
    let ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    bridge("br0", &["v1", "w1"]).unwrap();
    ns
}

fn packets(capture: &mut XdpCapture, count: usize) -> Vec<PacketBuf> {
    let packets = collect(capture, count, LIMIT).unwrap();
    assert_eq!(packets.len(), count);
    packets
}

/// Ways to iterate over the packets of a batch.
fn in_a_loop(capture: &mut XdpCapture) -> Vec<PacketBuf> {
    let batch = capture.next_batch_timeout(LIMIT).unwrap().batch().unwrap();
    let mut looped = Vec::new();
    for packet in batch.packets() {
        looped.push(packet.to_buf());
    }
    let mut folded = Vec::new();
    batch
        .packets()
        .for_each(|packet| folded.push(packet.to_buf()));
    let words = |packets: &[PacketBuf]| -> Vec<_> {
        let one = |packet: &PacketBuf| (packet.data().to_vec(), packet.vlan(), packet.rx_hash());
        packets.iter().map(one).collect()
    };
    assert_eq!(words(&looped), words(&folded));
    assert!(batch.packets().size_hint().1.unwrap() >= looped.len());
    looped
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_a_tag_beside_the_bytes_reaches_the_reader_of_a_capture() {
    for multi_buffer in [false, true] {
        let _ns = behind_a_bridge();
        let mut capture = builder(AttachMode::BestAvailable)
            .multi_buffer(multi_buffer)
            .build()
            .unwrap();
        assert!(capture.has_metadata());
        assert!(capture.why_no_metadata().is_none());
        assert_eq!(capture.mode(), Mode::NativeCopy);
        let (far, near) = (Sender::on("w0").unwrap(), Sender::on("v1").unwrap());
        for n in 0..60 {
            let tag = TAGS[n % 3];
            let plain = numbered(n as u64, 100);
            far.send(&tagged(&plain, tag)).unwrap();
            let packet = &packets(&mut capture, 1)[0];
            assert_eq!((packet.data(), packet.vlan()), (&plain[..], Some(tag)));
            assert_eq!((packet.wire_len(), packet.rx_hash()), (104, None));
            // A frame sent with the tag in its bytes keeps it there, and one without a tag has
            // none.
            for bytes in [tagged(&plain, tag), plain] {
                near.send(&bytes).unwrap();
                let packet = &packets(&mut capture, 1)[0];
                assert_eq!((packet.data(), packet.vlan()), (&bytes[..], None));
            }
        }
        let stats = adds_up(&mut capture);
        assert_eq!(
            (stats.offered, stats.delivered),
            (Count::Exact(180), Count::Exact(180))
        );
    }
}

/// Each packet of a batch has its own metadata, within the same loop.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s13_every_packet_of_a_batch_has_its_own_tag_and_hash() {
    let _ns = behind_a_bridge();
    let mut capture = builder(AttachMode::Native).rx_hash(true).build().unwrap();
    let far = Sender::on("w0").unwrap();
    // The kernel's hash includes the VLAN.
    let mut hashes: HashMap<(u16, u16), u32> = HashMap::new();
    for round in 0..100 {
        let flow = |n: u16| udp4(1 + (n + round) % 16, 9, &n.to_be_bytes());
        let tag = |n: u16| VlanTag {
            tpid: 0x8100,
            tci: n,
        };
        for n in 0..40 {
            far.send(&tagged(&flow(n), tag(n))).unwrap();
        }
        let mut got = Vec::new();
        while got.len() < 40 {
            got.extend(in_a_loop(&mut capture));
        }
        assert_eq!(got.len(), 40);
        for (n, packet) in (0..).zip(got) {
            assert_eq!((packet.data(), packet.vlan()), (&flow(n)[..], Some(tag(n))));
            let hash = packet.rx_hash().unwrap();
            let of = ((n + round) % 16, n);
            assert_eq!(*hashes.entry(of).or_insert(hash), hash);
            // veth has no clock, so the time is that of the batch.
            assert_eq!(packet.timestamp().clock(), Clock::Process);
        }
    }
    assert_eq!(hashes.values().collect::<HashSet<_>>().len(), 16 * 40);
    assert_eq!(adds_up(&mut capture).delivered, Count::Exact(4000));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_hash_of_a_capture_is_what_stands_before_the_packet() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let sender = Sender::on("v1").unwrap();
    let frame = |n: u16| udp4(n, 9, &[1; 30]);
    let mut read = Vec::new();
    {
        let program = Program::redirect().metadata(&v0).load().unwrap();
        let mut attachment = program.attach(&v0, AttachMode::Native).unwrap();
        let mut socket = Plain::bind(&v0, 0, 1024);
        attachment.set_socket(0, socket.as_fd()).unwrap();
        for n in 0..50 {
            sender.send(&frame(n)).unwrap();
            let (before, _) = socket.receive_with(Metadata::LEN, LIMIT).unwrap();
            read.push(Metadata::read(before.first_chunk().unwrap()).unwrap().hash);
        }
    }
    let mut capture = builder(AttachMode::Native).rx_hash(true).build().unwrap();
    (0..50).for_each(|n| sender.send(&frame(n)).unwrap());
    let got: Vec<_> = packets(&mut capture, 50)
        .iter()
        .map(|p| p.rx_hash())
        .collect();
    assert_eq!(got, read);
    assert!(read.iter().all(Option::is_some));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn metadata_comes_through_every_queue_and_to_every_worker() {
    let _ns = Netns::enter().unwrap();
    veth_with_queues("v0", "v1", 2).unwrap();
    let capture = builder(AttachMode::Native).rx_hash(true).build().unwrap();
    assert!(capture.has_metadata());
    let sender = Sender::on("v1").unwrap();
    let frame = |n: u16| udp4(n, 9, &n.to_be_bytes().repeat(20));
    (0..200).for_each(|n| sender.send(&frame(n)).unwrap());
    let mut workers = capture.into_workers().unwrap();
    let (mut hashes, mut of_each) = (HashSet::new(), [0, 0]);
    for (worker, of_queue) in workers.iter_mut().zip(&mut of_each) {
        assert!(worker.has_metadata());
        for packet in collect(worker, 200, Duration::from_millis(200)).unwrap() {
            hashes.insert(packet.rx_hash().unwrap());
            *of_queue += 1;
        }
        adds_up(worker);
    }
    assert_eq!(of_each.iter().sum::<u32>(), 200);
    assert!(of_each.iter().all(|count| *count > 40), "{of_each:?}");
    assert_eq!(hashes.len(), 200, "a hash for each flow");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn metadata_of_a_packet_in_several_chunks_is_that_of_its_first() {
    let _ns = behind_a_bridge();
    for end in ["v0", "v1", "w0", "w1"] {
        ip(&format!("link set {end} mtu 9000")).unwrap();
    }
    let mut capture = builder(AttachMode::BestAvailable)
        .multi_buffer(true)
        .rx_hash(true)
        .build()
        .unwrap();
    assert!(capture.has_metadata());
    assert_eq!(capture.mode(), Mode::NativeCopy);
    let (far, near) = (Sender::on("w0").unwrap(), Sender::on("v1").unwrap());
    let mut hashes = HashSet::new();
    for n in 0..60 {
        let tag = TAGS[n % 3];
        let plain = udp4(n as u16, 9, &vec![n as u8; 50 + 140 * n]);
        far.send(&tagged(&plain, tag)).unwrap();
        near.send(&tagged(&plain, tag)).unwrap();
        let got = packets(&mut capture, 2);
        assert_eq!((got[0].data(), got[0].vlan()), (&plain[..], Some(tag)));
        assert_eq!(got[1].data(), tagged(&plain, tag));
        assert_eq!(got[1].vlan(), None);
        hashes.insert(got[0].rx_hash().unwrap());
    }
    assert_eq!(hashes.len(), 60);
    assert_eq!(adds_up(&mut capture).delivered, Count::Exact(120));
}

/// The capture reports missing metadata, and otherwise works as before.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn without_metadata_the_capture_says_why_and_works_as_before() {
    let _ns = behind_a_bridge();
    let (far, near) = (Sender::on("w0").unwrap(), Sender::on("v1").unwrap());
    let receives = |capture: &mut XdpCapture| {
        let plain = numbered(1, 100);
        far.send(&tagged(&plain, TAGS[0])).unwrap();
        near.send(&tagged(&plain, TAGS[0])).unwrap();
        let got = packets(capture, 2);
        // The tag beside the bytes is unknown, which the capture indicates by having no metadata.
        assert_eq!((got[0].data(), got[0].vlan()), (&plain[..], None));
        assert_eq!(got[1].data(), tagged(&plain, TAGS[0]));
        assert!(got.iter().all(|packet| packet.rx_hash().is_none()));
        assert!(!capture.has_metadata());
        adds_up(capture);
    };
    let why = |capture: &XdpCapture| capture.why_no_metadata().unwrap().to_string();

    let mut capture = builder(AttachMode::Generic).build().unwrap();
    assert_eq!(capture.mode(), Mode::GenericCopy);
    assert_eq!(why(&capture), "metadata: generic mode has no driver to ask");
    receives(&mut capture);
    drop(capture);

    let mut capture = builder(AttachMode::Native)
        .metadata(DriverMetadata::No)
        .build()
        .unwrap();
    assert_eq!(capture.mode(), Mode::NativeCopy);
    assert!(capture.why_no_metadata().is_none(), "it was not tried");
    receives(&mut capture);
    drop(capture);

    // With this MTU the driver accepts no program, with metadata or without.
    ip("link set v1 mtu 9000").unwrap();
    let single = builder(AttachMode::BestAvailable).multi_buffer(false);
    let mut capture = single.build().unwrap();
    assert_eq!(capture.mode(), Mode::GenericCopy);
    let without = capture.why_not_native().unwrap().to_string();
    assert_eq!(why(&capture), without);
    assert!(without.contains("3506"), "{without}");
    receives(&mut capture);
    drop(capture);
    assert_eq!(Interface::by_name("v0").unwrap().xdp, None);

    // lo has generic mode only, and its driver provides no metadata.
    let capture = XdpCapture::open("lo").unwrap();
    assert_eq!(capture.mode(), Mode::GenericCopy);
    assert!(!capture.has_metadata());
    assert_eq!(
        why(&capture),
        "metadata: the driver of lo does not provide VLAN tags to XDP programs"
    );
    drop(capture);
    let builder = XdpCapture::builder().interface("lo").rx_hash(true);
    let error = builder.metadata(DriverMetadata::Require).build();
    assert_eq!(
        error.unwrap_err().to_string(),
        "metadata: the driver of lo does not provide VLAN tags or hashes to XDP programs"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn required_metadata_is_provided_or_nothing_opens() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let required = |mode| builder(mode).metadata(DriverMetadata::Require);
    for mode in [AttachMode::Native, AttachMode::BestAvailable] {
        assert!(required(mode).build().unwrap().has_metadata());
    }
    let error = required(AttachMode::Generic).build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "metadata: generic mode has no driver to ask"
    );
    ip("link set v1 mtu 9000").unwrap();
    let single = required(AttachMode::BestAvailable).multi_buffer(false);
    let error = single.build().unwrap_err();
    assert!(error.to_string().contains("3506"), "{error}");
    // With multi-buffer, which is the default, the driver has no such limit.
    let several = required(AttachMode::BestAvailable).build().unwrap();
    assert!(several.has_metadata() && several.longest().is_none());
    drop(several);
    assert_eq!(Interface::by_name("v0").unwrap().xdp, None);
    // For a foreign program both report the same.
    ip("link set v1 mtu 1500").unwrap();
    let foreign = redirect("v0", AttachMode::Native).unwrap();
    for metadata in [
        DriverMetadata::No,
        DriverMetadata::Try,
        DriverMetadata::Require,
    ] {
        let error = builder(AttachMode::BestAvailable)
            .metadata(metadata)
            .build()
            .unwrap_err();
        assert!(
            matches!(&error, Error::ProgramInTheWay { id, .. } if *id == foreign.program_id()),
            "{error}"
        );
    }
    // Requesting a part of it counts as requesting it.
    let without = || builder(AttachMode::Native).metadata(DriverMetadata::No);
    let of_setting = [
        ("rx_hash", without().rx_hash(true)),
        ("hardware_timestamps", without().hardware_timestamps(true)),
    ];
    for (setting, builder) in of_setting {
        let error = builder.build().unwrap_err();
        assert!(
            matches!(&error, Error::Config { setting: reported, .. } if *reported == setting),
            "{error}"
        );
    }
}

/// Metadata of the user's own program is read if the program is known to write it, or declared to.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_users_own_program_is_read_from_where_it_writes() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let v0 = Interface::by_name("v0").unwrap();
    let sender = Sender::on("v1").unwrap();
    let cases = [
        (true, DriverMetadata::Try, true, true),
        (true, DriverMetadata::Require, true, true),
        (true, DriverMetadata::No, false, false),
        (false, DriverMetadata::Try, false, false),
        // The program is declared to write metadata, and does not: nothing is made up.
        (false, DriverMetadata::Require, true, false),
    ];
    for (writes, metadata, reads, there) in cases {
        let program = Program::redirect();
        let program = if writes {
            program.metadata(&v0)
        } else {
            program
        };
        let program = program.load().unwrap();
        assert_eq!(program.has_metadata(), writes);
        let mut capture = builder(AttachMode::Native)
            .program(program)
            .metadata(metadata)
            .build()
            .unwrap();
        assert_eq!(capture.has_metadata(), reads);
        let reported = capture.why_no_metadata().map(ToString::to_string);
        assert_eq!(
            reported.is_some(),
            metadata == DriverMetadata::Try && !writes
        );
        assert!(reported.is_none_or(|why| why.contains("DriverMetadata::Require")));
        for n in 0..3000 {
            sender.send(&numbered(n, 80)).unwrap();
            if n % 100 == 99 {
                for (n, packet) in (n - 99..).zip(packets(&mut capture, 100)) {
                    assert_eq!(packet.data(), numbered(n, 80));
                    assert_eq!(packet.rx_hash().is_some(), there);
                }
            }
        }
        adds_up(&mut capture);
    }
}

/// A reader that leaves a loop gets the same for each packet as one that keeps packets.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s7_a_loop_that_is_left_goes_on_with_the_metadata_of_the_next() {
    use std::ops::ControlFlow;
    let _ns = behind_a_bridge();
    let mut capture = builder(AttachMode::Native)
        .copy_mode(CopyMode::Copy)
        .build()
        .unwrap();
    let far = Sender::on("w0").unwrap();
    let tag = |n: u16| VlanTag {
        tpid: 0x8100,
        tci: n,
    };
    for n in 0..30 {
        far.send(&tagged(&numbered(u64::from(n), 90), tag(n)))
            .unwrap();
    }
    for n in 0..30 {
        let broke = capture.try_for_each(|packet| ControlFlow::Break(packet.to_buf()));
        let packet = broke.unwrap().unwrap();
        assert_eq!(packet.data(), numbered(u64::from(n), 90));
        assert_eq!(packet.vlan(), Some(tag(n)));
    }
    assert_eq!(adds_up(&mut capture).delivered, Count::Exact(30));
    assert_eq!(
        Interface::by_name("v0").unwrap().xdp.unwrap().mode,
        XdpMode::Native
    );
}
