//! What flowscope's parsers keep of hostile streams, by an allocator that counts.

use flowscope::SessionParser;
use flowscope::dns::DnsTcpParser;
use flowscope::http::HttpParser;
use flowscope::tls::TlsParser;
use netring_flow::flowscope;
use netring_flow::session::StreamParser;

use crate::common::{ACK, CLIENT, SERVER, tcp};
use crate::counting::{allocated, allocations};
use crate::sessions::Bench;

/// What a session may take beyond what counts: twice the largest record, and what it is made of.
const SLACK: usize = 256 << 10;

/// Sends both sides of a session a beginning and then the same bytes again and again, at most 2 MiB
/// each; returns the most that was counted.
fn flooded<P: SessionParser + Default>(beginning: &[u8], again: &[u8]) -> usize {
    let mut bench = Bench::new(|| StreamParser::new(P::default()));
    bench.handshake();
    let start = allocated();
    let (mut next, mut most) = ([1; 2], 0);
    let pieces = std::iter::once(beginning).chain(std::iter::repeat(again));
    for piece in pieces.take(((2 << 20) / again.len()).min(1000)) {
        bench.c(ACK, next[0], next[1], piece);
        next[0] += piece.len() as u32;
        bench.s(ACK, next[1], next[0], piece);
        next[1] += piece.len() as u32;
        // Messages are the caller's.
        bench.log();
        let counted = bench.sessions.session_stats().buffered;
        most = most.max(counted);
        let taken = allocated().saturating_sub(start);
        assert!(
            taken <= 2 * counted + SLACK,
            "{taken} bytes, of which {counted} count"
        );
    }
    bench.finish();
    assert_eq!(bench.sessions.session_stats().buffered, 0);
    most
}

#[test]
fn what_a_parser_of_flowscope_keeps_is_counted_and_bounded() {
    let text = [b'a'; 16_000];
    // A header that does not end, a body that does not, and one that ends with the stream.
    let http = flooded::<HttpParser>;
    // Up to a quarter of an incomplete header waits in front of the parser.
    let header = 2 << 20..=2 * (1 << 20 | 1 << 18);
    assert!(header.contains(&http(b"GET /", &text)));
    assert!(header.contains(&http(
        b"GET / HTTP/1.1\r\nA: b\r\n",
        b"x: y\r\n".repeat(2600).as_slice()
    )));
    let endless = b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n";
    assert_eq!(http(endless, &text), 2 << 20);
    assert_eq!(http(b"HTTP/1.1 200 OK\r\n\r\n", &text), 2 << 20);
    // Records and messages of the largest size; small ones that say nothing.
    let tls = flooded::<TlsParser>;
    assert!(tls(b"\x16\x03\x01\xff\xff", &text) <= 2 * 65_540);
    assert!(tls(b"\x17\x03\x03\xff\xff", &[0xff; 16_000]) <= 2 * 65_540);
    assert_eq!(
        tls(b"\x17\x03\x03\x00\x01\x00", b"\x17\x03\x03\x00\x01\x00"),
        0
    );
    let dns = flooded::<DnsTcpParser>;
    assert!(dns(b"\xff\xff", &[0xff; 16_000]) <= 2 * 65_537);
    assert_eq!(dns(b"\0\0", &[0; 16_000]), 0);
}

/// Finds nothing and keeps nothing.
#[derive(Default)]
struct Silent;

impl SessionParser for Silent {
    type Message = ();

    fn feed_initiator(&mut self, _: &[u8], _: flowscope::Timestamp, _: &mut Vec<()>) {}

    fn feed_responder(&mut self, _: &[u8], _: flowscope::Timestamp, _: &mut Vec<()>) {}
}

#[test]
fn a_parser_that_stays_silent_ends_its_session_at_the_bound() {
    let mut bench = Bench::new(|| StreamParser::new(Silent));
    bench.handshake();
    let frames: Vec<_> = (0..17_u32)
        .map(|n| tcp(CLIENT, SERVER, 1 + n * 32_768, 1, ACK, &[0; 32_768]))
        .collect();
    bench.frame(&frames[0], 0);
    bench.log();
    let before = allocations();
    for frame in &frames[1..] {
        bench.frame(frame, 0);
    }
    // Containing it costs none.
    assert_eq!(allocations() - before, 0);
    let mut sequence = 1 + 17 * 32_768;
    while bench.log().is_empty() {
        bench.c(ACK, sequence, 1, &[0; 32_768]);
        sequence += 32_768;
    }
    assert_eq!(sequence - 1, (16 << 20) + 32_768);
    assert_eq!(bench.sessions.session_stats().ended.memory_limit, 1);
}
