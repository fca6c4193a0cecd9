//! Sessions: the messages that two ends exchange in a flow, found by a parser for each flow.
//!
//! A [`SessionTracker`] tracks flows, reassembles those that get a parser, and reports the parser's
//! messages with key, side and time. A [`Parser`] of your own reads a protocol; with the feature
//! `parsers`, [`StreamParser`] and [`DatagramParser`] adapt parsers written for the crate
//! flowscope, and the features `http`, `tls` and `dns` add its parsers of these protocols.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use netring_flow::FlowTracker;
//! use netring_flow::extract::FiveTuple;
//! use netring_flow::reassembly::{ReassemblyConfig, Subscription};
//! use netring_flow::session::{Parser, SessionEnd, SessionEvent, SessionPoint, SessionTracker};
//! # use netring_sys::{Clock, LinkType, Packet, Timestamp};
//!
//! /// Lines, of whichever side.
//! #[derive(Default)]
//! struct Lines([Vec<u8>; 2]);
//!
//! impl Parser for Lines {
//!     type Message = String;
//!
//!     fn data(
//!         &mut self,
//!         at: SessionPoint,
//!         bytes: &[u8],
//!         messages: &mut Vec<String>,
//!     ) -> ControlFlow<SessionEnd> {
//!         let buffer = &mut self.0[at.side as usize];
//!         buffer.extend_from_slice(bytes);
//!         if buffer.len() > 10_000 {
//!             return ControlFlow::Break(SessionEnd::failed("the line is too long"));
//!         }
//!         while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
//!             messages.push(String::from_utf8_lossy(&buffer[..end]).into_owned());
//!             buffer.drain(..=end);
//!         }
//!         ControlFlow::Continue(())
//!     }
//!
//!     fn buffered(&self) -> usize {
//!         self.0.iter().map(Vec::len).sum()
//!     }
//! }
//!
//! # fn main() -> Result<(), netring_sys::Error> {
//! let mut sessions = SessionTracker::new(
//!     FlowTracker::new(FiveTuple::bidirectional()),
//!     ReassemblyConfig::new(),
//!     Subscription::all().ports([25]),
//!     |_| Some(Lines::default()),
//! )?;
//! let mut events = Vec::new();
//! # let mut frame = Vec::new();
//! # etherparse::PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
//! #     .tcp(5000, 25, 1, 1000).write(&mut frame, b"HELO example.net\nMAIL").unwrap();
//! # let time = Timestamp::from_nanos(1_000_000_000, Clock::Unknown);
//! # let packet = Packet::new(&frame, time, LinkType::IPV4);
//! sessions.track(&packet, &mut events);
//! for event in events.drain(..) {
//!     if let SessionEvent::Message { key, side, message, .. } = event {
//!         println!("{key} {side:?}: {message}");
//! #       assert_eq!(message, "HELO example.net");
//!     }
//! }
//! # while sessions.finish(&mut events) {}
//! # assert_eq!(events.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # The end of a session
//!
//! A session ends with its streams, or earlier if its parser is done or fails, or if bytes are
//! missing and the parser cannot continue ([`Parser::gap`]). [`SessionEnd`] gives the reason. The
//! capture and all other sessions continue, and the rest of the flow costs no more than any other
//! flow.
//!
//! # Hostile senders
//!
//! Parsers read untrusted input, and may be third-party code. A parser that panics is dropped, and
//! ends its session with [`SessionEnd::Panicked`]; messages that it had found are reported. The
//! panic hook runs, which prints to standard error unless the program has set another. A program
//! that is built with `panic = "abort"` aborts instead. Panics in the predicates of a
//! [`Subscription`](crate::reassembly::Subscription) and in the function that creates parsers are
//! not contained.
//!
//! The memory of parsers is bounded per session and in total
//! ([`Sessions::max_buffered_per_session`], [`Sessions::max_buffered`]), provided that they report
//! it ([`Parser::buffered`]). [`SessionStats`] counts sessions by the reason for their end.

mod contained;
mod event;
#[cfg(feature = "parsers")]
mod flowscope;
mod parser;
mod sessions;
mod stats;
mod tracker;

#[cfg(feature = "parsers")]
pub use self::flowscope::{DatagramParser, StreamParser};
pub use event::{SessionEnd, SessionEvent};
pub use parser::{Parser, SessionPoint};
pub use sessions::{Session, Sessions};
pub use stats::{EndedSessions, SessionStats};
pub use tracker::SessionTracker;
