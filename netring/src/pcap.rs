//! Capture files: reading them as a packet source, and writing them.
//!
//! [`CaptureFile`] reads pcap and pcapng, which it distinguishes by their first bytes, and lends
//! packets as a live capture does: the flow engine and the async adapter take it unchanged.
//! [`CaptureWriter`] writes both formats, with timestamps in nanoseconds.
//! ```no_run
//! use netring::{PacketBatch, PacketSource};
//! use netring::pcap::CaptureFile;
//!
//! let mut file = CaptureFile::open("trace.pcapng")?;
//! while let Some(batch) = file.next_batch()? {
//!     for packet in batch.packets() {
//!         println!("{} {} bytes", packet.timestamp(), packet.wire_len());
//!     }
//! }
//! # Ok::<(), netring::Error>(())
//! ```
//!
//! # What is read
//!
//! Everything that libpcap or Wireshark reads, except for Wireshark's guesses about files with
//! misleading headers:
//!
//! - pcap 2.0 and later in either byte order, with timestamps in micro- or nanoseconds, and its
//!   variants: Kuznetsov's "modified" format of old Linux kernels, Ixia's, AIX's, and the swapped
//!   lengths that versions up to 2.3 may have. `thiszone` is ignored, as by every other reader:
//!   timestamps are UTC.
//! - pcapng 1.x: any number of sections and interfaces, each section in its own byte order;
//!   enhanced, simple and obsolete packet blocks; timestamps of any resolution (`if_tsresol`) and
//!   offset (`if_tsoffset`). Blocks without packets are skipped, and so is the length of a
//!   section.
//! - Link types by their number in the registry; also 12 and 14, which some programs write for raw
//!   IP (101).
//!
//! The bytes of a packet are not changed. Timestamps are exact to the nanosecond; finer ones are
//! rounded down. The wire length is the one in the file, but never less than the number of
//! captured bytes.
//!
//! With the feature `compression`, files compressed with gzip or zstd (with a window of up to 128
//! MiB) are read directly; the content identifies them. Other compressed files are refused; the
//! error names the tool that unpacks them.
//!
//! # What is kept of pcapng
//!
//! [`CaptureFile::section`], [`interfaces`](CaptureFile::interfaces) and
//! [`statistics`](CaptureFile::statistics) return what the file says about its machine, its
//! interfaces and its losses; [`Batch::records`] the packets with their comments, drops and other
//! options. The direction and the queue are also part of the packet; an inbound packet that does
//! not say how it was received is [`Direction::Host`](crate::Direction::Host). [`Batch::blocks`]
//! are the blocks that belong to no packet, such as name records and decryption secrets.
//! [`CaptureWriter::copy`] writes all of it to another file, except for parts marked as not to be
//! copied, and blocks of unknown kinds.
//!
//! # Packets without a timestamp
//!
//! Simple packet blocks have no timestamp. Such a packet takes the time of the packet before it in
//! the file, whatever its interface or section. If there is none, it takes the time of the first
//! packet with one within the next 256 KiB, or else the epoch. Over a pipe, the first packets of
//! such a file are lent once that time is known.
//!
//! # If the file is damaged
//!
//! Every complete packet before the damage is lent first; in a compressed file, every one that can
//! be unpacked. Then [`ready`](crate::PacketSource::ready) reports an
//! [`Error::Source`](crate::Error::Source), which is final, that holds a [`FileError`] with the
//! offset of the damage. A packet that the file announces but does not contain is counted in
//! [`Stats::invalid`](crate::Stats::invalid).
//!
//! An invalid option does not end the file: it is ignored and counted
//! ([`CaptureFile::ignored_options`]).
//!
//! Memory is bounded whatever the file says: the buffer grows with the bytes that are really
//! present, up to 16 MiB, and a record or block that announces more counts as damage. At most 1 MiB
//! of options is kept for a section and its interfaces.
#![cfg_attr(
    feature = "rotation",
    doc = "
# Recording

[`RotatingWriter`] writes one file after another, by size, age and count, and keeps the last ones.
A [`Tee`](crate::adapters::Tee) around a capture writes its packets while flows are tracked."
)]

mod block;
mod error;
mod flags;
mod interface;
mod link;
mod options;
mod order;
mod read;
#[cfg(feature = "rotation")]
mod rotate;
mod section;
mod statistics;
mod time;
mod write;

pub use error::FileError;
pub use interface::InterfaceDescription;
pub use read::{Batch, Block, CaptureFile, Record};
#[cfg(feature = "rotation")]
pub use rotate::{FinishedFile, Fsync, RotatingWriter, RotationBuilder};
pub use section::Section;
pub use statistics::InterfaceStatistics;
pub use write::{CaptureWriter, Format, WriterBuilder};
