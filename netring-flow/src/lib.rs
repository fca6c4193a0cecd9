//! Flows out of any packet source; no kernel, no runtime.
//!
//! [`FlowTracker`] takes packets, one by one or in the batches of a source, and tells what happens
//! to the flows that they make: one began, a connection was established, one ended and why, with
//! its figures for each direction.
//!
//! ```
//! use netring_flow::extract::FiveTuple;
//! use netring_flow::{FlowEvent, FlowTracker};
//! use netring_sys::{Error, PacketSource, Readiness};
//!
//! /// Prints a line for each flow of a source that ends: a capture file.
//! fn flows(source: &mut impl PacketSource) -> Result<(), Error> {
//!     let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
//!     let mut events = Vec::new();
//!     let mut more = true;
//!     while more {
//!         more = source.ready()? != Readiness::Ended;
//!         tracker.track_batch(&source.batch(), &mut events);
//!         if !more {
//!             while tracker.finish(&mut events) {}
//!         }
//!         for event in events.drain(..) {
//!             if let FlowEvent::Ended {
//!                 key,
//!                 reason,
//!                 history,
//!                 stats,
//!                 ..
//!             } = event
//!             {
//!                 println!("{key} {reason} {history} {} packets", stats.packets());
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # What a flow is
//!
//! An extractor ([`extract::Extract`]) reads the key from a packet: [`extract::FiveTuple`] is the
//! built-in one, [`extract::Flowscope`] adapts those of the flowscope crate. All packets of one key
//! are one flow, until
//! - nothing came for as long as its time-out ([`Timeouts`]; by state);
//! - it is closed, and then lingers for 5 s to take in what trails behind;
//! - a new TCP connection takes its ports: a SYN with another sequence number, on a connection that
//!   is closed, or that is established and was silent for a second; or, without any silence, the
//!   SYN-ACK that acknowledges such a SYN. A SYN that was sent again or overtaken is not one;
//! - it is evicted because the table is full, or nearly; see [`TrackerConfig::max_flows`];
//! - the source ends ([`FlowTracker::finish`]).
//!
//! The *initiator* is who sent the SYN; where a SYN-ACK comes first, who received it; else who sent
//! the first packet. That is not the order of the addresses in a key: the one is
//! [`FlowStats::initiator`], the other [`extract::Orientation`].
//!
//! # What TCP segments are believed
//!
//! A connection is *established* when a SYN-ACK acknowledged its SYN and a segment of the initiator
//! acknowledged the SYN-ACK. It is *closed* by a RST, or by a FIN of each end, if the receiver
//! would accept it (RFC 9293, section 3.10.7.4; RFC 5961): if it is inside of the receiver's
//! window, with both window scales applied, or not beyond what its sender was seen to send. To an
//! end that waits for an answer to its SYN, a RST has to acknowledge that SYN. Any other RST or FIN
//! counts as a packet, is reported ([`Anomaly::OutOfWindow`]), and changes nothing. If the window
//! is not known, because the handshake was not seen, every RST and FIN is believed.
//!
//! A SYN or SYN-ACK that is sent again and again belongs to one attempt, as long as the gaps grow
//! like those of a kernel: each gap puts the end of the flow off by six times its length, 96 s at
//! most. A SYN that comes once has its 5 s.
//!
//! For 240 s after a connection closed, a segment without SYN and without data begins no flow of
//! the same key. It is counted in [`UntrackedStats::after_close`]. The last 65,536 keys are
//! remembered, in 512 KiB.
//!
//! # What counts
//!
//! A packet counts with its length on the wire, even if a snap length cut it. A packet with a valid
//! IP header is in a flow, and marked if it is cut or malformed; what has no flow is counted by
//! cause ([`UntrackedStats`]): what is not IP, IP headers that are not valid, fragments other than
//! the first, and what trails far behind a close. An ICMP error is reported against the flow that
//! it quotes. Each packet that is tracked is in the figures of exactly one [`FlowEvent::Ended`].
//!
//! # Bounds
//!
//! No packet costs an allocation, and none more than a bounded number of steps, but for the growth
//! of the table's index. The table has a hard bound; time-outs are worked off by budget. No bytes
//! of a packet make it panic.
//!
//! Not here yet: what is inside tunnels, fragments put to their flow, and the contents of streams.
#![deny(unsafe_code)]

pub mod extract;

// From bytes to a key.
mod parse;

// What is set, and what is reported.
mod config;
mod event;

// Where flows are kept.
mod table;

// What is done to them.
mod engine;
mod tracker;
mod visitor;

pub use config::{Timeouts, TrackerConfig};
pub use event::{
    Anomaly, DirectionStats, EndReason, EndedStats, FlowEvent, FlowId, FlowStats, History,
    TrackerStats, UntrackedStats,
};
pub use tracker::FlowTracker;
pub use visitor::{FlowVisitor, Segment};
