//! Capture files as a source under test.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netring::pcap::CaptureFile;
use netring::{Clock, Error, PacketSource, Readiness};
use netring_sys::syscall::poll_readable;

use super::source::Backend;

#[path = "../pcap/bytes.rs"]
pub(crate) mod bytes;

use bytes::{Little, enhanced, header, interface, record, section};

/// A pcap file that another process writes while it is read, through a non-blocking stream.
#[derive(Debug)]
pub(crate) struct Piped(UnixStream);

impl Backend for Piped {
    type Source = CaptureFile<UnixStream>;

    const HOLDS: u64 = 16;
    const OVERFLOWS: Option<u64> = None;
    const CLOCKS: &[Clock] = &[Clock::Unknown];

    fn open() -> (Self, Self::Source) {
        let (mut write, read) = UnixStream::pair().unwrap();
        write
            .write_all(&header(Little, bytes::MICROS, 65_535, 1))
            .unwrap();
        read.set_nonblocking(true).unwrap();
        (Self(write), CaptureFile::new(read).unwrap())
    }

    fn offer(&mut self, frame: &[u8]) {
        self.0.write_all(&recorded(frame)).unwrap();
    }

    fn wait(source: &mut Self::Source, time: Duration) -> Result<Readiness, Error> {
        let end = Instant::now() + time;
        loop {
            let found = source.ready()?;
            let left = end.saturating_duration_since(Instant::now());
            if found != Readiness::Empty || left.is_zero() {
                return Ok(found);
            }
            poll_readable(source.get_mut().as_fd(), Some(left))?;
        }
    }

    fn end(&mut self) {
        // A stream that was already shut down, or lost its reader, has ended too.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    fn interface(&self) -> u32 {
        0
    }
}

/// A pcapng file on a disk, which ends by itself.
#[derive(Debug)]
pub(crate) struct Plain {
    path: PathBuf,
    write: File,
}

impl Backend for Plain {
    type Source = CaptureFile;

    const HOLDS: u64 = 100;
    const OVERFLOWS: Option<u64> = None;
    const CLOCKS: &[Clock] = &[Clock::Unknown];

    fn open() -> (Self, Self::Source) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only a unique number is needed.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netring-contract-{}-{number}.pcapng", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut file = section(Little);
        file.extend(interface(Little, 1, 0, b""));
        std::fs::write(&path, file).unwrap();
        let write = OpenOptions::new().append(true).open(&path).unwrap();
        let source = CaptureFile::open(&path).unwrap();
        (Self { path, write }, source)
    }

    fn offer(&mut self, frame: &[u8]) {
        let block = enhanced(Little, 0, 7, frame.len() as u32, frame);
        self.write.write_all(&block).unwrap();
    }

    fn wait(source: &mut Self::Source, _: Duration) -> Result<Readiness, Error> {
        source.ready()
    }

    /// A file has a fixed end.
    fn end(&mut self) {}

    fn interface(&self) -> u32 {
        1
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn recorded(frame: &[u8]) -> Vec<u8> {
    record(Little, (1_700_000_000, 0), frame.len() as u32, frame)
}
