//! Capture files as a packet source.
//!
//! [`CaptureFile`] reads pcap and pcapng, told apart by their first bytes, and lends packets as a live capture does: the flow
//! engine and the async adapter take it unchanged.
//!
//! ```no_run
//! use netring::PacketBatch;
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
//! - pcap 2.0 and later in either byte order, with stamps in micro- or nanoseconds, and its variants: Kuznetsov's
//!   "modified" format of old Linux kernels, Ixia's, AIX's, and the lengths in the other order that versions up to 2.3 may
//!   have. `thiszone` is ignored, as by every other reader: stamps are UTC.
//! - pcapng 1.x: any number of sections and interfaces, each section in its own byte order; enhanced, simple and obsolete packet
//!   blocks; stamps of any resolution (`if_tsresol`) and offset (`if_tsoffset`). Blocks without packets are stepped over.
//! - Packets as they stand: their link type is that of their interface in the file, the wire length is the one that was
//!   recorded, and the bytes are not changed. Stamps are exact to the nanosecond, and rounded down below it.
//!
//! Compressed files are refused, by name.
//!
//! # When the file is not right
//!
//! Every whole packet before the fault is lent first; then [`ready`](crate::PacketSource::ready) reports an
//! [`Error::Source`](crate::Error::Source), which is final, and whose source is a [`FileError`] with the offset of the fault. A packet that the
//! file announced and does not hold is counted in [`Stats::invalid`](crate::Stats::invalid).
//!
//! Memory is bounded whatever the file says: the buffer grows with the bytes that are really there, up to 16 MiB, and a record or
//! block that announces more is a fault.

mod buffer;
mod classic;
mod error;
mod file;
mod link;
mod ng;
mod order;
mod record;
mod time;

pub use error::FileError;
pub use file::{Batch, CaptureFile};
