//! Written pcapng files: byte for byte, by our reader, and as Wireshark shows them.

use netring::pcap::{
    CaptureFile, CaptureWriter, FileError, Format, InterfaceDescription, InterfaceStatistics,
    Section,
};
use netring::{
    Clock, Count, Direction, LinkType, Packet, PacketSource, PacketWriter, Stats, Timestamp,
    VlanTag,
};

use super::bytes::{
    Big, Little, Order, block, enhanced, interface, obsolete, option, section, simple,
};
use super::tshark::{Folder, fields, infos};
use super::{Seen, cause, packets};

pub(super) const NANOS: i64 = 1_700_000_000_123_456_789;

pub(super) fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos, Clock::Unknown)
}

pub(super) fn packet(bytes: &[u8]) -> Packet<'_> {
    Packet::new(bytes, at(NANOS), LinkType::ETHERNET).with_interface(4)
}

pub(super) fn writer() -> CaptureWriter<Vec<u8>> {
    let builder = CaptureWriter::builder(Format::PcapNg).section(Section::new());
    builder.write_to(Vec::new()).unwrap()
}

/// An enhanced packet block with these options.
fn block_of(number: u32, ticks: u64, wire_len: u32, data: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    let words = [
        number,
        (ticks >> 32) as u32,
        ticks as u32,
        data.len() as u32,
        wire_len,
    ];
    let mut body: Vec<u8> = words.iter().flat_map(|word| Little.u32(*word)).collect();
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(options.concat());
    if !options.is_empty() {
        body.extend(option(Little, 0, b""));
    }
    block(Little, 6, &body)
}

/// A section as it is written, with an end of options even if it has none.
fn written_section() -> Vec<u8> {
    let body = [
        &Little.u32(0x1a2b_3c4d)[..],
        &Little.u16(1),
        &Little.u16(0),
        &Little.u64(u64::MAX),
        &[0; 4],
    ];
    block(Little, 0x0a0d_0d0a, &body.concat())
}

fn nanos_interface(link_type: u16, snap_len: u32, options: &[Vec<u8>]) -> Vec<u8> {
    let all = [
        option(Little, 9, &[9]),
        options.concat(),
        option(Little, 0, b""),
    ];
    interface(Little, link_type, snap_len, &all.concat())
}

#[test]
fn a_file_is_written_byte_for_byte() {
    let mut writer = writer();
    let bytes: Vec<u8> = (0..21).collect();
    let tag = Some(VlanTag {
        tpid: 0x8100,
        tci: 0x2005,
    });
    assert!(writer.write(&packet(&bytes).with_wire_len(99)).unwrap());
    let uplink = InterfaceDescription::new(LinkType::RAW_IP)
        .with_name("tun0")
        .with_snap_len(96)
        .with_filter("ip");
    writer.describe(7, uplink).unwrap();
    let sent = packet(&bytes)
        .with_vlan(tag)
        .with_direction(Some(Direction::Outgoing));
    assert!(writer.write(&sent).unwrap());
    writer.note_dropped(4, 3).unwrap();
    writer.note_dropped(4, 2).unwrap();
    let queued = packet(&bytes)
        .with_direction(Some(Direction::Broadcast))
        .with_queue(Some(6));
    assert!(writer.write_commented(&queued, "odd").unwrap());
    let raw = Packet::new(&[0x45; 20], at(5), LinkType::RAW_IP).with_interface(7);
    assert!(writer.write(&raw).unwrap());
    assert_eq!((writer.packets(), writer.unwritten()), (4, 4));
    writer.flush().unwrap();
    assert_eq!((writer.packets(), writer.unwritten()), (4, 0));

    let mut statistics = InterfaceStatistics::default();
    statistics.time = at(NANOS);
    statistics.received = Some(12);
    statistics.os_dropped = Some(5);
    writer.set_statistics(4, statistics).unwrap();

    let (high, low) = ((NANOS as u64 >> 32) as u32, NANOS as u32);
    let ticks = NANOS as u64;
    let tagged = [&bytes[..12], &[0x81, 0x00, 0x20, 0x05], &bytes[12..]].concat();
    let name = option(Little, 2, b"tun0");
    let filter = option(Little, 11, b"\0ip");
    let flags = |word| option(Little, 2, &Little.u32(word));
    let mut at_the_end = [Little.u32(0), Little.u32(high), Little.u32(low)].concat();
    at_the_end.extend(option(Little, 4, &Little.u64(12)));
    at_the_end.extend(option(Little, 7, &Little.u64(5)));
    at_the_end.extend(option(Little, 0, b""));
    let expected = [
        written_section(),
        nanos_interface(1, 0, &[]),
        block_of(0, ticks, 99, &bytes, &[]),
        nanos_interface(101, 96, &[name, filter]),
        block_of(0, ticks, 25, &tagged, &[flags(2)]),
        block_of(
            0,
            ticks,
            21,
            &bytes,
            &[
                option(Little, 1, b"odd"),
                option(Little, 4, &Little.u64(5)),
                flags(0b1101),
                option(Little, 6, &Little.u32(6)),
            ],
        ),
        block_of(1, 5, 20, &[0x45; 20], &[]),
        block(Little, 5, &at_the_end),
    ];
    assert_eq!(writer.finish().unwrap(), expected.concat());
}

#[test]
fn wireshark_reads_it_without_a_warning() {
    let folder = Folder::new();
    let path = folder.file("a.pcapng");
    let section = Section::new()
        .with_hardware("a probe")
        .with_os("Linux 6.18")
        .with_application("tests 1.0")
        .with_comment("two interfaces");
    let first = InterfaceDescription::new(LinkType::ETHERNET)
        .with_name("eth0")
        .with_description("uplink")
        .with_filter("tcp port 443")
        .with_speed(10_000_000_000)
        .with_snap_len(262_144);
    let second = InterfaceDescription::new(LinkType::RAW_IP)
        .with_name("tun0")
        .with_resolution(6);
    let mut writer = CaptureWriter::builder(Format::PcapNg)
        .section(section)
        .interface(4, first)
        .interface(9, second)
        .create_new(&path)
        .unwrap();
    let frame = [0xa5; 60];
    for way in [
        Direction::Host,
        Direction::Multicast,
        Direction::Broadcast,
        Direction::OtherHost,
        Direction::Outgoing,
    ] {
        writer
            .write(&packet(&frame).with_direction(Some(way)))
            .unwrap();
    }
    writer.note_dropped(4, 77).unwrap();
    writer
        .write_commented(&packet(&frame).with_wire_len(1514), "behind a gap")
        .unwrap();
    let raw = Packet::new(&[0x45; 20], at(NANOS), LinkType::RAW_IP).with_interface(9);
    writer.write(&raw).unwrap();
    let mut stats = Stats::counted(6);
    stats.offered = Count::Exact(83);
    stats.dropped = Count::Exact(77);
    writer.set_statistics(4, stats).unwrap();
    writer.finish().unwrap();

    let Some(lines) = fields(
        &path,
        &[
            "frame.interface_name",
            "frame.time_epoch",
            "frame.cap_len",
            "frame.len",
            "frame.packet_flags_direction",
            "frame.packet_flags_reception_type",
            "frame.drop_count",
            "frame.comment",
        ],
    ) else {
        return;
    };
    let line = |rest: &str| format!("eth0|1700000000.123456789|60|{rest}");
    let expected = [
        line("60|1|1||"),
        line("60|1|2||"),
        line("60|1|3||"),
        line("60|1|4||"),
        line("60|2|0||"),
        line("1514|||77|behind a gap"),
        "tun0|1700000000.123456000|20|20||||".into(),
    ];
    assert_eq!(lines, expected);
    let infos = infos(&path).unwrap();
    for line in [
        "Number of packets:   7",
        "Capture hardware:    a probe",
        "Capture oper-sys:    Linux 6.18",
        "Capture application: tests 1.0",
        "Capture comment:     two interfaces",
        "Name = eth0",
        "Description = uplink",
        "Filter string = tcp port 443",
        "Speed = 10000000000",
        "Number of stat entries = 1",
        "Number of packets = 6",
        "Name = tun0",
        "Time precision = microseconds (6)",
        "Encapsulation = Raw IP (7 - rawip)",
        "Number of packets = 1",
    ] {
        assert!(infos.iter().any(|it| it == line), "{line}: {infos:#?}");
    }
}

/// A file with everything that is kept, in this byte order.
fn rich(order: Order) -> Vec<u8> {
    let text = |code, text: &str| option(order, code, text.as_bytes());
    let end = option(order, 0, b"");
    let mut about = Vec::new();
    about.extend(order.u32(0x1a2b_3c4d));
    about.extend([order.u16(1), order.u16(0)].concat());
    about.extend(order.u64(u64::MAX));
    about.extend(
        [
            text(2, "hw"),
            text(3, "os"),
            text(4, "app"),
            text(1, "note"),
            end.clone(),
        ]
        .concat(),
    );
    let first = [
        text(2, "eth0"),
        text(3, "uplink"),
        option(order, 6, &[2, 0, 0, 0, 0, 1]),
        option(order, 8, &order.u64(1_000_000_000)),
        option(order, 9, &[6]),
        option(order, 11, b"\0tcp"),
        text(12, "Linux"),
        option(order, 14, &order.u64(1_000)),
        text(1, "one"),
        option(order, 2989, &[&order.u32(32_473)[..], b"xyz"].concat()),
        end.clone(),
    ];
    let mut packet = [
        order.u32(0),
        order.u32(0),
        order.u32(7),
        order.u32(3),
        order.u32(9),
    ]
    .concat();
    packet.extend(b"abc\0");
    packet.extend(text(1, "first"));
    packet.extend(text(1, "second"));
    packet.extend(option(order, 2, &order.u32(0x1f << 5 | 0b1001)));
    packet.extend(option(order, 3, &[2, 1, 2, 3, 4]));
    packet.extend(option(order, 4, &order.u64(11)));
    packet.extend(option(order, 6, &order.u32(5)));
    packet.extend(&end);
    let mut statistics = [order.u32(0), order.u32(0), order.u32(20)].concat();
    statistics.extend(option(order, 2, &[order.u32(0), order.u32(3)].concat()));
    statistics.extend(option(order, 4, &order.u64(100)));
    statistics.extend(option(order, 5, &order.u64(1)));
    statistics.extend(option(order, 6, &order.u64(90)));
    statistics.extend(option(order, 7, &order.u64(12)));
    statistics.extend(option(order, 8, &order.u64(78)));
    statistics.extend(&end);
    [
        block(order, 0x0a0d_0d0a, &about),
        interface(order, 1, 96, &first.concat()),
        interface(order, 101, 0, &text(2, "tun0")),
        block(order, 6, &packet),
        obsolete(order, 1, 4, 8, 60, b"old"),
        block(order, 5, &statistics),
    ]
    .concat()
}

/// The contents of a file.
#[derive(Debug, PartialEq)]
struct Everything {
    section: Option<Section>,
    interfaces: Vec<(u32, InterfaceDescription)>,
    records: Vec<String>,
    statistics: Vec<(u32, InterfaceStatistics)>,
}

fn everything(file: &[u8]) -> Everything {
    let mut file = CaptureFile::new(file).unwrap();
    let mut records = Vec::new();
    while let Some(batch) = file.next_batch().unwrap() {
        for record in batch.records() {
            let packet = record.packet();
            let comments: Vec<_> = record.comments().collect();
            records.push(format!(
                "{} {:?} {} if {} {:?} queue {:?} dropped {:?} {comments:?}",
                packet.timestamp(),
                packet.data(),
                packet.wire_len(),
                packet.interface(),
                packet.direction(),
                packet.queue(),
                record.dropped(),
            ));
        }
    }
    Everything {
        section: file.section().cloned(),
        interfaces: file.interfaces().collect(),
        records,
        statistics: file
            .statistics()
            .map(|(number, it)| (number, *it))
            .collect(),
    }
}

#[test]
fn what_is_read_is_kept_when_it_is_written() {
    let read = everything(&rich(Little));
    assert_eq!(
        read.records,
        [
            "1000.000007000 [97, 98, 99] 9 if 1 Some(Multicast) queue Some(5) dropped Some(11) [\"first\", \"second\"]",
            "0.000008000 [111, 108, 100] 60 if 2 None queue None dropped Some(4) []",
        ]
    );
    let uplink = &read.interfaces[0].1;
    assert_eq!(
        (uplink.speed(), uplink.snap_len()),
        (Some(1_000_000_000), 96)
    );
    assert_eq!(uplink.filter().as_deref(), Some("tcp"));
    assert_eq!(uplink.os().as_deref(), Some("Linux"));
    assert_eq!(uplink.comments().collect::<Vec<_>>(), ["one"]);
    let statistics = read.statistics[0].1;
    assert_eq!(statistics.time, at(1_000_000_020_000));
    assert_eq!(statistics.start, Some(at(1_000_000_003_000)));
    let figures = [
        statistics.received,
        statistics.dropped,
        statistics.accepted,
        statistics.os_dropped,
        statistics.delivered,
    ];
    assert_eq!(figures, [100, 1, 90, 12, 78].map(Some));

    for order in [Little, Big] {
        let original = rich(order);
        assert_eq!(everything(&original), read, "{order:?}");
        let mut file = CaptureFile::new(&original[..]).unwrap();
        let section = file.section().cloned().unwrap();
        let builder = CaptureWriter::builder(Format::PcapNg).section(section);
        let mut copy = builder.write_to(Vec::new()).unwrap();
        assert_eq!(copy.copy(&mut file).unwrap(), 2);
        let copy = copy.finish().unwrap();
        assert_eq!(everything(&copy), read, "{order:?}");
        // The hash and the custom option are kept too, and a copy of a copy is the same.
        let needle = option(Little, 3, &[2, 1, 2, 3, 4]);
        assert!(copy.windows(needle.len()).any(|it| it == needle));
        let needle = option(Little, 2989, &[&Little.u32(32_473)[..], b"xyz"].concat());
        assert!(copy.windows(needle.len()).any(|it| it == needle));
        let mut file = CaptureFile::new(&copy[..]).unwrap();
        let section = file.section().cloned().unwrap();
        let builder = CaptureWriter::builder(Format::PcapNg).section(section);
        let mut again = builder.write_to(Vec::new()).unwrap();
        again.copy(&mut file).unwrap();
        assert_eq!(again.finish().unwrap(), copy);
    }
}

#[test]
fn each_section_is_kept_with_its_interfaces() {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, &option(Little, 2, b"a")));
    file.extend(enhanced(Little, 0, 1, 5, b"first"));
    file.extend(section(Big));
    file.extend(interface(Big, 101, 0, &option(Big, 2, b"b")));
    file.extend(interface(Big, 1, 0, &option(Big, 2, b"c")));
    file.extend(enhanced(Big, 1, 2, 6, b"second"));
    let mut source = CaptureFile::new(&file[..]).unwrap();
    let batch = source.next_batch().unwrap().unwrap();
    // A batch ends with its section, so that its interfaces are known.
    let names: Vec<_> = batch
        .records()
        .map(|it| it.interface().unwrap().name().unwrap().into_owned())
        .collect();
    assert_eq!(names, ["a"]);
    drop(batch);
    let batch = source.next_batch().unwrap().unwrap();
    let last = batch.records().next().unwrap().interface().unwrap();
    assert_eq!(last.name().as_deref(), Some("c"));
    drop(batch);

    let mut copy = writer();
    assert_eq!(
        copy.copy(&mut CaptureFile::new(&file[..]).unwrap())
            .unwrap(),
        2
    );
    let copy = copy.finish().unwrap();
    assert_eq!(packets(&copy), packets(&file));
    assert_eq!(packets(&copy)[1], Seen::new(2_000, b"second", 6, 3, 1));
}

#[test]
fn a_file_that_exists_is_replaced_only_by_create() {
    let folder = Folder::new();
    let path = folder.file("a.pcapng");
    let mut writer = CaptureWriter::create(&path, Format::PcapNg).unwrap();
    writer.write(&packet(b"abc")).unwrap();
    // Dropped without `finish`, and complete nevertheless.
    drop(writer);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(packets(&bytes).len(), 1);
    let error = CaptureWriter::builder(Format::PcapNg)
        .create_new(&path)
        .unwrap_err();
    assert!(matches!(cause(&error), FileError::Open(_)), "{error}");
    assert!(
        error.to_string().starts_with(path.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    // A file without packets is valid, even before it is complete.
    let writer = CaptureWriter::create(&path, Format::PcapNg).unwrap();
    assert_eq!(packets(&std::fs::read(&path).unwrap()), []);
    drop(writer);
}

#[test]
fn packets_without_a_time_take_one_and_keep_it() {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    file.extend(enhanced(Little, 0, 7, 60, &[7; 60]));
    file.extend(simple(Little, 5, b"plain"));
    // Wireshark finds none in it either.
    let without = simple(Little, 5, b"plain");
    let mut copy = writer();
    copy.copy(&mut CaptureFile::new(&file[..]).unwrap())
        .unwrap();
    let copy = copy.finish().unwrap();
    assert_eq!(packets(&copy), packets(&file));
    assert!(copy.ends_with(&without));
}
