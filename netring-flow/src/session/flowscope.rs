//! Parsers written for the crate flowscope.

use std::ops::ControlFlow;

use flowscope::{DatagramParser as TheirDatagramParser, FlowSide, ParserKind, SessionParser};
use netring_sys::Timestamp;

mod backlog;
mod heads;
#[cfg(all(test, feature = "http"))]
mod tests;

use self::backlog::Backlog;
use self::heads::{Heads, Next};
use super::{Parser, SessionEnd, SessionPoint};
use crate::reassembly::{Side, StreamEnd};

/// Adapts a `flowscope::SessionParser` (of flowscope 0.22), which reads streams.
///
/// flowscope has no way to report missing bytes to a parser, so a gap ends the session. A poisoned
/// parser ends it with its reason.
///
/// flowscope's parsers do not report how much they keep. These bytes count as
/// [buffered](Parser::buffered): for TLS and DNS, the incomplete record or message of each side;
/// for HTTP/1, the bytes since the last message of a side, up to the 1 MiB that flowscope keeps by
/// default, and up to 256 KiB of a header that wait for it; for all other parsers, the bytes since
/// the last message of a side. A parser that is silent for longer than
/// [`Sessions::max_buffered_per_session`] ends its session; raise that bound if it keeps nothing.
///
/// A parser of the kind `ParserKind::Http1` gets a header that arrives in tiny segments in larger
/// pieces, the last of them without delay: flowscope's rereads an incomplete header from its
/// beginning with each piece, and a sender of single bytes could make it busy for minutes.
///
/// [`Sessions::max_buffered_per_session`]: super::Sessions::max_buffered_per_session
#[derive(Clone, Debug, Default)]
pub struct StreamParser<P> {
    parser: P,
    /// By [`Side`].
    backlog: [Backlog; 2],
    /// By [`Side`], for HTTP/1.
    heads: [Heads; 2],
}

impl<P> StreamParser<P> {
    /// Adapts a parser.
    pub fn new(parser: P) -> Self {
        Self {
            parser,
            backlog: Default::default(),
            heads: Default::default(),
        }
    }
}

impl<P: SessionParser> StreamParser<P> {
    fn feed(
        &mut self,
        at: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<P::Message>,
    ) -> ControlFlow<SessionEnd, bool> {
        let before = messages.len();
        feed(&mut self.parser, at, bytes, messages);
        let found = messages.len() != before;
        self.backlog[at.side as usize].took(self.parser.parser_kind(), bytes, found);
        self.state()?;
        ControlFlow::Continue(found)
    }

    /// Passes HTTP/1 on in pieces that do not make the parser reread them.
    fn feed_heads(
        &mut self,
        at: SessionPoint,
        mut bytes: &[u8],
        messages: &mut Vec<P::Message>,
    ) -> ControlFlow<SessionEnd> {
        let side = at.side as usize;
        while let Some(next) = self.heads[side].next(&mut bytes) {
            let found = match next {
                Next::Bytes(part) => self.feed(at, part, messages)?,
                Next::Held => self.feed_held(at, messages)?,
            };
            self.heads[side].passed(found);
        }
        ControlFlow::Continue(())
    }

    fn feed_held(
        &mut self,
        at: SessionPoint,
        messages: &mut Vec<P::Message>,
    ) -> ControlFlow<SessionEnd, bool> {
        let heads = std::mem::take(&mut self.heads[at.side as usize]);
        let found = self.feed(at, heads.held(), messages);
        self.heads[at.side as usize] = heads;
        found
    }

    fn state(&self) -> ControlFlow<SessionEnd> {
        let parser = &self.parser;
        state(
            parser.is_poisoned(),
            parser.poison_reason(),
            parser.is_done(),
        )
    }
}

/// Adapts a `flowscope::DatagramParser` (of flowscope 0.22), which reads datagrams.
///
/// It is for flows that are not TCP: the bytes of a TCP stream end the session. Its memory is not
/// counted: flowscope's DNS parser keeps nothing by default, and with correlation up to
/// `DnsConfig::max_pending` queries per flow.
#[derive(Clone, Debug, Default)]
pub struct DatagramParser<P>(pub P);

impl<P: SessionParser> Parser for StreamParser<P> {
    type Message = P::Message;

    fn data(
        &mut self,
        at: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<P::Message>,
    ) -> ControlFlow<SessionEnd> {
        if self.parser.parser_kind() == ParserKind::Http1 {
            return self.feed_heads(at, bytes, messages);
        }
        self.feed(at, bytes, messages)?;
        ControlFlow::Continue(())
    }

    fn end(&mut self, at: SessionPoint, reason: StreamEnd, messages: &mut Vec<P::Message>) {
        if reason == StreamEnd::Finished && !self.heads[at.side as usize].held().is_empty() {
            // The end of the stream ends the session, whatever the parser says.
            let _ = self.feed_held(at, messages);
        }
        match (reason, at.side) {
            (StreamEnd::Finished, _) => finish(&mut self.parser, at.side, messages),
            (StreamEnd::Reset, Side::Initiator) => self.parser.rst_initiator(),
            (StreamEnd::Reset, Side::Responder) => self.parser.rst_responder(),
            _ => {}
        }
    }

    fn close(&mut self, time: Timestamp, messages: &mut Vec<P::Message>) {
        self.parser.on_tick(their_time(time), messages);
    }

    fn buffered(&self) -> usize {
        let held = self.heads.iter().map(|heads| heads.held().len());
        self.backlog.iter().map(Backlog::kept).chain(held).sum()
    }
}

impl<P: TheirDatagramParser> Parser for DatagramParser<P> {
    type Message = P::Message;

    fn data(
        &mut self,
        _: SessionPoint,
        _: &[u8],
        _: &mut Vec<P::Message>,
    ) -> ControlFlow<SessionEnd> {
        let why = "a parser of datagrams cannot read a TCP stream; subscribe to other flows";
        ControlFlow::Break(SessionEnd::failed(why))
    }

    fn datagram(
        &mut self,
        at: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<P::Message>,
    ) -> ControlFlow<SessionEnd> {
        let side = match at.side {
            Side::Initiator => FlowSide::Initiator,
            Side::Responder => FlowSide::Responder,
        };
        self.0.parse(bytes, side, their_time(at.time), messages);
        state(
            self.0.is_poisoned(),
            self.0.poison_reason(),
            self.0.is_done(),
        )
    }

    fn close(&mut self, time: Timestamp, messages: &mut Vec<P::Message>) {
        self.0.on_tick(their_time(time), messages);
    }
}

/// Passes bytes to the parser of their side.
fn feed<P: SessionParser>(
    parser: &mut P,
    at: SessionPoint,
    bytes: &[u8],
    messages: &mut Vec<P::Message>,
) {
    let time = their_time(at.time);
    match at.side {
        Side::Initiator => parser.feed_initiator(bytes, time, messages),
        Side::Responder => parser.feed_responder(bytes, time, messages),
    }
}

fn finish<P: SessionParser>(parser: &mut P, side: Side, messages: &mut Vec<P::Message>) {
    match side {
        Side::Initiator => parser.fin_initiator(messages),
        Side::Responder => parser.fin_responder(messages),
    }
}

fn state(poisoned: bool, why: Option<&str>, done: bool) -> ControlFlow<SessionEnd> {
    if poisoned {
        let why = why.unwrap_or("the parser gave no reason").to_owned();
        ControlFlow::Break(SessionEnd::failed(why))
    } else if done {
        ControlFlow::Break(SessionEnd::Done)
    } else {
        ControlFlow::Continue(())
    }
}

fn their_time(time: Timestamp) -> flowscope::Timestamp {
    let nanos = time.as_nanos().max(0);
    flowscope::Timestamp::new(
        u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX),
        (nanos % 1_000_000_000) as u32,
    )
}
