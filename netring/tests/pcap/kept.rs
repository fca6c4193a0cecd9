//! Everything in a pcapng file besides its packets is kept when it is written again: names,
//! secrets, journals, blocks and options of organisations, and sections.

use netring::pcap::{CaptureFile, CaptureWriter, Format};
use netring::{LinkType, PacketBatch, PacketSource};

use super::bytes::{Big, Little, Order, block, interface, option, section};
use super::tshark::{Folder, fields, infos};
use super::{packets, read};

const NAMES: u32 = 4;
const STATISTICS: u32 = 5;
const JOURNAL: u32 = 9;
const SECRETS: u32 = 10;
const CUSTOM: u32 = 0xbad;
const UNCOPIED: u32 = 0x4000_0bad;
/// A number of an organisation for examples.
const EXAMPLE: u32 = 32_473;

const ENTRY: &[u8] = b"__REALTIME_TIMESTAMP=1700000000000000\nMESSAGE=up\n\n";
const KEYS: &[u8] = b"CLIENT_RANDOM 01 02\n";

fn names(order: Order) -> Vec<u8> {
    let body = [
        option(order, 1, b"\x0a\x01\x02\x03one.example\0"),
        option(order, 2, &[&[0xfd; 16][..], b"six.example\0"].concat()),
        option(order, 0, b""),
        option(order, 2, b"ns.example"),
        option(order, 3, &[10, 0, 0, 53]),
        option(order, 0, b""),
    ];
    block(order, NAMES, &body.concat())
}

fn secrets(order: Order) -> Vec<u8> {
    let mut body = [
        order.u32(0x544c_534b).to_vec(),
        order.u32(KEYS.len() as u32).to_vec(),
        KEYS.to_vec(),
    ]
    .concat();
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend(option(order, 1, b"of a test"));
    body.extend(option(order, 0, b""));
    block(order, SECRETS, &body)
}

fn custom(order: Order, kind: u32) -> Vec<u8> {
    let body = [&order.u32(EXAMPLE)[..], b"\x01\x02\x03\x04xyz\0"].concat();
    block(order, kind, &body)
}

/// The options of a packet, without those that must not be copied.
fn of_packet(order: Order) -> Vec<Vec<u8>> {
    let [id, verdict] = [77_u64, 3].map(|number| order.u64(number));
    vec![
        option(order, 1, b"first"),
        option(order, 1, b"second"),
        option(order, 2, &order.u32(0b1001)),
        option(order, 3, &[2, 1, 2, 3, 4]),
        option(order, 4, &order.u64(11)),
        option(order, 5, &id),
        option(order, 6, &order.u32(5)),
        option(order, 7, &[&[1], &verdict[..]].concat()),
        option(order, 7, b"\0opaque"),
        option(order, 8, &[order.u32(1234), order.u32(5678)].concat()),
        option(order, 2988, &[&order.u32(EXAMPLE)[..], b"text"].concat()),
        option(order, 2989, &[&order.u32(EXAMPLE)[..], b"\0\x01"].concat()),
    ]
}

fn packet(order: Order, number: u32, ticks: u32, options: &[Vec<u8>]) -> Vec<u8> {
    let words = [number, 0, ticks, 60, 60].map(|word| order.u32(word));
    let mut body = words.concat();
    body.extend([7; 60]);
    body.extend(options.concat());
    body.extend(option(order, 0, b""));
    block(order, 6, &body)
}

fn statistics(order: Order, number: u32, received: u64) -> Vec<u8> {
    let words = [number, 0, 20].map(|word| order.u32(word));
    let mut body = words.concat();
    body.extend(option(order, 4, &order.u64(received)));
    body.extend(option(order, 1, b"a comment"));
    body.extend(option(order, 0, b""));
    block(order, STATISTICS, &body)
}

fn interface_of(order: Order, link_type: u16, name: &str, options: &[Vec<u8>]) -> Vec<u8> {
    // In the order in which they are written.
    let resolution = option(order, 9, &[6]);
    let options = [
        resolution,
        option(order, 2, name.as_bytes()),
        options.concat(),
    ];
    let end = option(order, 0, b"");
    interface(order, link_type, 0, &[options.concat(), end].concat())
}

fn all_of_an_interface(order: Order) -> Vec<Vec<u8>> {
    vec![
        option(order, 3, b"uplink"),
        option(order, 4, &[10, 0, 0, 1, 255, 0, 0, 0]),
        option(order, 5, &[9; 17]),
        option(order, 6, &[2, 0, 0, 0, 0, 1]),
        option(order, 7, &[1, 2, 3, 4, 5, 6, 7, 8]),
        option(order, 8, &order.u64(10_000_000_000)),
        option(order, 10, &order.u32(3600)),
        option(order, 11, b"\0tcp"),
        option(order, 12, b"Linux"),
        option(order, 13, &[4]),
        option(order, 15, b"card"),
        option(order, 16, &order.u64(1)),
        option(order, 17, &order.u64(2)),
        option(order, 2988, &[&order.u32(EXAMPLE)[..], b"if"].concat()),
    ]
}

fn about(order: Order, text: &str) -> Vec<u8> {
    let mut body = order.u32(0x1a2b_3c4d).to_vec();
    body.extend([order.u16(1), order.u16(0)].concat());
    body.extend(order.u64(u64::MAX));
    body.extend(option(order, 3, text.as_bytes()));
    body.extend(option(order, 0, b""));
    block(order, 0x0a0d_0d0a, &body)
}

/// Two sections with all kinds of blocks, without what must not be copied, as they are written in
/// little-endian order.
fn kept(order: Order) -> Vec<Vec<u8>> {
    vec![
        about(order, "first"),
        interface_of(order, 1, "eth0", &all_of_an_interface(order)),
        secrets(order),
        packet(order, 0, 7, &of_packet(order)),
        names(order),
        block(order, JOURNAL, ENTRY),
        statistics(order, 0, 1),
        custom(order, CUSTOM),
        packet(order, 0, 8, &[option(order, 1, b"third")]),
        statistics(order, 0, 2),
        about(order, "second"),
        names(order),
        about(order, "third"),
        interface_of(order, 101, "tun0", &[]),
        packet(order, 0, 9, &[option(order, 1, b"fourth")]),
        custom(order, CUSTOM),
    ]
}

fn copied(file: &[u8]) -> (Vec<u8>, u64, u64) {
    let mut file = CaptureFile::new(file).unwrap();
    let section = file.section().cloned().unwrap();
    let builder = CaptureWriter::builder(Format::PcapNg).section(section);
    let mut writer = builder.write_to(Vec::new()).unwrap();
    let count = writer.copy(&mut file).unwrap();
    let left_out = writer.left_out();
    (writer.finish().unwrap(), count, left_out)
}

/// A copy is the same byte for byte, whatever the byte order of the original.
#[test]
fn each_block_is_kept_in_its_place() {
    let expected = kept(Little).concat();
    for order in [Little, Big] {
        let (written, count, left_out) = copied(&kept(order).concat());
        assert_eq!((count, left_out), (3, 0));
        assert!(written == expected, "{order:?}: {written:x?}");
    }
}

/// What is marked as not to be copied is left out, and so is what nobody understands.
#[test]
fn what_is_not_to_be_copied_is_left_out_and_counted() {
    for order in [Little, Big] {
        let mut blocks = kept(order);
        let mut options = of_packet(order);
        let number = order.u32(EXAMPLE);
        options.insert(3, option(order, 19_372, &[&number[..], b"text"].concat()));
        options.push(option(order, 19_373, &number));
        blocks[3] = packet(order, 0, 7, &options);
        blocks.insert(5, custom(order, UNCOPIED));
        // Of an unknown type, and one that contradicts itself.
        blocks.insert(5, block(order, 0x8000_0001, b"mine"));
        let cut = [order.u32(1), order.u32(1000), order.u32(0)].concat();
        blocks.insert(5, block(order, SECRETS, &cut));
        let (written, count, left_out) = copied(&blocks.concat());
        assert_eq!((count, left_out), (3, 3));
        assert!(written == kept(Little).concat(), "{order:?}");
    }
}

/// A reader that does not ask for blocks sees packets only; one that does sees each block once,
/// between the packets around it in the file.
#[test]
fn blocks_are_lent_on_request() {
    let bytes = kept(Little).concat();
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    let mut batches = 0;
    while let Some(batch) = file.next_batch().unwrap() {
        assert_eq!(batch.blocks().count(), 0);
        assert!(batch.packets().count() > 0);
        batches += 1;
    }
    assert_eq!(batches, 2);

    let mut file = CaptureFile::new(&bytes[..]).unwrap().lend_blocks();
    let (mut seen, mut packets) = (Vec::new(), 0);
    while let Some(batch) = file.next_batch().unwrap() {
        let blocks = batch.blocks();
        seen.extend(blocks.map(|it| (packets + it.packets_before(), it.kind())));
        packets += batch.packets().count();
        assert!(batch.blocks().all(|it| !it.is_big_endian()));
    }
    let expected = [
        (0, SECRETS),
        (1, NAMES),
        (1, JOURNAL),
        (1, STATISTICS),
        (1, CUSTOM),
        (2, STATISTICS),
        (2, NAMES),
        (3, CUSTOM),
    ];
    assert_eq!((seen, packets), (expected.to_vec(), 3));
}

/// A file that contains only journal entries, more than a batch holds, and one longer than a
/// buffer.
#[test]
fn a_journal_without_packets_is_kept() {
    let mut expected = about(Little, "journal");
    for n in 0..5_000 {
        let entry = format!("__CURSOR={n}\nMESSAGE={}\n\n", "x".repeat(n % 300));
        expected.extend(block(Little, JOURNAL, entry.as_bytes()));
    }
    let (written, count, left_out) = copied(&expected);
    assert_eq!((count, left_out), (0, 0));
    assert!(written == expected);
    assert_eq!(packets(&expected), []);
}

/// A pcap file contains packets only.
#[test]
fn a_pcap_file_has_no_blocks_and_they_are_counted() {
    let bytes = kept(Little)[..10].concat();
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    assert_eq!(writer.copy(&mut file).unwrap(), 2);
    assert_eq!(writer.left_out(), 6);
    assert_eq!(packets(&writer.finish().unwrap()).len(), 2);
}

/// Damage behind the blocks: they are copied, and the error is reported.
#[test]
fn what_is_before_damage_is_kept() {
    let whole = kept(Little);
    let mut bytes = whole[..6].concat();
    bytes.extend(&whole[6][..10]);
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    let section = file.section().cloned().unwrap();
    let builder = CaptureWriter::builder(Format::PcapNg).section(section);
    let mut writer = builder.write_to(Vec::new()).unwrap();
    assert!(writer.copy(&mut file).is_err());
    assert!(writer.finish().unwrap() == whole[..6].concat());
    let (seen, end, _) = read(&bytes[..]);
    assert_eq!((seen.len(), end.is_err()), (1, true));
}

/// Wireshark finds names, secrets, comments and packet ids, and has no warnings.
#[test]
fn wireshark_finds_what_was_kept() {
    let mut blocks = kept(Big);
    blocks.truncate(10);
    // Wireshark 4.0 shows a journal entry and a custom block as packets.
    blocks.remove(7);
    blocks.remove(5);
    let (written, ..) = copied(&blocks.concat());
    let folder = Folder::new();
    let path = folder.file("kept.pcapng");
    std::fs::write(&path, written).unwrap();
    let names = [
        "frame.number",
        "frame.comment",
        "frame.packet_id",
        "frame.interface_name",
    ];
    let Some(shown) = fields(&path, &names) else {
        return;
    };
    assert_eq!(
        shown,
        ["1|first,second|77|eth0", "2|third||eth0"].map(str::to_owned)
    );
    let infos = infos(&path).unwrap();
    for line in [
        "Number of packets = 2",
        "Number of interfaces in file: 1",
        "Number of decryption secrets in file: 1",
        "Number of resolved IPv4 addresses in file: 1",
        "Number of resolved IPv6 addresses in file: 1",
    ] {
        assert!(infos.iter().any(|it| it == line), "{line}: {infos:#?}");
    }
}

/// A section without interfaces or packets is a section too.
#[test]
fn an_empty_section_is_kept() {
    let bytes = [section(Little), about(Big, "b"), about(Big, "c")].concat();
    let (written, ..) = copied(&bytes);
    let mut sections = Vec::new();
    let mut file = CaptureFile::new(&written[..]).unwrap().lend_blocks();
    let mut is_open = true;
    while is_open {
        is_open = file.next_batch().unwrap().is_some();
        let os = file.section().unwrap().os().map(|text| text.into_owned());
        sections.push(os);
    }
    let [b, c] = ["b", "c"].map(|text| Some(text.to_owned()));
    assert_eq!(sections, [None, b, c]);
}
