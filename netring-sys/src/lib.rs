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
pub mod syscall;

mod attached;
mod interface;
mod mmap;
mod netlink;
mod privileges;
mod promiscuous;
pub mod wait;

// The words every layer shares.
mod contract;
mod error;
pub mod filter;
mod link_type;
mod packet;
mod timestamp;
mod xdp_program;

pub use interface::{Interface, InterfaceCounters};
pub use mmap::Mmap;
pub use netlink::{InterfaceAddress, XdpFeatures, XdpMetadata};
pub use privileges::Privileges;
pub use promiscuous::Promiscuous;

pub use contract::{
    Count, Open, PacketBatch, PacketSink, PacketSlot, PacketSource, PacketWriter, Profile,
    Readiness, SinkStats, Stats, WireBytes, adapters,
};
pub use error::{Error, SyscallError};
pub use filter::{Filter, Matcher};
pub use link_type::LinkType;
pub use packet::{Checksum, Direction, Meta, Packet, PacketBuf, VlanTag};
pub use timestamp::{Clock, Timestamp};
pub use xdp_program::{XdpMode, XdpProgram};
