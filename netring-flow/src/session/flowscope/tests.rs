//! HTTP/1 through the adapter and without it.

use std::ops::ControlFlow;

use flowscope::http::{HttpMessage, HttpParser};
use flowscope::{ParserKind, SessionParser};
use netring_sys::Timestamp;
use proptest::prelude::*;

use super::{Parser, SessionPoint, StreamParser, feed, finish};
use crate::reassembly::{Side, StreamEnd};

const PARTS: [&str; 22] = [
    "GET / HTTP/1.1\r\n",
    "POST /a HTTP/1.1\r\n",
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "Host: example.net\r\n",
    "Content-Length: 0\r\n",
    "content-length:5\r\n",
    "CONTENT-LENGTH: \t 40 \r\n",
    "Content-Length: 3000\r\n",
    "Content-Length: 1x\r\n",
    "Content-Lengths: 7\r\n",
    "Transfer-Encoding: chunked\r\n",
    "A: b\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "hello",
    "12345",
    "a body of forty bytes, no more, no less\n",
    "c\r\n\r\nd",
    "\0",
];

fn at(side: Side) -> SessionPoint {
    SessionPoint {
        side,
        time: Timestamp::EPOCH,
        offset: 0,
        mid_stream: false,
    }
}

fn text(messages: &[HttpMessage]) -> String {
    format!("{messages:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// The same messages, and each at the same segment.
    #[test]
    fn messages_do_not_depend_on_what_is_held_back(
        parts in prop::collection::vec(0..PARTS.len(), 1..60),
        long in 0..5000_usize,
        side in prop::bool::ANY,
        sizes in prop::collection::vec(1..40_usize, 1..20),
        factor in prop::sample::select(vec![1, 1, 50]),
    ) {
        let side = if side { Side::Initiator } else { Side::Responder };
        let mut stream: String = parts.iter().map(|&part| PARTS[part]).collect();
        stream.insert_str(stream.find("Host").unwrap_or(0), &"X".repeat(long));
        let (mut theirs, mut ours) = (HttpParser::default(), StreamParser::new(HttpParser::default()));
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let mut rest = stream.as_bytes();
        for size in sizes.iter().cycle() {
            let (piece, behind) = rest.split_at(rest.len().min(size * factor));
            feed(&mut theirs, at(side), piece, &mut expected);
            let goes_on = ours.data(at(side), piece, &mut found);
            prop_assert_eq!(text(&found), text(&expected));
            if goes_on.is_break() || behind.is_empty() {
                break;
            }
            rest = behind;
        }
        ours.end(at(side), StreamEnd::Finished, &mut found);
        finish(&mut theirs, side, &mut expected);
        prop_assert_eq!(text(&found), text(&expected));
    }
}

/// A parser that rereads all that it has with each call.
#[derive(Clone, Default)]
struct Rereads {
    has: u64,
    read: u64,
}

impl SessionParser for Rereads {
    type Message = ();

    fn feed_initiator(&mut self, bytes: &[u8], _: flowscope::Timestamp, _: &mut Vec<()>) {
        self.has += bytes.len() as u64;
        self.read += self.has;
    }

    fn feed_responder(&mut self, _: &[u8], _: flowscope::Timestamp, _: &mut Vec<()>) {}

    fn parser_kind(&self) -> ParserKind {
        ParserKind::Http1
    }
}

#[test]
fn a_header_in_single_bytes_is_not_reread_with_each() {
    for byte in [b"a", b"\n", b"\r", b":", b" "] {
        let mut parser = StreamParser::new(Rereads::default());
        for _ in 0..1 << 20 {
            let goes_on = parser.data(at(Side::Initiator), byte, &mut Vec::new());
            assert_eq!(goes_on, ControlFlow::Continue(()));
        }
        let Rereads { has, read } = parser.parser;
        assert_eq!(has + parser.heads[0].held().len() as u64, 1 << 20);
        assert!(read < 6 << 20, "{read} bytes were read again");
        assert_eq!(parser.buffered(), 1 << 20);
    }
}
