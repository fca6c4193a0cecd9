//! The packets of a folder of captures, by link type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use netring::PacketSource as _;
use netring::pcap::{CaptureFile, CaptureWriter};
use netring::{
    Clock, LinkType, Matcher, Packet, PacketBatch, PacketBuf, PacketWriter as _, Timestamp,
};
use netring_sys::filter::Expr;

use crate::Result;

/// All packets of one link type, and a file with them.
pub(super) struct Corpus {
    pub(super) link_type: LinkType,
    pub(super) packets: Vec<PacketBuf>,
    pub(super) file: PathBuf,
}

impl Drop for Corpus {
    fn drop(&mut self) {
        // Nothing can be done about a file that stays in the temporary folder.
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Corpus {
    /// The packets of all captures in a folder and below.
    pub(super) fn read(dir: &Path) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        find(dir, &mut files)?;
        files.sort();
        let mut by_type: BTreeMap<u16, Vec<PacketBuf>> = BTreeMap::new();
        for file in &files {
            read(file, &mut by_type);
        }
        println!("{} captures in {}", files.len(), dir.display());
        let any: Expr = "len >= 0".parse()?;
        let mut corpora = Vec::new();
        for (number, packets) in by_type {
            let link_type = packets[0].as_packet().link_type();
            if any.for_bytes(link_type).is_err() {
                println!(
                    "left out: {} packets of the link type {link_type:?}",
                    packets.len()
                );
                continue;
            }
            let name = format!("netring-filter-{}-{number}.pcap", std::process::id());
            let file = std::env::temp_dir().join(name);
            corpora.push(Self::write(link_type, packets, file)?);
        }
        if corpora.is_empty() {
            return Err(format!("there are no packets in {}", dir.display()).into());
        }
        Ok(corpora)
    }

    fn write(link_type: LinkType, packets: Vec<PacketBuf>, file: PathBuf) -> Result<Self> {
        let mut writer = CaptureWriter::create(&file, link_type)?;
        for packet in &packets {
            writer.write(&packet.as_packet())?;
        }
        writer.finish()?;
        Ok(Self {
            link_type,
            packets,
            file,
        })
    }

    /// The numbers of the packets that match.
    pub(super) fn select(&self, matcher: &Matcher) -> Vec<usize> {
        let packets = self.packets.iter().enumerate();
        packets
            .filter(|(_, packet)| matcher.matches(&packet.as_packet()))
            .map(|(n, _)| n)
            .collect()
    }
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).map_err(|why| format!("{}: {why}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|ext| ext == "pcap" || ext == "pcapng" || ext == "cap")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Adds the packets of a capture, up to the first damage.
fn read(path: &Path, by_type: &mut BTreeMap<u16, Vec<PacketBuf>>) {
    let Ok(mut file) = CaptureFile::open(path) else {
        return;
    };
    while let Ok(Some(batch)) = file.next_batch() {
        for packet in batch.packets() {
            let packets = by_type.entry(packet.link_type().0).or_default();
            let time = Timestamp::from_nanos(packets.len() as i64 * 1_000_000_000, Clock::Unknown);
            let numbered = Packet::new(packet.data(), time, packet.link_type())
                .with_wire_len(packet.wire_len());
            packets.push(numbered.to_buf());
        }
    }
}
