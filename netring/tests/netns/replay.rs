//! Capture files replayed through an injector, as seen from the other end of the wire: by a plain
//! socket, by the kernel's timestamps, and by the kernel's own TCP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use netring::adapters::Limit;
use netring::pcap::{CaptureFile, CaptureWriter, Format};
use netring::replay::{Replay, ReplayStats, Speed};
use netring::{
    Capture, Clock, Count, Error, Injector, Interface, LinkType, OpenSink, Packet, PacketSink,
    PacketWriter, Profile, Timestamp, VlanTag, XdpInjector,
};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sniffer, collect, number, numbered, tcp4};

use crate::program::{Program, argument_is_named};

const LIMIT: Duration = Duration::from_secs(10);
const MS: i64 = 1_000_000;

/// A capture file that is deleted when the test ends.
struct File(PathBuf);

impl File {
    fn of<'a>(name: &str, packets: impl IntoIterator<Item = Packet<'a>>) -> Self {
        let name = format!("netring-replay-{}-{name}.pcapng", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut writer = CaptureWriter::create(&path, Format::PcapNg).unwrap();
        for packet in packets {
            assert!(writer.write(&packet).unwrap());
        }
        writer.finish().unwrap();
        Self(path)
    }

    /// Numbered frames at these times.
    fn numbered(name: &str, times: &[i64]) -> Self {
        let frames: Vec<_> = (0..times.len()).map(|n| numbered(n as u64, 100)).collect();
        Self::of(
            name,
            frames.iter().zip(times).map(|(it, time)| at(*time, it)),
        )
    }

    fn open(&self) -> CaptureFile<impl std::io::Read + use<>> {
        CaptureFile::open(&self.0).unwrap()
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn at(time: i64, frame: &[u8]) -> Packet<'_> {
    let time = Timestamp::from_nanos(1_700_000_000_000 * MS + time, Clock::Unknown);
    Packet::new(frame, time, LinkType::ETHERNET)
}

fn replay() -> Replay<Injector> {
    Replay::open("v0").unwrap()
}

#[track_caller]
fn everything_was_sent<K: PacketSink>(replay: &mut Replay<K>, frames: u64) -> ReplayStats {
    let (stats, sink) = (replay.stats(), replay.sink_mut().stats().unwrap());
    assert_eq!((stats.frames, stats.in_flight), (frames, 0), "{stats}");
    assert_eq!((sink.committed, sink.sent), (frames, Count::Exact(frames)));
    assert_eq!(stats.read, stats.committed + stats.refused.total());
    stats
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_file_arrives_byte_for_byte_with_its_tags() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    arrives::<Injector>();
    arrives::<XdpInjector>();
}

fn arrives<K: PacketSink + OpenSink>() {
    let sniffer = Sniffer::on("v1").unwrap();
    let frames: Vec<_> = (60..1515)
        .step_by(31)
        .map(|len| numbered(len as u64, len))
        .collect();
    let long = numbered(1, 1515);
    let tag = VlanTag {
        tpid: 0x88a8,
        tci: 7,
    };
    let packets = frames.iter().map(|frame| at(0, frame));
    let special = [
        at(0, &frames[0]).with_vlan(Some(tag)),
        at(0, &long),
        at(0, &frames[1]).with_wire_len(1514),
    ];
    let file = File::of("bytes", packets.chain(special));
    let replay = Replay::<K>::open("v0").unwrap();
    let mut replay = replay.speed(Speed::Fastest).unwrap();
    let stats = replay.run(&mut file.open()).unwrap();
    let count = frames.len() as u64;
    everything_was_sent(&mut replay, count + 1);
    assert_eq!((stats.read, stats.committed), (count + 3, count + 1));
    assert_eq!((stats.refused.too_long, stats.refused.cut), (1, 1));
    for frame in &frames {
        assert_eq!(sniffer.receive(LIMIT).unwrap().as_ref(), Some(frame));
    }
    // A plain socket shows a frame without the tag, which the kernel takes out; the rest is equal.
    assert_eq!(sniffer.receive(LIMIT).unwrap().as_ref(), Some(&frames[0]));
    assert_eq!(sniffer.receive(Duration::from_millis(50)).unwrap(), None);
}

/// The errors of the gaps between packets as the kernel stamped them at the receiver, sorted, and
/// the time from the first packet to the last, less the delay that was not caught up.
fn gaps(speed: Speed, times: &[i64], factor: i64) -> (Vec<i64>, i64) {
    let file = File::numbered("gaps", times);
    let builder = Capture::builder().interface("v1");
    let mut capture = builder.profile(Profile::Immediate).build().unwrap();
    let mut replay = replay().speed(speed).unwrap();
    let sender = thread::scope(|scope| {
        let sent = scope.spawn(|| replay.run(&mut file.open()).unwrap());
        let packets = collect(&mut capture, times.len(), LIMIT).unwrap();
        (packets, sent.join().unwrap())
    });
    let (packets, stats) = sender;
    assert_eq!(
        (packets.len(), stats.frames),
        (times.len(), times.len() as u64)
    );
    let seen: Vec<_> = packets.iter().map(|it| it.timestamp().as_nanos()).collect();
    let recorded = times.windows(2).map(|pair| (pair[1] - pair[0]) / factor);
    let mut errors: Vec<_> = seen
        .windows(2)
        .zip(recorded)
        .map(|(pair, gap)| (pair[1] - pair[0] - gap).abs())
        .collect();
    errors.sort_unstable();
    for (n, packet) in packets.iter().enumerate() {
        assert_eq!(number(packet.as_packet().data()), Some(n as u64));
    }
    let lost = i64::try_from(stats.lost.as_nanos()).unwrap();
    (errors, seen[seen.len() - 1] - seen[0] - lost)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn recorded_gaps_are_kept_on_the_wire() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    // 4, 8, 12, 4 … ms apart.
    let mut time = 0;
    let times: Vec<_> = (0..100)
        .map(|n| {
            let now = time;
            time += (n % 3 + 1) * 4 * MS;
            now
        })
        .collect();
    let whole = times[99];
    for (speed, factor) in [(Speed::Recorded, 1), (Speed::Factor(2.0), 2)] {
        // A machine with other work sends late, but does not do so in each run.
        let on_time = (0..40).any(|_| {
            let (errors, took) = gaps(speed, &times, factor);
            println!(
                "{speed:?}: {} ns median error, {} ns at most",
                errors[49], errors[98]
            );
            errors[49] < MS / 2 && (took - whole / factor).abs() < 200 * MS
        });
        assert!(on_time, "{speed:?}");
    }
}

/// A figure of `/proc/net/snmp` in this namespace.
fn snmp(protocol: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with(protocol));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|it| it == name).unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_kernel_takes_each_segment_of_a_super_packet() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    ip("address add 10.0.0.2/24 dev v1").unwrap();
    let target = Interface::by_name("v1").unwrap().address.unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let addressed = |len: usize| {
        let mut frame = tcp4(1000, 80, 5, 0x18, &[]);
        frame[..6].copy_from_slice(&target);
        frame.resize(54 + len, 0x5a);
        let length = u16::try_from(40 + len).unwrap_or(0);
        frame[16..18].copy_from_slice(&length.to_be_bytes());
        frame
    };
    let frames = [addressed(20_000), addressed(70_000)];
    let file = File::of("super", frames.iter().map(|frame| at(0, frame)));
    let before = ["InSegs", "InErrs", "InCsumErrors", "OutRsts"].map(|it| snmp("Tcp:", it));
    let header_errors = snmp("Ip:", "InHdrErrors");
    let mut replay = replay();
    replay.run(&mut file.open()).unwrap();
    let count = 20_000_u64.div_ceil(1460) + 70_000_u64.div_ceil(1460);
    let stats = everything_was_sent(&mut replay, count);
    assert_eq!((stats.committed, stats.segmented), (2, 2));
    let mut bytes = 0;
    for _ in 0..count {
        bytes += sniffer.receive(LIMIT).unwrap().unwrap().len() - 54;
    }
    assert_eq!(bytes, 90_000);
    // It answers each with a reset, because there is no such connection, but counts none with a
    // wrong checksum.
    let tcp = || ["InSegs", "InErrs", "InCsumErrors", "OutRsts"].map(|it| snmp("Tcp:", it));
    let [segments, errors, sums, resets] = before;
    let right = [segments + count, errors, sums, resets + count];
    let end = Instant::now() + LIMIT;
    while tcp() != right && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(tcp(), right);
    assert_eq!(snmp("Ip:", "InHdrErrors"), header_errors);
    // It does verify them: a segment with a wrong checksum, which is sent as in the file, is
    // counted.
    let mut wrong = tcp4(1000, 80, 5, 0x18, &[1; 100]);
    wrong[..6].copy_from_slice(&target);
    wrong[100] ^= 1;
    let file = File::of("wrong", [at(0, &wrong)]);
    replay.run(&mut file.open()).unwrap();
    while tcp()[2] == sums && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(tcp()[2], sums + 1);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_replay_waits_while_the_link_is_down_and_ends_once_it_is_removed() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let times: Vec<_> = (0..400).map(|n| n * MS).collect();
    let file = File::numbered("down", &times);
    let sniffer = Sniffer::on("v1").unwrap();
    let mut replay = replay();
    thread::scope(|scope| {
        let run = scope.spawn(|| replay.run(&mut file.open()).unwrap());
        assert_eq!(number(&sniffer.receive(LIMIT).unwrap().unwrap()), Some(0));
        ip("link set v0 down").unwrap();
        thread::sleep(Duration::from_millis(150));
        ip("link set v0 up").unwrap();
        // The waiting frames are sent, each once and in order.
        for n in 1..400 {
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
        }
        run.join().unwrap();
    });
    assert_eq!(sniffer.receive(Duration::from_millis(50)).unwrap(), None);
    let stats = everything_was_sent(&mut replay, 400);
    assert_eq!((stats.committed, stats.link_downs), (400, 1));

    let run = thread::scope(|scope| {
        let run = scope.spawn(|| replay.run(&mut file.open()));
        assert_eq!(number(&sniffer.receive(LIMIT).unwrap().unwrap()), Some(0));
        ip("link delete v0").unwrap();
        run.join().unwrap()
    });
    assert!(
        matches!(run, Err(Error::InterfaceRemoved { .. })),
        "{run:?}"
    );
    let stats = replay.stats();
    assert_eq!(stats.read, stats.committed + stats.unsent);
    assert!(stats.read > 400 && stats.unsent > 0, "{stats}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn replay_sends_a_file_and_prints_what_it_did() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sniffer = Sniffer::on("v1").unwrap();
    let file = File::numbered("example", &[0, MS, 20 * MS]);
    for args in [&[file.name(), "v0"][..], &[file.name(), "v0", "100"]] {
        let said = Program::start("replay", args).end();
        said.went_well();
        assert_eq!(
            said.out[..2],
            [
                "3 read: 3 committed, 0 refused (none), 0 unsent; 3 frames, 300 bytes, \
                 0 segmented, 0 in flight",
                "3 committed: 3 sent, 0 dropped, 0 rejected, 0 pending; 0 refused",
            ]
        );
        assert!(said.out[2].ends_with(" late at most"), "{said:?}");
        for n in 0..3 {
            assert_eq!(sniffer.receive(LIMIT).unwrap(), Some(numbered(n, 100)));
        }
    }
    ip("link set v0 down").unwrap();
    let said = Program::start("replay", &[file.name(), "v0"]).end();
    // It gives up a second after the last packet.
    assert!(said.out[0].ends_with("3 in flight"), "{said:?}");
    let said = Program::start("replay", &["/nonexistent", "v0"]).end();
    assert!(!said.ok && said.err.contains("/nonexistent"), "{said:?}");
    argument_is_named("replay", &[file.name(), "v0"], "PACKETS_PER_SECOND");
}

/// Datagrams that the kernel left to the card arrive one by one, and the kernel behind the wire
/// accepts each of them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn datagrams_that_were_left_to_the_card_are_sent_one_by_one() {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    veth("w0", "w1").unwrap();
    let target = Interface::by_name("w1").unwrap().address.unwrap();
    let target = target.map(|byte| format!("{byte:02x}")).join(":");
    let there = Netns::new().unwrap();
    there.take("w1").unwrap();
    let receiver = there
        .run(|| {
            ip("link set w1 up")?;
            ip("address add 10.0.0.2/24 dev w1")?;
            std::net::UdpSocket::bind("10.0.0.2:9")
        })
        .unwrap();
    receiver.set_read_timeout(Some(LIMIT)).unwrap();
    ip("address add 10.0.0.1/24 dev v0").unwrap();
    ip(&format!("neigh add 10.0.0.2 lladdr {target} dev v0")).unwrap();

    let filter: netring::Filter = "udp dst port 9".parse().unwrap();
    let builder = Capture::builder().interface("v0").filter(filter);
    let capture = builder.offload_state(true).build().unwrap();
    let socket = xtask::wire::segmenting(1000).unwrap();
    let data: Vec<u8> = (0..20_500_u32).map(|n| (n % 251) as u8).collect();
    socket.send_to(&data, "10.0.0.2:9").unwrap();
    let mut replay = Replay::<Injector>::open("w0").unwrap();
    let stats = replay.run(&mut Limit::new(capture, 1)).unwrap();
    assert_eq!((stats.read, stats.segmented, stats.frames), (1, 1, 21));
    assert_eq!(stats.bytes, 20_500 + 21 * 42);
    let mut buffer = [0; 2000];
    for (index, chunk) in data.chunks(1000).enumerate() {
        let len = receiver.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..len], *chunk, "datagram {index}");
    }
}
