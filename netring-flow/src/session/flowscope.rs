//! Parsers written for the crate flowscope.

use std::ops::ControlFlow;

use flowscope::{DatagramParser as TheirDatagramParser, FlowSide, SessionParser};
use netring_sys::Timestamp;

mod backlog;

use self::backlog::Backlog;
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
/// default; for all other parsers, the bytes since the last message of a side. A parser that is
/// silent for longer than [`Sessions::max_buffered_per_session`] ends its session; raise that bound
/// if it keeps nothing.
///
/// flowscope's HTTP/1 parser rereads an incomplete header from its beginning with each segment. A
/// lower `HttpConfig::max_buffer` bounds the time that a header in tiny segments takes.
///
/// [`Sessions::max_buffered_per_session`]: super::Sessions::max_buffered_per_session
#[derive(Clone, Debug, Default)]
pub struct StreamParser<P> {
    parser: P,
    /// By [`Side`].
    backlog: [Backlog; 2],
}

impl<P> StreamParser<P> {
    /// Adapts a parser.
    pub fn new(parser: P) -> Self {
        Self {
            parser,
            backlog: Default::default(),
        }
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
        let (time, before) = (their_time(at.time), messages.len());
        match at.side {
            Side::Initiator => self.parser.feed_initiator(bytes, time, messages),
            Side::Responder => self.parser.feed_responder(bytes, time, messages),
        }
        let found = messages.len() != before;
        self.backlog[at.side as usize].took(self.parser.parser_kind(), bytes, found);
        state(
            self.parser.is_poisoned(),
            self.parser.poison_reason(),
            self.parser.is_done(),
        )
    }

    fn end(&mut self, at: SessionPoint, reason: StreamEnd, messages: &mut Vec<P::Message>) {
        match (reason, at.side) {
            (StreamEnd::Finished, Side::Initiator) => self.parser.fin_initiator(messages),
            (StreamEnd::Finished, Side::Responder) => self.parser.fin_responder(messages),
            (StreamEnd::Reset, Side::Initiator) => self.parser.rst_initiator(),
            (StreamEnd::Reset, Side::Responder) => self.parser.rst_responder(),
            _ => {}
        }
    }

    fn close(&mut self, time: Timestamp, messages: &mut Vec<P::Message>) {
        self.parser.on_tick(their_time(time), messages);
    }

    fn buffered(&self) -> usize {
        self.backlog.iter().map(Backlog::kept).sum()
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
