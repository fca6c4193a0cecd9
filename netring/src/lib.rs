//! Packet I/O for Linux: rings, flows, async streams and broadcasts behind one import.
//!
//! ```no_run
//! use futures::StreamExt;
//! use netring::AsyncCapture;
//! use netring::flow::extract::FiveTuple;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), netring::Error> {
//! let cap = AsyncCapture::open("eth0")?;
//! let bc = cap.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
//! let mut a = bc.subscribe();
//! let mut b = bc.subscribe();
//! tokio::select! {
//!     evt = a.next() => println!("a: {evt:?}"),
//!     evt = b.next() => println!("b: {evt:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! | room | feature | what it has |
//! |---|---|---|
//! | the root | | [`Packet`], [`PacketSource`], [`Stats`], [`Error`]: the words every layer shares |
//! | [`afpacket`], [`Capture`] | `afpacket` | capture from an interface, by a ring that the kernel fills |
//! | [`flow`] | `flow` | flows out of any source |
//! | [`AsyncSource`], [`AsyncCapture`] | `async` | the same for tokio; with `flow` also [`FlowStream`] and [`FlowBroadcast`] |
//! | [`pcap`] | `pcap` | capture files as a source |
//!
//! `afpacket`, `flow` and `async` are on by default; features add, and change nothing. With `afpacket` alone neither tokio nor
//! flowscope is built.
//!
//! # Without a runtime
//!
//! ```no_run
//! # #[cfg(feature = "afpacket")]
//! # fn main() -> Result<(), netring::Error> {
//! use netring::{Capture, PacketBatch, PacketSource};
//! use std::time::Duration;
//!
//! let mut capture = Capture::open("eth0")?;
//! while let Some(batch) = capture.next_batch(Duration::from_secs(1))? {
//!     for packet in batch.packets() {
//!         println!("{} {} bytes", packet.timestamp(), packet.wire_len());
//!     }
//! }
//! println!("{:?}", capture.stats()?);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "afpacket"))]
//! # fn main() {}
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "pcap")]
pub mod pcap;

pub use netring_sys::{
    Checksum, Clock, Count, Direction, Error, Interface, LinkType, Packet, PacketBatch, PacketBuf,
    PacketSource, Readiness, Stats, SyscallError, Timestamp, VlanTag, wait,
};

#[cfg(feature = "afpacket")]
pub use netring_afpacket as afpacket;
#[cfg(feature = "afpacket")]
pub use netring_afpacket::Capture;

#[cfg(feature = "flow")]
pub use netring_flow as flow;

#[cfg(feature = "async")]
pub use netring_async::AsyncSource;
#[cfg(all(feature = "async", feature = "flow"))]
pub use netring_async::{
    BroadcastRecvError, BroadcastStats, FlowBroadcast, FlowStream, FlowSubscriber,
};

/// A capture for tokio: `AsyncCapture::open("eth0")`.
#[cfg(all(feature = "async", feature = "afpacket"))]
pub type AsyncCapture = AsyncSource<Capture>;
