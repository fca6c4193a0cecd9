//! The traits and the few types that almost every program needs: `use netring::prelude::*;`.
//!
//! ```
//! use netring::prelude::*;
//!
//! /// Bytes on the wire, by any source.
//! fn bytes(source: &mut impl PacketSource) -> Result<u64, Error> {
//!     let mut bytes = 0;
//!     while let Some(batch) = source.next_batch()? {
//!         for packet in batch.packets() {
//!             bytes += u64::from(packet.wire_len());
//!         }
//!     }
//!     Ok(bytes)
//! }
//! ```

pub use crate::{
    Error, Filter, Open, Packet, PacketBatch, PacketBuf, PacketSink, PacketSlot, PacketSource,
    PacketWriter, Profile, Readiness, Stats, Timed, Timestamp,
};

#[cfg(all(feature = "afpacket", feature = "pcap"))]
pub use crate::Input;
#[cfg(all(feature = "async", feature = "afpacket"))]
pub use crate::{AsyncCapture, AsyncInjector};
#[cfg(feature = "async")]
pub use crate::{AsyncSink, AsyncSource, OpenAsync};
#[cfg(all(feature = "async", feature = "flow"))]
pub use crate::{BroadcastRecvError, FlowBroadcast, FlowStream, FlowSubscriber};
#[cfg(feature = "afpacket")]
pub use crate::{Capture, Injector};

#[cfg(feature = "flow")]
pub use crate::flow::extract::{FiveTuple, FiveTupleKey};
#[cfg(feature = "flow")]
pub use crate::flow::{EndReason, FlowEvent, FlowTracker};
