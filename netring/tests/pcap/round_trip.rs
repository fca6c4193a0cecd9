//! Every capture of the repository, read, written and read again, is the same packet for packet,
//! also for Wireshark. `NETRING_CAPTURES=FOLDER` adds the captures of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use netring::pcap::{CaptureFile, CaptureWriter, Format, InterfaceStatistics};
use netring::{LinkType, PacketBatch, PacketSource, PacketWriter};

use super::Seen;
use super::tshark::{Folder, fields, fields_of_damaged};

/// The fields of a packet that Wireshark shows without dissecting it.
const FIELDS: [&str; 5] = [
    "frame.number",
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "frame.encap_type",
];

#[test]
fn each_capture_of_the_repository_is_the_same_when_it_is_written() {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask");
    let mut captures = Vec::new();
    for folder in ["corpus", "cases"] {
        find(&xtask.join(folder), &mut captures);
    }
    assert!(captures.len() >= 15, "{captures:?}");
    if let Some(more) = std::env::var_os("NETRING_CAPTURES") {
        find(Path::new(&more), &mut captures);
    }
    captures.sort();
    let mut figures = Figures::default();
    for capture in &captures {
        figures.round_trip(capture);
    }
    // Shown by `cargo test -- --nocapture`.
    let lines = [format!("{figures:?}")]
        .into_iter()
        .chain(figures.different.clone());
    let text = lines.collect::<Vec<_>>().join("\n");
    assert!(figures.is_right(), "{text}");
    if let Some(report) = std::env::var_os("NETRING_REPORT") {
        fs::write(report, text).unwrap();
    }
}

#[derive(Debug, Default)]
struct Figures {
    /// Files that could be opened, packets in them, and files that have no pcap form.
    files: u64,
    packets: u64,
    of_several_link_types: u64,
    /// Files that were compared with tshark.
    shown: u64,
    /// The differences.
    different: Vec<String>,
}

impl Figures {
    fn is_right(&self) -> bool {
        self.different.is_empty()
    }

    fn round_trip(&mut self, path: &Path) {
        let Ok(mut file) = CaptureFile::open(path) else {
            return;
        };
        self.files += 1;
        let original = contents(path);
        self.packets += original.packets.len() as u64;
        let folder = Folder::new();

        let copy = folder.file("copy.pcapng");
        let mut settings = CaptureWriter::builder(Format::PcapNg);
        if let Some(section) = file.section() {
            settings = settings.section(section.clone());
        }
        let mut writer = settings.create_new(&copy).unwrap();
        // Damage at the end of the original is not the subject here.
        let _ = writer.copy(&mut file);
        writer.finish().unwrap();
        let mut written = contents(&copy);
        if file.section().is_none() {
            // A pcap file has no interfaces.
            written
                .packets
                .iter_mut()
                .for_each(|packet| packet.interface = 0);
            written.interfaces.clear();
        }
        self.compare(path, "pcapng", original == written);
        let shown = self.same_to_tshark(path, &copy);

        let mut types: Vec<_> = original.packets.iter().map(|it| it.link_type).collect();
        types.dedup();
        if let [link_type] = types[..] {
            let copy = folder.file("copy.pcap");
            let mut writer = CaptureWriter::create(&copy, link_type).unwrap();
            let mut file = CaptureFile::open(path).unwrap();
            while let Ok(Some(batch)) = file.next_batch() {
                for packet in batch.packets() {
                    writer.write(&packet).unwrap();
                }
            }
            writer.finish().unwrap();
            let mut expected = original.packets;
            expected.iter_mut().for_each(|packet| packet.interface = 0);
            let written = contents(&copy);
            self.compare(path, "pcap", expected == written.packets);
            if shown {
                self.same_to_tshark(path, &copy);
            }
        } else {
            self.of_several_link_types += 1;
        }
    }

    fn compare(&mut self, path: &Path, what: &str, is_same: bool) {
        if !is_same {
            let name = path.display();
            self.different
                .push(format!("{name}: as {what} it is read differently"));
        }
    }

    /// Compares what tshark shows of two files; false if it is not installed.
    fn same_to_tshark(&mut self, path: &Path, copy: &Path) -> bool {
        let Some(written) = fields(copy, &FIELDS) else {
            return false;
        };
        let original = fields_of_damaged(path, &FIELDS);
        self.shown += 1;
        let is_pcap = copy.extension().is_some_and(|it| it == "pcap");
        // In a pcap file every packet has a time.
        let same = |(a, b): &(&String, &String)| {
            if a == b {
                return true;
            }
            let (Some((n, rest)), Some((_, shown))) = (a.split_once("||"), b.split_once('|'))
            else {
                return false;
            };
            is_pcap && shown.ends_with(rest) && b.starts_with(n)
        };
        let is_same =
            original.len() == written.len() && original.iter().zip(&written).all(|it| same(&it));
        if !is_same {
            let first = original.iter().zip(&written).find(|it| !same(it));
            self.different.push(format!(
                "{}: tshark shows {} packets, and {} of {}; the first difference is {first:?}",
                path.display(),
                original.len(),
                written.len(),
                copy.display(),
            ));
        }
        true
    }
}

/// The contents of a file.
#[derive(Debug, PartialEq)]
struct Contents {
    packets: Vec<Seen>,
    /// Comments, drops and directions.
    about: Vec<(Vec<String>, Option<u64>, Option<netring::Direction>)>,
    interfaces: Vec<(u32, Option<String>, LinkType, u32)>,
    statistics: Vec<(u32, InterfaceStatistics)>,
}

fn contents(path: &Path) -> Contents {
    let mut file = CaptureFile::open(path).unwrap();
    let mut contents = Contents {
        packets: Vec::new(),
        about: Vec::new(),
        interfaces: Vec::new(),
        statistics: Vec::new(),
    };
    let mut interfaces = std::collections::BTreeMap::new();
    while let Ok(Some(batch)) = file.next_batch() {
        for record in batch.records() {
            let packet = record.packet();
            contents.packets.push(Seen {
                nanos: packet.timestamp().as_nanos(),
                data: packet.data().to_vec(),
                wire_len: packet.wire_len(),
                interface: packet.interface(),
                link_type: packet.link_type(),
            });
            let comments = record.comments().map(|text| text.into_owned()).collect();
            contents
                .about
                .push((comments, record.dropped(), packet.direction()));
            if let Some(about) = record.interface() {
                let name = about.name().map(|name| name.into_owned());
                let known = (name, about.link_type(), about.snap_len());
                interfaces.insert(packet.interface(), known);
            }
        }
    }
    let known = interfaces.into_iter();
    contents.interfaces = known
        .map(|(n, (name, link, len))| (n, name, link, len))
        .collect();
    contents.statistics = file
        .statistics()
        .map(|(number, it)| (number, *it))
        .collect();
    contents
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, found);
        } else if path
            .extension()
            .is_some_and(|it| it == "pcap" || it == "pcapng" || it == "cap")
        {
            found.push(path);
        }
    }
}
