//! Messages of sessions and datagrams, by parsers of our own.

use std::ops::ControlFlow;

use netring_flow::FlowTracker;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{ReassemblyConfig, StreamEnd, Subscription};
use netring_flow::session::{Parser, SessionEnd, SessionEvent, SessionPoint, SessionTracker};
use netring_sys::{LinkType, Packet, Timestamp};

use crate::common::{ACK, CLIENT, FIN, RST, SERVER, SYN, at, tcp, udp};

/// Words of both sides. "fail!" fails, "quit!" is the last, and words that end with "?" want an
/// answer.
#[derive(Default)]
struct Words {
    buffers: [Vec<u8>; 2],
    open: Vec<String>,
    goes_on: bool,
}

impl Parser for Words {
    type Message = String;

    fn data(
        &mut self,
        at: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<String>,
    ) -> ControlFlow<SessionEnd> {
        let buffer = &mut self.buffers[at.side as usize];
        buffer.extend_from_slice(bytes);
        while let Some(end) = buffer.iter().position(|byte| b" ?!".contains(byte)) {
            let word: Vec<_> = buffer.drain(..=end).collect();
            match &word[..] {
                b"fail!" => return ControlFlow::Break(SessionEnd::failed("told to")),
                b"quit!" => return ControlFlow::Break(SessionEnd::Done),
                _ => {}
            }
            let word = String::from_utf8(word).unwrap();
            if word.ends_with('?') {
                self.open.push(word.clone());
            }
            messages.push(word);
        }
        ControlFlow::Continue(())
    }

    fn gap(
        &mut self,
        at: SessionPoint,
        missing: u64,
        messages: &mut Vec<String>,
    ) -> ControlFlow<SessionEnd> {
        if !self.goes_on {
            return ControlFlow::Break(SessionEnd::Gap { missing });
        }
        self.buffers[at.side as usize].clear();
        messages.push(format!("<{missing}>"));
        ControlFlow::Continue(())
    }

    fn end(&mut self, at: SessionPoint, reason: StreamEnd, messages: &mut Vec<String>) {
        let rest = std::mem::take(&mut self.buffers[at.side as usize]);
        if !rest.is_empty() && reason == StreamEnd::Finished {
            messages.push(String::from_utf8(rest).unwrap());
        }
    }

    fn close(&mut self, _: Timestamp, messages: &mut Vec<String>) {
        messages.extend(
            self.open
                .drain(..)
                .map(|word| format!("no answer to {word}")),
        );
    }
}

pub(crate) struct Bench<P: Parser> {
    pub(crate) sessions: SessionTracker<FiveTuple, P>,
    events: Vec<SessionEvent<FiveTupleKey, P::Message>>,
    pub(crate) now: f64,
}

impl<P: Parser<Message: std::fmt::Debug>> Bench<P> {
    pub(crate) fn new(start: impl FnMut() -> P + Send + 'static) -> Self {
        let mut start = start;
        let sessions = SessionTracker::new(
            FlowTracker::new(FiveTuple::bidirectional()),
            ReassemblyConfig::new(),
            Subscription::all(),
            move |_| Some(start()),
        );
        Self::of(sessions.unwrap())
    }

    pub(crate) fn of(sessions: SessionTracker<FiveTuple, P>) -> Self {
        Self {
            sessions,
            events: Vec::new(),
            now: 0.0,
        }
    }

    pub(crate) fn frame(&mut self, frame: &[u8], cut: usize) -> &mut Self {
        self.now += 0.001;
        let packet = Packet::new(
            &frame[..frame.len() - cut],
            at(self.now),
            LinkType::ETHERNET,
        );
        let packet = packet.with_wire_len(frame.len() as u32);
        self.sessions.track(&packet, &mut self.events);
        self
    }

    pub(crate) fn c(&mut self, flags: u8, sequence: u32, ack: u32, payload: &[u8]) -> &mut Self {
        self.frame(&tcp(CLIENT, SERVER, sequence, ack, flags, payload), 0)
    }

    pub(crate) fn s(&mut self, flags: u8, sequence: u32, ack: u32, payload: &[u8]) -> &mut Self {
        self.frame(&tcp(SERVER, CLIENT, sequence, ack, flags, payload), 0)
    }

    pub(crate) fn handshake(&mut self) -> &mut Self {
        self.c(SYN, 0, 0, b"")
            .s(SYN | ACK, 0, 1, b"")
            .c(ACK, 1, 1, b"")
    }

    pub(crate) fn finish(&mut self) -> &mut Self {
        while self.sessions.finish(&mut self.events) {}
        assert_eq!(self.sessions.active_sessions(), 0);
        self
    }

    /// What happened since the last call, in short.
    pub(crate) fn log(&mut self) -> Vec<String> {
        let line = |event| match event {
            SessionEvent::Started { mid_stream, .. } => format!("started {mid_stream}"),
            SessionEvent::Message { side, message, .. } => format!("{side:?} {message:?}"),
            SessionEvent::Gap { side, missing, .. } => format!("{side:?} misses {missing}"),
            SessionEvent::Ended { reason, .. } => format!("ended {reason}"),
            _ => unreachable!(),
        };
        self.events.drain(..).map(line).collect()
    }
}

fn words() -> Bench<Words> {
    Bench::new(Words::default)
}

#[test]
fn messages_have_the_key_the_side_and_the_time_of_their_own_segment() {
    let mut bench = words();
    bench
        .handshake()
        .c(ACK, 5, 1, b"lo world")
        .c(ACK, 1, 1, b"hel ")
        .s(ACK, 1, 13, b"ok?");
    let found: Vec<_> = bench.events[1..]
        .iter()
        .map(|event| match event {
            SessionEvent::Message {
                key,
                side,
                time,
                mid_stream,
                message,
                ..
            } => {
                assert_eq!(key.to_string(), format!("tcp {SERVER} {CLIENT}"));
                assert!(!mid_stream);
                let time = time.as_nanos() - at(0.0).as_nanos();
                format!("{side:?} {} ms {message}", (time as f64 / 1e6).round())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    // The client is the initiator although its address is the higher one. Its second word was
    // captured before the first.
    assert_eq!(
        found,
        [
            "Initiator 5 ms hel ",
            "Initiator 4 ms lo ",
            "Responder 6 ms ok?"
        ]
    );
    bench.log();
    bench
        .c(FIN | ACK, 13, 4, b"")
        .s(FIN | ACK, 4, 14, b"")
        .c(ACK, 14, 5, b"");
    let expected = [
        "Initiator \"world\"",
        "Initiator \"no answer to ok?\"",
        "ended finished",
    ];
    assert_eq!(bench.log(), expected);
    bench.finish();
    assert_eq!(bench.log().len(), 0);
}

#[test]
fn a_session_that_begins_in_the_middle_is_marked() {
    let mut bench = words();
    bench.c(ACK, 100, 1, b"abc ");
    let marked = bench.events.iter().filter(|event| {
        matches!(
            event,
            SessionEvent::Started {
                mid_stream: true,
                ..
            } | SessionEvent::Message {
                mid_stream: true,
                ..
            }
        )
    });
    assert_eq!(marked.count(), 2);
    assert_eq!(bench.log(), ["started true", "Initiator \"abc \""]);
}

#[test]
fn a_parser_that_fails_ends_its_session_only() {
    let mut bench = words();
    bench
        .handshake()
        .c(ACK, 1, 1, b"one fail! two ")
        .c(ACK, 15, 1, b"three ");
    let other = tcp("192.0.2.77:1", SERVER, 1, 1, ACK, b"other ");
    bench.s(ACK, 1, 21, b"x ").frame(&other, 0).finish();
    let expected = [
        "started false",
        "Initiator \"one \"",
        "ended failed: told to",
        "started true",
        "Initiator \"other \"",
        "ended source-ended",
    ];
    assert_eq!(bench.log(), expected);
    let stats = bench.sessions.stats();
    assert_eq!((stats.received, stats.memory), (20, 0));
    assert_eq!(bench.sessions.tracker().stats().flows_started, 2);
}

#[test]
fn a_parser_that_is_done_ends_its_session() {
    let mut bench = words();
    bench
        .handshake()
        .s(ACK, 1, 1, b"bye quit!")
        .c(ACK, 1, 10, b"more ")
        .finish();
    assert_eq!(
        bench.log(),
        ["started false", "Responder \"bye \"", "ended done"]
    );
}

#[test]
fn a_gap_ends_a_session_unless_its_parser_goes_on() {
    for goes_on in [false, true] {
        let mut bench = Bench::new(move || Words {
            goes_on,
            ..Words::default()
        });
        bench
            .handshake()
            .c(ACK, 1, 1, b"a b")
            .c(ACK, 14, 1, b"c d ")
            .s(ACK, 1, 18, b"");
        bench.now += 0.02;
        bench.s(ACK, 1, 18, b"").finish();
        let found = bench.log();
        let expected = if goes_on {
            [
                "started false",
                "Initiator \"a \"",
                "Initiator misses 10",
                "Initiator \"<10>\"",
                "Initiator \"c \"",
                "Initiator \"d \"",
                "ended source-ended",
            ]
            .as_slice()
        } else {
            &[
                "started false",
                "Initiator \"a \"",
                "Initiator misses 10",
                "ended 10 bytes are missing",
            ]
        };
        assert_eq!(found, expected);
    }
}

#[test]
fn a_reset_ends_a_session_with_its_reason() {
    let mut bench = words();
    bench
        .handshake()
        .c(ACK, 1, 1, b"a?b")
        .s(RST | ACK, 1, 4, b"");
    let expected = [
        "started false",
        "Initiator \"a?\"",
        "Initiator \"no answer to a?\"",
        "ended reset",
    ];
    assert_eq!(bench.log(), expected);
}

#[test]
fn datagrams_are_parsed_one_by_one_and_cut_ones_are_gaps() {
    let mut bench = words();
    let question = udp(CLIENT, SERVER, b"name? ");
    bench
        .frame(&question, 0)
        .frame(&question, 2)
        .frame(&udp(SERVER, CLIENT, b"1.2 "), 0);
    bench.finish();
    let expected = [
        "started false",
        "Initiator \"name?\"",
        "Initiator \" \"",
        "Initiator misses 2",
        "Responder \"1.2 \"",
        "Initiator \"no answer to name?\"",
        "ended source-ended",
    ];
    assert_eq!(bench.log(), expected);
}

#[test]
fn a_flow_without_data_is_no_session() {
    let mut bench = words();
    bench.handshake().c(RST | ACK, 1, 1, b"").finish();
    assert_eq!(bench.log().len(), 0);
}
