//! The kernel interface of netring, and the types that all of its layers share.
//!
//! Most programs use these types through the crate `netring` or through a backend. Depend on this
//! crate to write a backend or an adapter around a source.
//!
//! The shared types, which need no kernel:
//! - [`Packet`], [`PacketBuf`] and [`PacketVec`]: the bytes of packets and their metadata;
//! - [`PacketSource`] and [`PacketBatch`]: the contract between a source and its readers;
//! - [`PacketSink`] and [`PacketSlot`]: the contract between a sender and a sink;
//! - [`PacketWriter`]: the contract for writing packets with their metadata, as a capture file
//!   does;
//! - [`adapters`]: sources around sources, built on the contract alone;
//! - [`Filter`] and [`Matcher`]: expressions and classic BPF, for the kernel and for any source;
//! - [`Stats`] and [`SinkStats`]: the fate of every packet;
//! - [`Error`]: what failed, and what to do about it; [`ParseError`]: text that is not a valid
//!   value.
//!
//! The kernel interface:
//! - [`kernel`]: names and layouts of the kernel's headers; [`syscall`]: one typed function per
//!   system call;
//! - [`errno`]: error numbers, for [`SyscallError::is`];
//! - [`Mmap`]: a range-checked mapping shared with the kernel; [`Interface`]: a network interface;
//!   [`Namespace`]: a network namespace;
//! - [`wait`]: waiting for packets, for a stop, and for changes of the interface.
//!
//! The feature `serde`, off by default, implements `Serialize` and `Deserialize` for packets'
//! metadata and statistics. The feature `tracing`, also off by default, makes all crates emit
//! events through the crate of that name.
#![deny(unsafe_code)]

// The kernel interface.
pub mod errno;
pub mod kernel;
mod os;
pub mod syscall;

// The types that every layer shares.
mod contract;
mod error;
mod event;
pub mod filter;
mod packet;
mod parse_error;
mod privileges;
mod xdp_program;

pub use os::{
    Adjustable, CardRings, Driver, Duplex, HardwareTimestamps, Interface, InterfaceAddress,
    InterfaceCounters, InterfaceFeature, InterfaceInformation, Membership, Memberships, Namespace,
    QueueCounts, Timestamping, XdpFeatures, XdpMetadata, wait,
};
pub use privileges::Privileges;
pub use syscall::Mmap;

pub use contract::{
    Build, Count, Open, OpenSink, PacketBatch, PacketSink, PacketSlot, PacketSource, PacketWriter,
    Profile, Readiness, SentTimestamps, SinkStats, Stats, Timed, TimestampStats,
    TransmitTimestamps, WireBytes, adapters,
};
pub use error::{Error, SyscallError};
#[doc(hidden)]
pub use event::__is_news;
pub use filter::{Filter, Matcher};
pub use packet::{
    Checksum, Clock, Direction, LinkAddress, LinkType, Meta, Offload, Packet, PacketBuf, PacketVec,
    PacketVecIter, PartialChecksum, Segmentation, Segments, Timestamp, VlanTag,
};
pub use parse_error::ParseError;
pub use xdp_program::{XdpMode, XdpProgram};

/// For the expansion of the macro for events.
#[cfg(feature = "tracing")]
#[doc(hidden)]
pub use tracing as __tracing;
