//! flowscope's parsers, and one that a user wrote for it.

use flowscope::dns::{DnsMessage, DnsTcpParser, DnsUdpParser};
use flowscope::http::{HttpMessage, HttpParser};
use flowscope::tls::{TlsMessage, TlsParser};
use flowscope::{SessionParser, Timestamp};
use netring_flow::flowscope;
use netring_flow::session::{DatagramParser, StreamParser};

use crate::common::{ACK, CLIENT, FIN, SERVER, udp};
use crate::sessions::Bench;

#[test]
fn http_requests_and_responses_are_read_across_segments() {
    let mut bench = Bench::new(|| StreamParser::new(HttpParser::default()));
    bench.handshake();
    bench.c(ACK, 22, 1, b" HTTP/1.1\r\nHost: example.net\r\n\r\n");
    bench.c(ACK, 1, 1, b"GET /index.html?a=b&c");
    bench.s(
        ACK,
        1,
        55,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nsorry",
    );
    bench.finish();
    let log = bench.log();
    assert_eq!(log.len(), 4, "{log:?}");
    assert!(
        log[1].starts_with("Initiator Request(") && log[1].contains("example.net"),
        "{log:?}"
    );
    assert!(
        log[2].starts_with("Responder Response(") && log[2].contains("404"),
        "{log:?}"
    );
}

#[test]
fn the_name_in_a_client_hello_is_read() {
    let name = b"example.net";
    let mut extension = vec![0, 0];
    let len = name.len() as u16;
    for number in [len + 5, len + 3] {
        extension.extend(number.to_be_bytes());
    }
    extension.push(0);
    extension.extend(len.to_be_bytes());
    extension.extend(name);
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    hello.extend((extension.len() as u16).to_be_bytes());
    hello.extend(&extension);
    let mut record = vec![22, 3, 1];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0, 0, hello.len() as u8]);
    record.extend(&hello);

    let mut bench = Bench::new(|| StreamParser::new(TlsParser::default()));
    bench.handshake();
    for (at, byte) in record.iter().enumerate() {
        bench.c(ACK, 1 + at as u32, 1, &[*byte]);
    }
    bench.finish();
    let log = bench.log();
    assert_eq!(log.len(), 3, "{log:?}");
    assert!(log[1].starts_with("Initiator ClientHello(") && log[1].contains("example.net"));
}

/// A query for `example.net`, and its answer.
fn dns() -> [Vec<u8>; 2] {
    let question = b"\x07example\x03net\x00\x00\x01\x00\x01";
    let message = |flags: [u8; 2], answers: u8, rest: &[u8]| {
        let mut message = vec![0x12, 0x34, flags[0], flags[1], 0, 1, 0, answers, 0, 0, 0, 0];
        message.extend(question);
        message.extend(rest);
        message
    };
    let answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07";
    [message([1, 0], 0, b""), message([0x81, 0x80], 1, answer)]
}

#[test]
fn names_are_read_from_datagrams_and_from_streams() {
    let [query, answer] = dns();
    let mut bench = Bench::new(|| DatagramParser(DnsUdpParser::default()));
    bench
        .frame(&udp(CLIENT, SERVER, &query), 0)
        .frame(&udp(SERVER, CLIENT, &answer), 0)
        .finish();
    let datagrams = bench.log();
    assert_eq!(datagrams.len(), 4, "{datagrams:?}");
    assert!(
        datagrams[1].starts_with("Initiator Query("),
        "{datagrams:?}"
    );
    assert!(datagrams[1].contains("example.net"), "{datagrams:?}");
    assert!(
        datagrams[2].starts_with("Responder Response("),
        "{datagrams:?}"
    );
    assert!(datagrams[2].contains("192.0.2.7"), "{datagrams:?}");

    let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
    let mut bench = Bench::new(|| StreamParser::new(DnsTcpParser::default()));
    bench
        .handshake()
        .c(ACK, 1, 1, &framed(&query))
        .s(ACK, 1, 32, &framed(&answer))
        .finish();
    let streams = bench.log();
    // flowscope's parser of streams does not note the time.
    let content = |line: &str| line.split(", timestamp").next().unwrap().to_owned();
    for (stream, datagram) in streams[1..3].iter().zip(&datagrams[1..3]) {
        assert_eq!(content(stream), content(datagram));
    }
}

/// Types of messages are those of flowscope.
#[test]
fn messages_are_those_of_flowscope() {
    fn of<P: netring_flow::session::Parser<Message = M>, M>(_: &P) {}
    of::<_, HttpMessage>(&StreamParser::new(HttpParser::default()));
    of::<_, TlsMessage>(&StreamParser::new(TlsParser::default()));
    of::<_, DnsMessage>(&DatagramParser(DnsUdpParser::default()));
}

/// Counts bytes; poisoned by a zero, done after ten.
#[derive(Clone, Default)]
struct Count {
    bytes: usize,
    poisoned: bool,
    fins: usize,
}

impl SessionParser for Count {
    type Message = String;

    fn feed_initiator(&mut self, bytes: &[u8], time: Timestamp, out: &mut Vec<String>) {
        assert!(time.sec >= 1_700_000_000);
        self.bytes += bytes.len();
        self.poisoned |= bytes.contains(&0);
        out.push(format!("{} bytes", self.bytes));
    }

    fn feed_responder(&mut self, bytes: &[u8], time: Timestamp, out: &mut Vec<String>) {
        self.feed_initiator(bytes, time, out);
    }

    fn fin_initiator(&mut self, out: &mut Vec<String>) {
        self.fins += 1;
        out.push(format!("fin {}", self.fins));
    }

    fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn poison_reason(&self) -> Option<&str> {
        Some("a zero")
    }

    fn is_done(&self) -> bool {
        self.bytes >= 10
    }
}

#[test]
fn a_parser_of_a_user_is_driven_as_flowscope_would() {
    let count = || Bench::new(|| StreamParser::new(Count::default()));
    let mut bench = count();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .c(FIN | ACK, 4, 1, b"")
        .s(ACK, 1, 5, b"defg");
    let expected = [
        "started false",
        "Initiator \"3 bytes\"",
        "Initiator \"fin 1\"",
        "Responder \"7 bytes\"",
    ];
    assert_eq!(bench.log(), expected);
    bench.s(ACK, 5, 5, b"hij").s(ACK, 8, 5, b"klm").finish();
    assert_eq!(bench.log(), ["Responder \"10 bytes\"", "ended done"]);
    let mut bench = count();
    bench
        .handshake()
        .c(ACK, 1, 1, b"a\0c")
        .c(ACK, 4, 1, b"d")
        .finish();
    let expected = [
        "started false",
        "Initiator \"3 bytes\"",
        "ended failed: a zero",
    ];
    assert_eq!(bench.log(), expected);
}

#[test]
fn a_parser_of_datagrams_on_a_stream_says_so() {
    let mut bench = Bench::new(|| DatagramParser(DnsUdpParser::default()));
    bench.handshake().c(ACK, 1, 1, b"abc").finish();
    let log = bench.log();
    assert!(
        log[1].starts_with("ended failed: a parser of datagrams cannot read"),
        "{log:?}"
    );
}
