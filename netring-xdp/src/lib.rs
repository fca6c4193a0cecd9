//! AF_XDP sockets: UMEM, four rings, and the programs that feed them, generated in Rust.
//!
//! ```text
//!                    ┌──── UMEM: packet memory in chunks, shared with the kernel ────┐
//!                    └──▲─────────▲──────────────────────────────▲─────────▲─────────┘
//!   chunks to receive ──┘ fill    │ receive            transmit  │         │ completion
//!   in: we write          ring    │ ring: the kernel   ring:     │         │ ring: chunks that
//!                                 └ writes             we write ─┘         └ were sent
//! ```
//!
//! - [`XdpCapture`] receives from all queues of an interface, as one source or one for each queue;
//!   [`XdpInjector`] sends. They implement the contract that the layers above use
//!   ([`PacketSource`](netring_sys::PacketSource), [`PacketSink`](netring_sys::PacketSink)).
//! - [`XdpSocket`] over a [`Umem`] is for callers that want direct access to the rings: to forward
//!   packets without a copy, to hold chunks, to share packet memory between queues and interfaces.
//! - [`program`] has the XDP programs: the generated one, and the user's own.
//!
//! [`CaptureBuilder::profile`] sizes rings and packet memory for a purpose.
//!
//! ```no_run
//! use netring_sys::{PacketBatch, PacketSource};
//! use netring_xdp::XdpCapture;
//!
//! let mut capture = XdpCapture::open("eth0")?;
//! println!("{}", capture.mode());
//! while let Some(batch) = capture.next_batch()? {
//!     for packet in batch.packets() {
//!         println!("queue {}: {} bytes", batch.queue(), packet.wire_len());
//!     }
//! }
//! # Ok::<(), netring_xdp::Error>(())
//! ```
//!
//! A chunk of packet memory is in exactly one place: free, in one of the rings, in a batch, or held
//! by the user as a [`Chunk`]. The type system moves it, and [`Umem::census`] counts all of them.
//! Chunks that one half of a socket receives in are never used to send from, nor the reverse; a
//! chunk that is forwarded returns to the half that received in it.
//!
//! With multi-buffer ([`InjectorBuilder::multi_buffer`]) a frame longer than a chunk is written
//! into a slot like any other. With transmit metadata a checksum or a timestamp can be requested
//! with a frame ([`Slot::request_checksum`], [`Slot::request_timestamp`]); a request that the
//! driver cannot meet is refused.
//!
//! Needs CAP_NET_RAW, for programs also CAP_BPF and CAP_NET_ADMIN of the host, and kernel 5.9 or
//! newer. Sending needs no program. Packet memory beyond the limit of locked memory (`ulimit -l`,
//! often 8 MiB per user) needs CAP_IPC_LOCK. An error about a missing capability names everything
//! that the settings need on this machine, in one line to follow.
//!
//! # Callouts
//! - The host stack does not see packets redirected to a socket.
//! - A filter ([`CaptureBuilder::filter`]) that is a classic BPF program sees the bytes as the
//!   driver delivers them: with their VLAN tag, unless the card moved it out. An expression finds
//!   the tag in either place if the driver reports it.
//! - Packets of a queue without a socket go to the kernel silently: a capture takes all queues, or
//!   reports how many packets it missed.
//! - A VLAN tag may be outside the bytes of a packet, if a card moved it out or the other end of a
//!   veth pair sent it that way. In native mode a capture gets it from the driver (kernel 6.8,
//!   [`CaptureBuilder::metadata`]). Otherwise [`XdpCapture::why_no_metadata`] says why, and the tag
//!   is lost unless it is left in the bytes: `ethtool -K eth0 rxvlan off`, on veth `txvlan off` at
//!   the other end.
//! - A checksum that the sending stack left to its interface, as it does on veth and `lo`, is not
//!   correct in the bytes, and [`Unknown`](netring_sys::Checksum::Unknown) here; AF_PACKET reports
//!   it as [`Partial`](netring_sys::Checksum::Partial).
//! - Packets that offloads assembled (GSO, GRO) arrive whole in generic mode, up to 64 KiB and
//!   more, and cut in native mode. A capture has room for both by default
//!   ([`CaptureBuilder::multi_buffer`]); a socket only if it is opened with
//!   [`multi_buffer`](SocketBuilder::multi_buffer). Otherwise packets longer than a chunk are
//!   dropped, and counted ([`SocketStats::no_chunk`]).
//! - A card with `rx-vlan-filter on` drops unregistered tags before any program sees them.
//! - In native mode on veth the program runs where a packet arrives; `lo` has generic mode only.
//! - A driver may reset its rings when a program is attached, and its link with them.
//!
//! # What the compiler refuses
//!
//! A chunk that is used after it was sent:
//!
//! ```compile_fail,E0382
//! # use netring_xdp::*;
//! fn late(tx: &mut Transmitter<'_>) {
//!     let mut chunk = tx.take().unwrap();
//!     let _ = tx.send(chunk);
//!     chunk[0] = 1;
//! }
//! ```
//!
//! A chunk that is sent twice:
//!
//! ```compile_fail,E0382
//! # use netring_xdp::*;
//! fn twice(tx: &mut Transmitter<'_>) {
//!     let chunk = tx.take().unwrap();
//!     let _ = tx.send(chunk);
//!     let _ = tx.send(chunk);
//! }
//! ```
//!
//! A chunk of another UMEM:
//!
//! ```compile_fail,E0521
//! # use netring_xdp::*;
//! fn mixed() -> Result<(), Error> {
//!     Umem::scope(&UmemConfig::new(), |one| {
//!         Umem::scope(&UmemConfig::new(), |other| {
//!             let mut from = XdpSocket::builder("eth0", 0).open_transmitter(one)?;
//!             let mut to = XdpSocket::builder("eth1", 0).open_transmitter(other)?;
//!             let _ = to.send(from.take().unwrap());
//!             Ok(())
//!         })
//!     })
//! }
//! ```
//!
//! (With both sockets over the same UMEM it compiles:)
//!
//! ```no_run
//! # use netring_xdp::*;
//! fn shared() -> Result<(), Error> {
//!     Umem::scope(&UmemConfig::new(), |one| {
//!         let mut from = XdpSocket::builder("eth0", 0).open_transmitter(one)?;
//!         let mut to = XdpSocket::builder("eth1", 0).open_transmitter(one)?;
//!         let _ = to.send(from.take().unwrap());
//!         Ok(())
//!     })
//! }
//! ```
//!
//! A UMEM, or anything made of it, that leaves its scope:
//!
//! ```compile_fail
//! # use netring_xdp::*;
//! fn escape() -> Result<(), Error> {
//!     let config = UmemConfig::new();
//!     let socket = Umem::scope(&config, |umem| XdpSocket::builder("eth0", 0).open(umem))?;
//!     drop(socket);
//!     Ok(())
//! }
//! ```
//!
//! A packet that is kept past its batch:
//!
//! ```compile_fail,E0597
//! # use netring_xdp::*;
//! fn keep(rx: &mut Receiver<'_>) -> usize {
//!     let packet = {
//!         let batch = rx.receive();
//!         batch.iter().next().unwrap()
//!     };
//!     packet.len()
//! }
//! ```
//!
//! A packet that is used after its chunk was taken out of the batch:
//!
//! ```compile_fail,E0502
//! # use netring_xdp::*;
//! fn both(rx: &mut Receiver<'_>) -> usize {
//!     let mut batch = rx.receive();
//!     let packet = batch.iter().next().unwrap();
//!     let chunk = batch.take();
//!     packet.len()
//! }
//! ```
//!
//! Two batches of one capture:
//!
//! ```compile_fail,E0499
//! # use netring_sys::PacketSource;
//! # use netring_xdp::*;
//! fn collect(capture: &mut XdpCapture) -> Result<(), Error> {
//!     let mut batches = Vec::new();
//!     while let Some(batch) = capture.next_batch()? {
//!         batches.push(batch);
//!     }
//!     Ok(())
//! }
//! ```
#![deny(unsafe_code)]

/// Items of a configuration. The macro has the name and the form of the one in crate `cfg-if`,
/// because rustfmt follows the modules in that one.
macro_rules! cfg_if {
    (if #[cfg($configuration:meta)] { $($item:item)* }) => {
        $(#[cfg($configuration)] $item)*
    };
}

mod ring;
mod sync;

// Loom checks the rings only: they are all that two threads share.
cfg_if! {
    if #[cfg(not(loom))] {
        mod device;
        mod memory;
        mod options;
        mod permit;
        pub mod program;
        mod socket;
        mod waiting;

        mod capture;
        mod injector;

        #[cfg(test)]
        mod tests;

        pub use {
            capture::{Batch, CaptureBuilder, XdpCapture},
            injector::{InjectorBuilder, XdpInjector},
            memory::accounting::Census,
            memory::umem::{HugePages, Umem, UmemConfig},
            netring_sys::kernel::filter::SockFilter,
            netring_sys::wait::{LinkMonitor, LinkState, StopHandle},
            netring_sys::{Error, Filter, Profile, TimestampStats, TransmitTimestamps},
            options::{BusyPoll, CopyMode, DriverMetadata, Mode, RingSize},
            socket::chunk::Chunk,
            socket::rx::{Described, Forwarded, Frames},
            socket::tx::Slot,
            socket::{
                NotSent, Received, Receiver, SocketBuilder, SocketStats, Transmitter, XdpSocket,
            },
        };
    }
}
