//! A parser for each flow.

use std::fmt;
use std::ops::ControlFlow;

use netring_sys::Timestamp;

use super::{Parser, SessionEnd, SessionEvent, SessionPoint};
use crate::Segment;
use crate::extract::TcpSegment;
use crate::reassembly::{
    ClosedFlow, Interest, Side, StreamEnd, StreamPoint, StreamVisitor, Subscription,
};

/// A [`StreamVisitor`] that gives flows a parser, and collects what the parsers find.
/// [`SessionTracker`](super::SessionTracker) is one with its tracker and its reassembler; use this
/// with a reassembler of your own.
pub struct Sessions<K, P: Parser> {
    subscription: Subscription<K>,
    start: Box<Start<K, P>>,
    /// What happened, in order. Empty it from time to time.
    pub events: Vec<SessionEvent<K, P::Message>>,
    /// Messages of one call of a parser.
    messages: Vec<P::Message>,
}

type Start<K, P> = dyn FnMut(&Segment<'_, K>) -> Option<P> + Send;

/// What is kept for a flow that has a parser.
#[derive(Debug)]
pub struct Session<P> {
    parser: P,
    started: bool,
    time: Timestamp,
    mid_stream: bool,
}

impl<K, P: Parser> Sessions<K, P> {
    /// Flows of interest get the parser that `start` returns for their first packet, or none.
    pub fn new(
        subscription: Subscription<K>,
        start: impl FnMut(&Segment<'_, K>) -> Option<P> + Send + 'static,
    ) -> Self {
        Self {
            subscription,
            start: Box::new(start),
            events: Vec::new(),
            messages: Vec::new(),
        }
    }
}

impl<K: Clone, P: Parser> Sessions<K, P> {
    /// Reports the start of a session, unless that was done.
    fn start(&mut self, at: &StreamPoint<'_, K>, session: &mut Session<P>) {
        if !session.started {
            session.started = true;
            self.events.push(SessionEvent::Started {
                key: at.key.clone(),
                flow: at.flow,
                time: session.time,
                mid_stream: session.mid_stream,
            });
        }
    }

    /// Reports the messages of a call of the parser, and the end of the session if it is over.
    fn report(
        &mut self,
        at: &StreamPoint<'_, K>,
        result: ControlFlow<SessionEnd>,
    ) -> ControlFlow<()> {
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
        let ControlFlow::Break(reason) = result else {
            return ControlFlow::Continue(());
        };
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
            parser,
            started: false,
            time: first.time,
            mid_stream: first.tcp().is_some_and(|tcp| !tcp.has(TcpSegment::SYN)),
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
        let result = session.parser.data(point(&at), bytes, &mut self.messages);
        self.report(&at, result)
    }

    fn gap(
        &mut self,
        at: StreamPoint<'_, K>,
        session: &mut Session<P>,
        missing: u64,
    ) -> ControlFlow<()> {
        self.start(&at, session);
        self.report_gap(&at, missing);
        let result = session.parser.gap(point(&at), missing, &mut self.messages);
        self.report(&at, result)
    }

    fn end(&mut self, at: StreamPoint<'_, K>, session: &mut Session<P>, reason: StreamEnd) {
        session.parser.end(point(&at), reason, &mut self.messages);
        if !self.messages.is_empty() {
            self.start(&at, session);
        }
        let _ = self.report(&at, ControlFlow::Continue(()));
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
        let point = SessionPoint {
            mid_stream: false,
            ..point(&at)
        };
        let result = session
            .parser
            .datagram(point, datagram.payload, &mut self.messages);
        let at = StreamPoint {
            mid_stream: false,
            ..at
        };
        self.report(&at, result)
    }

    fn close(&mut self, flow: ClosedFlow<'_, K>, mut session: Session<P>) {
        session.parser.close(flow.time, &mut self.messages);
        let at = flow.point(Side::Initiator, session.mid_stream);
        if session.started || !self.messages.is_empty() {
            self.start(&at, &mut session);
            let _ = self.report(&at, ControlFlow::Break(SessionEnd::Stream(flow.reason)));
        }
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
