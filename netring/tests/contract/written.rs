//! Writers under test: capture files in each form, and a sink.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use netring::adapters::{SinkWriter, Tee};
use netring::pcap::{CaptureWriter, Format, RotatingWriter};
use netring::{
    Error, LinkType, Packet, PacketBuf, PacketSink, PacketSource, PacketVec, PacketWriter,
    Readiness, Stats,
};

use super::played::{Memory, Played};
use super::sink::Backend as _;
use super::writer::{Backend, Seen};

/// An output that a test inspects while it is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Medium(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    room: usize,
    is_gone: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            room: usize::MAX,
            is_gone: false,
        }
    }
}

impl Write for Medium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        if state.is_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = bytes.len().min(state.room);
        if len == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room -= len;
        state.bytes.extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.lock().unwrap().is_gone {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}

pub(crate) const PCAP: u8 = 0;
pub(crate) const PCAPNG: u8 = 1;
pub(crate) const GZIP: u8 = 2;

/// A file in one of the forms.
#[derive(Debug, Default)]
pub(crate) struct Form<const FORM: u8> {
    medium: Medium,
    shown: usize,
}

impl<const FORM: u8> Backend for Form<FORM> {
    type Writer = CaptureWriter<Medium>;

    const LONGEST: usize = 256 << 10;
    const IS_AHEAD: bool = FORM == GZIP;

    fn open() -> (Self, Self::Writer) {
        let mut backend = Self::default();
        let writer = backend.open_again();
        (backend, writer)
    }

    fn open_again(&mut self) -> Self::Writer {
        *self = Self::default();
        let builder = match FORM {
            PCAP => CaptureWriter::builder(LinkType::ETHERNET),
            PCAPNG => CaptureWriter::builder(Format::PcapNg),
            _ => CaptureWriter::builder(Format::PcapNg).gzip(),
        };
        builder.write_to(self.medium.clone()).unwrap()
    }

    fn seen(&mut self) -> Vec<Seen> {
        let bytes = self.medium.0.lock().unwrap().bytes.clone();
        let all = match FORM {
            PCAP => pcap(&bytes),
            PCAPNG => pcapng(&bytes),
            _ => pcapng(&unpacked(&bytes)),
        };
        let new = all[self.shown..].to_vec();
        self.shown = all.len();
        new
    }

    fn remove(&mut self) {
        self.medium.0.lock().unwrap().is_gone = true;
    }

    fn limit(&mut self) {
        self.medium.0.lock().unwrap().room = 100_000;
    }

    fn figures(writer: &mut Self::Writer) -> (u64, u64) {
        (writer.packets(), writer.unwritten())
    }
}

/// Files of 7 packets, one after another.
#[derive(Debug)]
pub(crate) struct Rotated {
    folder: PathBuf,
    shown: usize,
}

impl Backend for Rotated {
    type Writer = RotatingWriter;

    const LONGEST: usize = 256 << 10;

    fn open() -> (Self, RotatingWriter) {
        let (folder, shown) = (PathBuf::new(), 0);
        let mut backend = Self { folder, shown };
        let writer = backend.open_again();
        (backend, writer)
    }

    fn open_again(&mut self) -> RotatingWriter {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only a unique number is needed.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netring-contract-{}-{number}", std::process::id());
        // The folder of the previous file.
        let _ = std::fs::remove_dir_all(&self.folder);
        (self.folder, self.shown) = (std::env::temp_dir().join(name), 0);
        std::fs::create_dir_all(&self.folder).unwrap();
        let pattern = self.folder.join("{}.pcapng");
        let builder = RotatingWriter::builder(pattern.to_str().unwrap());
        builder.max_packets(7).create().unwrap()
    }

    fn seen(&mut self) -> Vec<Seen> {
        let entries = std::fs::read_dir(&self.folder).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut all = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let packets = pcapng(&std::fs::read(file).unwrap());
            let is_last = at + 1 == files.len();
            assert!(packets.len() == 7 || is_last && packets.len() < 7);
            all.extend(packets);
        }
        let new = all[self.shown..].to_vec();
        self.shown = all.len();
        new
    }

    fn remove(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// It needs a disk of its own: see `netns/files.rs`.
    fn limit(&mut self) {
        unreachable!("no row of it has a limit");
    }

    fn figures(writer: &mut RotatingWriter) -> (u64, u64) {
        (writer.packets(), writer.unwritten())
    }
}

impl Drop for Rotated {
    fn drop(&mut self) {
        // Nothing more can be done about it, and a row may have removed it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A writer that passes on to `B` through a tee.
#[derive(Debug)]
pub(crate) struct Teed<B>(B);

/// A source that lends the packet it was given, and the tee around it.
#[derive(Debug)]
pub(crate) struct Through<W>(Tee<One, W>);

#[derive(Debug, Default)]
pub(crate) struct One {
    packet: Option<PacketBuf>,
    lent: PacketVec,
}

impl PacketSource for One {
    type Batch<'a> = &'a PacketVec;

    fn ready(&mut self) -> Result<Readiness, Error> {
        Ok(match self.packet {
            Some(_) => Readiness::Ready,
            None => Readiness::Empty,
        })
    }

    fn batch(&mut self) -> &PacketVec {
        self.lent.clear();
        if let Some(packet) = self.packet.take() {
            self.lent.push(&packet.as_packet());
        }
        &self.lent
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(0))
    }

    fn is_live(&self) -> bool {
        false
    }
}

impl<W: PacketWriter> PacketWriter for Through<W> {
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        let written = self.0.written();
        self.0.get_mut().packet = Some(packet.to_buf());
        self.0.ready()?;
        self.0.batch();
        if self.0.written() > written {
            return Ok(true);
        }
        self.0.ready().map(|_| false)
    }

    fn flush(&mut self) -> Result<bool, Error> {
        self.0.get_mut().packet = None;
        self.0.ready().map(|_| true)
    }
}

impl<B: Backend> Backend for Teed<B> {
    type Writer = Through<B::Writer>;

    const LONGEST: usize = B::LONGEST;
    const IS_AHEAD: bool = B::IS_AHEAD;

    fn open() -> (Self, Self::Writer) {
        let (backend, writer) = B::open();
        (Self(backend), Through(Tee::new(One::default(), writer)))
    }

    fn open_again(&mut self) -> Self::Writer {
        Through(Tee::new(One::default(), self.0.open_again()))
    }

    fn seen(&mut self) -> Vec<Seen> {
        self.0.seen()
    }

    fn remove(&mut self) {
        self.0.remove();
    }

    fn limit(&mut self) {
        self.0.limit();
    }

    fn figures(writer: &mut Self::Writer) -> (u64, u64) {
        let written = writer.0.written();
        let (taken, unwritten) = B::figures(writer.0.writer_mut());
        assert_eq!(taken, written);
        (taken, unwritten)
    }
}

/// A simulated sink as a writer.
#[derive(Debug)]
pub(crate) struct Sunk(Played);

impl Backend for Sunk {
    type Writer = SinkWriter<Memory>;

    const LONGEST: usize = 2048;
    const IS_FILE: bool = false;

    fn open() -> (Self, Self::Writer) {
        let (played, memory) = Played::open();
        (Self(played), SinkWriter::new(memory))
    }

    fn open_again(&mut self) -> Self::Writer {
        SinkWriter::new(self.0.open_again())
    }

    fn seen(&mut self) -> Vec<Seen> {
        let frames = std::iter::from_fn(|| self.0.receive(super::SILENCE));
        let seen = frames.map(|data| Seen { about: None, data });
        seen.collect()
    }

    fn remove(&mut self) {
        self.0.remove();
    }

    fn limit(&mut self) {
        self.0.hold();
    }

    fn figures(writer: &mut Self::Writer) -> (u64, u64) {
        let stats = writer.get_mut().stats().unwrap();
        (stats.committed, stats.pending)
    }
}

/// A number of this many bytes, little-endian as in the file.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + len)?.iter().rev();
    Some(bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// The whole packets of a pcap file in nanoseconds.
fn pcap(file: &[u8]) -> Vec<Seen> {
    assert_eq!(number(file, 0, 4), Some(0xa1b2_3c4d));
    let mut rest = &file[24..];
    let mut seen = Vec::new();
    while let Some(len) = number(rest, 8, 4)
        && let Some(data) = rest[16..].get(..len as usize)
    {
        let word = |at| number(rest, at, 4).unwrap();
        let nanos = word(0) * 1_000_000_000 + word(4);
        let about = Some((nanos, word(12) as u32));
        let data = data.to_vec();
        rest = &rest[16 + data.len()..];
        seen.push(Seen { about, data });
    }
    seen
}

/// The whole packets of a pcapng file whose interfaces are in nanoseconds.
fn pcapng(file: &[u8]) -> Vec<Seen> {
    assert!(matches!(number(file, 0, 4), Some(0x0a0d_0d0a) | None));
    let mut rest = file;
    let mut seen = Vec::new();
    while let Some(total) = number(rest, 4, 4)
        && let Some(block) = rest.get(..total as usize)
    {
        let word = |at| number(block, at, 4).unwrap();
        if word(0) == 6 {
            let nanos = word(12) << 32 | word(16);
            let data = block[28..][..word(20) as usize].to_vec();
            let about = Some((nanos, word(24) as u32));
            seen.push(Seen { about, data });
        }
        rest = &rest[block.len()..];
    }
    seen
}

/// Everything that can be unpacked from a gzip file.
fn unpacked(file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(file);
    let mut piece = [0; 4096];
    while let Ok(len @ 1..) = decoder.read(&mut piece) {
        bytes.extend(&piece[..len]);
    }
    bytes
}
