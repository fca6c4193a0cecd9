//! TPACKET_V3 mapped rings: capture from a Linux interface; and TPACKET_V2 rings to send frames.
//!
//! The kernel writes packets into blocks of memory that it shares with the program; [`Capture`]
//! lends them block by block, without a copy and without a system call while there are packets. A
//! [`Batch`] borrows from its capture and a packet from its batch, so the compiler refuses what a C
//! program finds out in production.
//!
//! ```no_run
//! use netring_afpacket::Capture;
//! use netring_sys::{PacketBatch, PacketSource};
//!
//! let mut capture = Capture::open("eth0")?;
//! while let Some(batch) = capture.next_batch()? {
//!     for packet in batch.packets() {
//!         println!("{} {} bytes", packet.timestamp(), packet.wire_len());
//!     }
//! }
//! # Ok::<(), netring_sys::Error>(())
//! ```
//!
//! The kernel hands over a block when it is full or its timeout expires. With
//! [`Profile::Immediate`] it hands over each packet at once. [`CaptureBuilder::profile`] lists the
//! longest reader pause that each profile absorbs.
//!
//! | to capture from | use |
//! |---|---|
//! | one interface | [`Capture::open`], [`CaptureBuilder::interface`] |
//! | all of them, through one ring | [`CaptureBuilder::all_interfaces`] |
//! | one, by several threads or tasks that share its packets | [`FanoutGroup`] |
//! | several, each with its own ring | [`Captures`] |
//! | one or several that appear later or come back | [`Captures`] with [`join`](CapturesBuilder::join) or [`reopen`](CapturesBuilder::reopen) |
//!
//! [`Injector`] sends frames. They are written into slots of a ring, and one call sends many:
//!
//! ```no_run
//! use netring_afpacket::Injector;
//! use netring_sys::PacketSink;
//!
//! let mut injector = Injector::open("eth0")?;
//! for n in 0..100_u8 {
//!     assert!(injector.send(&[n; 60])?, "the ring has 1024 slots");
//! }
//! injector.drain(None)?;
//! println!("{}", injector.stats()?);
//! # Ok::<(), netring_sys::Error>(())
//! ```
//!
//! Both need CAP_NET_RAW in the namespace of the interface, and kernel 4.20 or newer (3.14 without
//! [`CaptureBuilder::ignore_outgoing`]). They may be in another network namespace than the thread
//! ([`CaptureBuilder::namespace`], [`InjectorBuilder::namespace`]); entering it needs
//! CAP_SYS_ADMIN.
//!
//! # What the compiler refuses
//!
//! A packet that is kept past its batch:
//!
//! ```compile_fail,E0597
//! use netring_sys::{PacketBatch, PacketSource};
//! fn keep(capture: &mut netring_afpacket::Capture) -> Result<usize, netring_sys::Error> {
//!     let packet = {
//!         let batch = capture.next_batch()?.unwrap();
//!         batch.packets().next().unwrap()
//!     };
//!     Ok(packet.data().len())
//! }
//! ```
//!
//! Packets of several batches in one collection:
//!
//! ```compile_fail,E0499
//! use netring_sys::{PacketBatch, PacketSource};
//! fn collect(capture: &mut netring_afpacket::Capture) -> Result<(), netring_sys::Error> {
//!     let mut batches = Vec::new();
//!     while let Some(batch) = capture.next_batch()? {
//!         batches.push(batch);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! An iterator that outlives its batch:
//!
//! ```compile_fail,E0505
//! use netring_sys::{PacketBatch, PacketSource};
//! fn outlive(capture: &mut netring_afpacket::Capture) -> Result<usize, netring_sys::Error> {
//!     let batch = capture.next_batch()?.unwrap();
//!     let packets = batch.packets();
//!     drop(batch);
//!     Ok(packets.count())
//! }
//! ```
//!
//! A capture that is used while it lends a batch:
//!
//! ```compile_fail,E0499
//! use netring_sys::{PacketBatch, PacketSource};
//! fn both(capture: &mut netring_afpacket::Capture) -> Result<usize, netring_sys::Error> {
//!     let batch = capture.next_batch()?.unwrap();
//!     let stats = capture.stats()?;
//!     Ok(batch.packets().count())
//! }
//! ```
#![deny(unsafe_code)]

mod builder;
mod captures;
mod fanout;
mod rx;
mod socket;
mod tx;

#[cfg(any(test, feature = "__internal"))]
#[doc(hidden)]
pub mod internal;

pub use builder::CaptureBuilder;
pub use captures::{Captures, CapturesBuilder, JoinCounts, JoinEvent};
pub use fanout::{Fanout, FanoutGroup, FanoutHandle, FanoutMode, FanoutProgram, RolloverStats};
pub use netring_sys::kernel::filter::SockFilter;
pub use netring_sys::wait::{LinkMonitor, LinkState, StopHandle};
pub use netring_sys::{
    Filter, HardwareTimestamps, Membership, Namespace, Profile, Segmentation, TimestampStats,
    TransmitTimestamps,
};
pub use rx::{Batch, Capture, RingGeometry};
pub use socket::TimestampSource;
pub use tx::{CopyMode, Injector, InjectorBuilder, RejectStats, Slot};
