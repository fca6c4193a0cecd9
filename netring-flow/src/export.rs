//! Flow records for other programs: a stable record of a flow, and encoders for it.
//!
//! Nothing here does I/O: the encoders append to a `Vec<u8>` that the caller writes and reuses, and
//! they allocate nothing per record once the buffer has grown.
//!
//! | encoder | format |
//! |---|---|
//! | [`JsonLines`] | one JSON object per line, with the fields of [`FlowRecord`] |
//! | [`ConnLog`] | Zeek's `conn.log`: tab-separated with its header lines, or JSON |
//! | [`Eve`] | `flow` and `netflow` events of Suricata's EVE log |
//! | [`Ipfix`] | IPFIX messages (RFC 7011) with bidirectional flows (RFC 5103) |
//!
//! A [`FlowRecord`] can be built from a [`FlowEvent`](crate::FlowEvent), which is enough for
//! counters and times:
//!
//! ```
//! use netring_flow::FlowEvent;
//! use netring_flow::export::{FlowRecord, JsonLines};
//! use netring_flow::extract::FiveTupleKey;
//!
//! fn log(event: &FlowEvent<FiveTupleKey>, lines: &mut Vec<u8>) {
//!     if let Some(record) = FlowRecord::from_event(event) {
//!         JsonLines::new().record(&record, lines);
//!     }
//! }
//! ```
//!
//! or by a [`FlowRecorder`], a visitor that also looks at each segment. It adds facts that the
//! tracker does not keep: missed bytes, Zeek's full history and connection state, bytes by sequence
//! number, all TCP flags, zero windows, and the type of ICMP messages.
//!
//! With tokio, `AsyncSource::record_stream` of netring-async does this for any source.
//!
//! ```
//! use std::io::Write;
//!
//! use netring_flow::FlowTracker;
//! use netring_flow::export::{ConnLog, FlowRecorder};
//! use netring_flow::extract::FiveTuple;
//! use netring_sys::{PacketSource, Timestamp};
//!
//! /// Turns a source, such as a capture file, into a conn.log.
//! fn conn_log(
//!     source: &mut impl PacketSource,
//!     mut out: impl Write,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let (log, mut text) = (ConnLog::new(), Vec::new());
//!     log.header(Timestamp::now(), &mut text);
//!     let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
//!     let mut recorder = FlowRecorder::new();
//!     let mut more = true;
//!     while more {
//!         more = match source.next_batch()? {
//!             Some(batch) => {
//!                 tracker.track_batch(&batch, &mut recorder);
//!                 true
//!             }
//!             None => tracker.finish(&mut recorder),
//!         };
//!         for record in recorder.drain() {
//!             log.record(&record, &mut text);
//!         }
//!         out.write_all(&text)?;
//!         text.clear();
//!     }
//!     log.footer(Timestamp::now(), &mut text);
//!     Ok(out.write_all(&text)?)
//! }
//! ```

// The record of a flow.
mod conn_state;
mod letters;
mod record;

// Facts from a flow's segments beyond the tracker's statistics.
mod recorder;

// Formats.
mod eve;
mod ipfix;
mod json;
mod text;
mod zeek;

pub use conn_state::ConnState;
pub use eve::Eve;
pub use ipfix::{Ipfix, IpfixBuilder};
pub use json::JsonLines;
pub use letters::Letters;
pub use record::{FlowRecord, IcmpKind, MplsRecord, RecordKind, SideRecord, TunnelRecord};
pub use recorder::FlowRecorder;
pub use zeek::ConnLog;
