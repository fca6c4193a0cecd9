//! What the kernel says about packet rings, and the words every layer of netring shares.
//!
//! Most programs use these words through the crate `netring`, or through the backend they picked.
//! Depend on this crate to write a backend, or a source around a source.
//!
//! The shared words, which need no kernel:
//! - [`Packet`] and [`PacketBuf`]: the bytes of a packet, and what its source knows about it;
//! - [`PacketSource`] and [`PacketBatch`]: the contract between a source and its readers;
//! - [`PacketSink`] and [`PacketSlot`]: the contract between a sender and a sink;
//! - [`PacketWriter`]: the contract of what takes packets with their timestamps, such as a file;
//! - [`adapters`]: sources around sources, which need the contract only;
//! - [`Filter`] and [`Matcher`]: the filter that every capture takes, and one for any source;
//! - [`Stats`] and [`SinkStats`]: what became of every packet;
//! - [`Error`]: what went wrong and what to do about it.
//!
//! What the kernel says:
//! - [`kernel`]: names and layouts as in its headers; [`syscall`]: one typed function per system
//!   call;
//! - [`errno`]: error numbers, for [`SyscallError::is`];
//! - [`Mmap`]: memory shared with it, range checked; [`Interface`]: what it knows about an
//!   interface;
//! - [`wait`]: waiting for packets, for a stop, and for the interface to go.
#![deny(unsafe_code)]

// What the kernel says.
pub mod errno;
pub mod kernel;
mod os;
pub mod syscall;

// The words every layer shares.
mod contract;
mod error;
pub mod filter;
mod packet;
mod privileges;
mod xdp_program;

pub use os::{
    Interface, InterfaceAddress, InterfaceCounters, Promiscuous, XdpFeatures, XdpMetadata, wait,
};
pub use privileges::Privileges;
pub use syscall::Mmap;

pub use contract::{
    Count, Open, PacketBatch, PacketSink, PacketSlot, PacketSource, PacketWriter, Profile,
    Readiness, SinkStats, Stats, WireBytes, adapters,
};
pub use error::{Error, NoBackend, Refusal, SyscallError};
pub use filter::{Filter, Matcher};
pub use packet::{
    Checksum, Clock, Direction, LinkType, Meta, Packet, PacketBuf, Timestamp, VlanTag,
};
pub use xdp_program::{XdpMode, XdpProgram};
