//! Flows from any packet source; no kernel, no runtime.
//!
//! [`FlowTracker`] takes packets, one at a time or in batches from a source, and reports what
//! happens to the flows they belong to: a flow started, a connection was established, a flow ended
//! and why, with counters for each direction.
//!
//! ```
//! use netring_flow::extract::{FiveTuple, FiveTupleKey};
//! use netring_flow::{FlowEvent, FlowTracker};
//! use netring_sys::{Error, PacketSource};
//!
//! /// Prints a line for each flow of a source that ends, such as a capture file.
//! fn flows(source: &mut impl PacketSource) -> Result<(), Error> {
//!     let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
//!     let mut events = Vec::new();
//!     while let Some(batch) = source.next_batch()? {
//!         tracker.track_batch(&batch, &mut events);
//!         events.drain(..).for_each(print);
//!     }
//!     while tracker.finish(&mut events) {}
//!     events.drain(..).for_each(print);
//!     Ok(())
//! }
//!
//! fn print(event: FlowEvent<FiveTupleKey>) {
//!     if let FlowEvent::Ended {
//!         key,
//!         reason,
//!         history,
//!         stats,
//!         ..
//!     } = event
//!     {
//!         println!("{key} {reason} {history} {} packets", stats.packets());
//!     }
//! }
//! ```
//!
//! To use several processors, give each worker a tracker of its own. In a fanout group by hash
//! (`FanoutGroup` of netring-afpacket), each worker receives whole flows in both directions, so
//! workers share nothing and need no lock. Fragments other than the first have no ports, so they
//! may reach a worker that has not seen the first: let the kernel reassemble them
//! (`Fanout::defragment`) if they matter.
//!
//! # What a flow is
//!
//! An extractor ([`extract::Extract`]) reads the key from a packet: [`extract::FiveTuple`] is the
//! built-in one; with the feature `flowscope`, `extract::Flowscope` adapts those of the crate
//! flowscope. All packets of one key belong to one flow, until
//! - no packet arrives within the timeout of its state ([`Timeouts`]);
//! - it is closed; it then lingers for 5 s to absorb late packets;
//! - a new TCP connection reuses its ports: a SYN with another sequence number on a connection that
//!   is closed, or that is established and has been idle for a second; or, without any idle time,
//!   the SYN-ACK that acknowledges such a SYN. A retransmitted or overtaken SYN does not count;
//! - it is evicted because the table is full, or nearly full; see [`TrackerConfig::max_flows`];
//! - the source ends ([`FlowTracker::finish`]).
//!
//! The *initiator* is the end that sent the SYN; if a SYN-ACK is seen first, the end that received
//! it; otherwise the sender of the first packet. It is independent of the order of the addresses in
//! a key: the initiator is [`FlowStats::initiator`], the order is [`extract::Orientation`].
//!
//! # Which TCP segments are accepted
//!
//! A connection is *established* once a SYN-ACK has acknowledged its SYN and a segment from the
//! initiator has acknowledged the SYN-ACK. It is *closed* by a RST, or by a FIN from each end, if
//! the receiver would accept it (RFC 9293, section 3.10.7.4; RFC 5961): it is inside the receiver's
//! window, with both window scales applied, or within the bytes that its sender was seen to send. A
//! RST to an end that waits for an answer to its SYN must acknowledge that SYN. Any other RST or
//! FIN counts as a packet, is reported ([`Anomaly::OutOfWindow`]), and changes nothing, unless its
//! receiver acknowledges the FIN: after heavy loss in the capture, a genuine FIN is beyond the
//! window that the tracker knows. Such a FIN counts from the acknowledgement of exactly its number,
//! if that is inside the window of the other end and no data was seen in the place of the FIN. A
//! tracker keeps at most 512 such FINs; newer ones replace older ones. If the window is unknown
//! because the handshake was not seen, every RST and FIN is accepted.
//!
//! [`FlowEvent::Closed`] reports a close at once: with the RST, or with the packet that
//! acknowledges the second of the two FINs. [`FlowEvent::Ended`] follows with the statistics when
//! the flow has lingered.
//!
//! A SYN or SYN-ACK that is retransmitted belongs to one attempt as long as the gaps grow like
//! those of a kernel: each gap postpones the end of the flow by six times its length, by at most 96
//! s. A single SYN gets 5 s.
//!
//! For 240 s after a connection closes, a segment without SYN and without data starts no flow of
//! the same key. It is counted in [`UntrackedStats::after_close`]. The last 65,536 keys are
//! remembered, in 512 KiB.
//!
//! # What counts
//!
//! A packet counts with its length on the wire, even if a snap length cut it. A packet with a valid
//! IP header belongs to a flow, which is marked if the packet is cut or malformed. Packets without
//! a flow are counted by cause ([`UntrackedStats`]): those that are not IP, invalid IP headers,
//! fragments whose first was not seen, and segments that arrive long after a close. An ICMP error
//! is reported against the flow that it quotes. Each tracked packet is in the statistics of exactly
//! one [`FlowEvent::Ended`].
//!
//! # Fragments
//!
//! A fragment other than the first has no ports. It counts in the flow of the first, which the
//! tracker remembers by addresses, protocol and identification: 4096 packets for 30 s
//! ([`TrackerConfig::max_fragmented`], [`TrackerConfig::fragment_timeout`]). A fragment that
//! arrives before its first waits ([`UntrackedStats::waiting`]). If the first is not seen, it
//! counts in [`UntrackedStats::fragments`], never in a flow of its own. Duplicate, overlapping and
//! tiny fragments are counted ([`FragmentStats`]).
//!
//! Each fragment adds its own bytes to the payload, and sequence numbers are tracked from the first
//! fragment of a segment only. With [`TrackerConfig::defragment`], visitors see reassembled
//! packets, and so do [`reassembly`], [`session`] and the recorder of [`export`].
//!
//! # Tunnels
//!
//! A tunnel's packets are a flow between its ends, unless the extractor is told to look inside
//! ([`extract::FiveTuple::with_tunnels`]): GRE, ERSPAN, VXLAN, Geneve, GTP-U, IP in IP, Ethernet in
//! IP, Teredo and MPLS, each on its own, up to a depth. A packet then counts in the inner flow,
//! with the length of the whole frame. VLAN tags, MPLS labels and PPPoE sessions before the first
//! IP header are always skipped.
//!
//! # Bounds
//!
//! No packet costs more than a bounded number of steps. A packet allocates only if the table grows,
//! or if it is a fragment that waits or is reassembled. Neither growth, which proceeds in steps,
//! nor expiry stops the packets. The table has a hard bound, and timeouts are processed within a
//! budget. No packet contents can cause a panic.
//!
//! [`reassembly`] turns the segments of TCP connections into byte streams, and [`session`] turns
//! streams and datagrams into messages.
//!
//! # Features
//!
//! - `flowscope`, off by default: `extract::Flowscope`, which adapts extractors of the crate
//!   flowscope, and a conversion of keys to its keys;
//! - `parsers`, off by default: [`session`] takes parsers written for flowscope; `http`, `tls` and
//!   `dns` add those of flowscope;
//! - `serde`, off by default: `Serialize` and `Deserialize` for keys, events, statistics and
//!   records.
//!
//! [`export`] turns flows into records for other programs: JSON lines, Zeek's conn.log, Suricata's
//! EVE events, and IPFIX.
#![deny(unsafe_code)]

pub mod extract;

// From bytes to a key.
mod parse;

// Settings and reports.
mod config;
mod event;

// Storage of flows.
mod table;

// Processing of packets and time.
mod engine;
mod tracker;
mod visitor;

// Records and formats for other programs.
pub mod export;
pub mod reassembly;
pub mod session;

/// The crate whose extractors and parsers are adapted, in the version that fits.
#[cfg(feature = "flowscope")]
pub use flowscope;

pub use config::{Timeouts, TrackerConfig};
pub use event::{
    Anomaly, DefragmentStats, DirectionStats, EndReason, EndedStats, FlowEvent, FlowId, FlowState,
    FlowStats, FragmentStats, History, IncompleteStats, LiveFlow, RoundTrip, TrackerStats,
    UntrackedStats,
};
pub use tracker::FlowTracker;
pub use visitor::{EarlyFragments, FlowVisitor, Segment};
