//! Waiting for packets, for a stop, and for the interface to go away.
//!
//! A live source waits for three things at once, but a runtime takes one descriptor. A [`Waiter`]
//! combines the packet socket, the event behind the [`StopHandle`]s and the kernel's notifications
//! about interfaces into one. The notifications are needed because the socket alone does not report
//! everything: if the interface was already down, the kernel removes it without another
//! notification.
//!
//! A [`LinkMonitor`] reports the changes of an interface to another thread or task, and an
//! [`InterfaceTable`] the interfaces that exist, and their names. A [`Merge`] waits for several
//! sources at once, as one source.
//!
//! ```no_run
//! use std::os::fd::AsFd;
//! use std::time::Duration;
//!
//! use netring_sys::{Error, PacketSink, wait};
//!
//! /// Sends a frame, and waits until the kernel has taken it. False if that takes too long.
//! fn send(sink: &mut (impl PacketSink + AsFd), frame: &[u8]) -> Result<bool, Error> {
//!     let second = Some(Duration::from_secs(1));
//!     Ok(wait::send(sink, frame, second)? && wait::drain(sink, second)? == 0)
//! }
//! ```

mod blocking;
mod link;
mod link_state;
mod merge;
mod monitor;
mod pace;
mod pacer;
mod schedule;
mod stop;
mod table;
mod waiter;
mod work;

pub use blocking::{drain, ready, send};
pub use link_state::LinkState;
pub use merge::{Ended, Joiner, Merge, MergedBatch};
pub use monitor::LinkMonitor;
pub use pacer::Pacer;
pub use schedule::Schedule;
pub use stop::{Stop, StopHandle};
pub use table::{InterfaceChange, InterfaceTable};
pub use waiter::Waiter;
pub use work::{Step, Work, work};

// The token of each descriptor in the set.
const SOCKET: u64 = 0;
const STOP: u64 = 1;
const LINK: u64 = 2;
const PACE: u64 = 3;
