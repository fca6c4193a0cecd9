//! AF_XDP sockets: UMEM, four rings, and the programs that feed them, generated in Rust and loaded
//! with aya.
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
//!   [`XdpInjector`] sends. Both are what the layers above take
//!   ([`PacketSource`](netring_sys::PacketSource), [`PacketSink`](netring_sys::PacketSink)).
//! - [`XdpSocket`] over a [`Umem`] is for who wants the rings: to send on what was received without
//!   a copy, to hold chunks, to share packet memory between queues and interfaces.
//! - [`program`] has the XDP programs: the generated one, or the user's own.
//!
//! ```no_run
//! use netring_sys::PacketBatch;
//! use netring_xdp::XdpCapture;
//! use std::time::Duration;
//!
//! let mut capture = XdpCapture::open("eth0")?;
//! println!("{}", capture.mode());
//! while let Some(batch) = capture.next_batch(Duration::from_secs(1))? {
//!     for packet in batch.packets() {
//!         println!("queue {}: {} bytes", batch.queue(), packet.wire_len());
//!     }
//! }
//! # Ok::<(), netring_xdp::Error>(())
//! ```
//!
//! A chunk of packet memory is in exactly one place: free, in one of the rings, in a batch, or in
//! the user's hands as a [`Chunk`]. Moving it is the proof, and [`Umem::census`] counts them all.
//! What one half of a socket is given to receive in is never used to send from, and the reverse; a
//! chunk that is sent on comes back to the half that received in it.
//!
//! A frame longer than a chunk is written in a slot like any other where the socket was opened with
//! multi-buffer ([`InjectorBuilder::multi_buffer`]). A checksum or a timestamp is asked for with a
//! frame where it was opened with transmit metadata ([`Slot::request_checksum`],
//! [`Slot::request_timestamp`]); what the driver cannot do is refused.
//!
//! Needs CAP_NET_RAW, for programs CAP_BPF and CAP_NET_ADMIN of the host, and kernel 5.9 or newer.
//! Sending needs no program. Packet memory beyond the limit of locked memory (`ulimit -l`, mostly 8
//! MiB for each user) needs CAP_IPC_LOCK. An error that one of them is missing names all that these
//! settings need on this machine, in one line to follow.
//!
//! # Callouts
//! - What is redirected to a socket the host's own stack does not see.
//! - A filter ([`CaptureBuilder::filter`]) sees the bytes as the driver gives them: with their VLAN
//!   tag, unless the card took it out.
//! - A queue without a socket goes on to the kernel without a word: a capture takes all queues, or
//!   says how many packets it missed.
//! - A VLAN tag may stand beside the bytes of a packet, where a card took it out or a veth pair was
//!   given it so. In native mode a capture has it from the driver (kernel 6.8,
//!   [`CaptureBuilder::metadata`]); where it has not, [`XdpCapture::why_no_metadata`] says why, and
//!   the tag is lost unless it is left in the bytes: `ethtool -K eth0 rxvlan off`, on veth `txvlan
//!   off` at the other end.
//! - A checksum that the sending stack left to its interface, as it does on veth and `lo`, is not
//!   right in the bytes, and [`Unknown`](netring_sys::Checksum::Unknown) here; AF_PACKET reports it
//!   as [`Partial`](netring_sys::Checksum::Partial).
//! - What offloads put together (GSO, GRO) comes in one piece in generic mode, up to 64 KiB and
//!   more, and cut in native mode. A capture has room for both by default
//!   ([`CaptureBuilder::multi_buffer`]); a socket only if it is opened with
//!   [`multi_buffer`](SocketBuilder::multi_buffer): what is longer than a chunk is else lost, and
//!   counted ([`SocketStats::no_chunk`]).
//! - A card with `rx-vlan-filter on` drops tags that nobody registered before any program sees
//!   them.
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
//! One that is sent twice:
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
//! One of another UMEM:
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
//! (With both sockets over the same one it compiles:)
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
//! A UMEM, or anything of it, that leaves its scope:
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
//! A packet that is looked at after its chunk was taken out of the batch:
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
//! # use netring_xdp::*;
//! fn collect(capture: &mut XdpCapture) -> Result<(), Error> {
//!     let mut batches = Vec::new();
//!     while let Some(batch) = capture.next_batch(None)? {
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
            netring_sys::wait::StopHandle,
            netring_sys::{Error, Filter, Profile},
            options::{BusyPoll, CopyMode, DriverMetadata, Mode, RingSize},
            socket::chunk::Chunk,
            socket::rx::{Described, Forwarded, Frames},
            socket::tx::{Slot, TimestampStats, TransmitTimestamps},
            socket::{
                NotSent, Received, Receiver, SocketBuilder, SocketStats, Transmitter, XdpSocket,
            },
        };
    }
}
