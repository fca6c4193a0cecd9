//! A parser for each flow.

use std::fmt;
use std::ops::ControlFlow;

use netring_sys::Timestamp;

use super::contained::{contained, discard};
use super::{Parser, SessionEnd, SessionEvent, SessionPoint, SessionStats};
use crate::Segment;
use crate::extract::TcpSegment;
use crate::reassembly::{
    ClosedFlow, Interest, Side, StreamEnd, StreamPoint, StreamVisitor, Subscription,
};

/// A [`StreamVisitor`] that gives flows a parser, and collects what the parsers find.
/// [`SessionTracker`](super::SessionTracker) is one with its tracker and its reassembler; use this
/// with your own reassembler.
pub struct Sessions<K, P: Parser> {
    subscription: Subscription<K>,
    start: Box<Start<K, P>>,
    /// What happened, in order. Empty it from time to time.
    pub events: Vec<SessionEvent<K, P::Message>>,
    /// Messages of one call of a parser.
    messages: Vec<P::Message>,
    max_buffered_per_session: usize,
    max_buffered: usize,
    stats: SessionStats,
}

type Start<K, P> = dyn FnMut(&Segment<'_, K>) -> Option<P> + Send;

/// The state kept for a flow with a parser.
#[derive(Debug)]
pub struct Session<P> {
    /// `None` once the session has ended before its flow.
    parser: Option<P>,
    started: bool,
    time: Timestamp,
    mid_stream: bool,
    /// The bytes that the parser keeps.
    buffered: usize,
}

impl<K, P: Parser> Sessions<K, P> {
    /// Creates sessions that give each flow of interest the parser that `start` returns for its
    /// first packet, if any.
    pub fn new(
        subscription: Subscription<K>,
        start: impl FnMut(&Segment<'_, K>) -> Option<P> + Send + 'static,
    ) -> Self {
        Self {
            subscription,
            start: Box::new(start),
            events: Vec::new(),
            messages: Vec::new(),
            max_buffered_per_session: 16 << 20,
            max_buffered: 256 << 20,
            stats: SessionStats::default(),
        }
    }

    /// Sets the maximum number of bytes that one parser may keep ([`Parser::buffered`]). A parser
    /// that keeps more ends its session with [`SessionEnd::MemoryLimit`]. Default: 16 MiB.
    #[must_use]
    pub const fn max_buffered_per_session(mut self, bytes: usize) -> Self {
        self.max_buffered_per_session = bytes;
        self
    }

    /// Sets the maximum number of bytes that all parsers together may keep ([`Parser::buffered`]).
    /// The parser that would exceed it ends its session with [`SessionEnd::MemoryLimit`]. Default:
    /// 256 MiB.
    #[must_use]
    pub const fn max_buffered(mut self, bytes: usize) -> Self {
        self.max_buffered = bytes;
        self
    }

    /// The outcome of the sessions so far.
    pub const fn stats(&self) -> SessionStats {
        self.stats
    }
}

impl<K: Clone, P: Parser> Sessions<K, P> {
    /// Reports the start of a session, unless that was done.
    fn start(&mut self, at: &StreamPoint<'_, K>, session: &mut Session<P>) {
        if !session.started {
            session.started = true;
            self.stats.started += 1;
            self.events.push(SessionEvent::Started {
                key: at.key.clone(),
                flow: at.flow,
                time: session.time,
                mid_stream: session.mid_stream,
            });
        }
    }

    /// Runs a step of the parser, and reports what it found.
    #[inline]
    fn run(
        &mut self,
        at: &StreamPoint<'_, K>,
        session: &mut Session<P>,
        step: impl FnOnce(&mut P, &mut Vec<P::Message>) -> ControlFlow<SessionEnd>,
    ) -> ControlFlow<()> {
        let (Some(parser), messages) = (&mut session.parser, &mut self.messages) else {
            return ControlFlow::Break(());
        };
        let result = contained(|| {
            let result = step(parser, messages);
            (result, parser.buffered())
        });
        let end = match result {
            Ok((ControlFlow::Continue(()), buffered)) => self.keep(session, buffered),
            Ok((ControlFlow::Break(reason), _)) | Err(reason) => Some(reason),
        };
        self.report(at, session, end)
    }

    /// Counts what a parser keeps. Returns the reason to end the session if it is too much.
    #[inline]
    fn keep(&mut self, session: &mut Session<P>, buffered: usize) -> Option<SessionEnd> {
        if buffered == session.buffered {
            return None;
        }
        let total = &mut self.stats.buffered;
        *total = (*total - session.buffered).saturating_add(buffered);
        let grew = buffered > session.buffered;
        session.buffered = buffered;
        let exceeds = buffered > self.max_buffered_per_session || *total > self.max_buffered;
        (grew && exceeds).then_some(SessionEnd::MemoryLimit)
    }

    /// Reports the messages of a step of the parser, and the end of the session if it is over.
    fn report(
        &mut self,
        at: &StreamPoint<'_, K>,
        session: &mut Session<P>,
        end: Option<SessionEnd>,
    ) -> ControlFlow<()> {
        if !self.messages.is_empty() || end.is_some() {
            self.start(at, session);
        }
        self.stats.messages += self.messages.len() as u64;
        for message in self.messages.drain(..) {
            self.events.push(SessionEvent::Message {
                key: at.key.clone(),
                flow: at.flow,
                side: at.side,
                time: at.time,
                mid_stream: at.mid_stream,
                message,
            });
        }
        let Some(reason) = end else {
            return ControlFlow::Continue(());
        };
        discard(session.parser.take());
        self.stats.buffered -= std::mem::take(&mut session.buffered);
        self.stats.ended.count(&reason);
        self.events.push(SessionEvent::Ended {
            key: at.key.clone(),
            flow: at.flow,
            time: at.time,
            reason,
        });
        ControlFlow::Break(())
    }

    fn report_gap(&mut self, at: &StreamPoint<'_, K>, missing: u64) {
        self.events.push(SessionEvent::Gap {
            key: at.key.clone(),
            flow: at.flow,
            side: at.side,
            time: at.time,
            missing,
        });
    }
}

impl<K: Clone, P: Parser> StreamVisitor<K> for Sessions<K, P> {
    type State = Session<P>;

    fn subscribe(&mut self, first: &Segment<'_, K>) -> Interest<Session<P>> {
        if !self.subscription.matches(first) {
            return Interest::No;
        }
        let Some(parser) = (self.start)(first) else {
            return Interest::No;
        };
        let session = Session {
            parser: Some(parser),
            started: false,
            time: first.time,
            mid_stream: first.tcp().is_some_and(|tcp| !tcp.has(TcpSegment::SYN)),
            buffered: 0,
        };
        self.subscription.interest(first, session)
    }

    fn first_bytes(
        &mut self,
        at: StreamPoint<'_, K>,
        _: &mut Session<P>,
        bytes: &[u8],
    ) -> Option<bool> {
        self.subscription.decide(at, bytes)
    }

    fn data(
        &mut self,
        at: StreamPoint<'_, K>,
        session: &mut Session<P>,
        bytes: &[u8],
    ) -> ControlFlow<()> {
        self.start(&at, session);
        self.run(&at, session, |parser, messages| {
            parser.data(point(&at), bytes, messages)
        })
    }

    fn gap(
        &mut self,
        at: StreamPoint<'_, K>,
        session: &mut Session<P>,
        missing: u64,
    ) -> ControlFlow<()> {
        if session.parser.is_none() {
            return ControlFlow::Break(());
        }
        self.start(&at, session);
        self.report_gap(&at, missing);
        self.run(&at, session, |parser, messages| {
            parser.gap(point(&at), missing, messages)
        })
    }

    fn end(&mut self, at: StreamPoint<'_, K>, session: &mut Session<P>, reason: StreamEnd) {
        // The subscription goes on until the flow ends, also if the session does not.
        let _ = self.run(&at, session, |parser, messages| {
            parser.end(point(&at), reason, messages);
            ControlFlow::Continue(())
        });
    }

    fn datagram(
        &mut self,
        at: StreamPoint<'_, K>,
        session: &mut Session<P>,
        datagram: &Segment<'_, K>,
    ) -> ControlFlow<()> {
        self.start(&at, session);
        if datagram.missing() != 0 {
            self.report_gap(&at, u64::from(datagram.missing()));
            return ControlFlow::Continue(());
        }
        let at = StreamPoint {
            mid_stream: false,
            ..at
        };
        self.run(&at, session, |parser, messages| {
            parser.datagram(point(&at), datagram.payload, messages)
        })
    }

    fn close(&mut self, flow: ClosedFlow<'_, K>, mut session: Session<P>) {
        let at = flow.point(Side::Initiator, session.mid_stream);
        let result = self.run(&at, &mut session, |parser, messages| {
            parser.close(flow.time, messages);
            ControlFlow::Continue(())
        });
        if result.is_continue() && session.started {
            let reason = SessionEnd::Stream(flow.reason);
            let _ = self.report(&at, &mut session, Some(reason));
        }
        // Also that of a flow without a session.
        discard(session.parser);
    }
}

fn point<K>(at: &StreamPoint<'_, K>) -> SessionPoint {
    SessionPoint {
        side: at.side,
        time: at.time,
        offset: at.offset,
        mid_stream: at.mid_stream,
    }
}

impl<K, P: Parser> fmt::Debug for Sessions<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("subscription", &self.subscription)
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}
