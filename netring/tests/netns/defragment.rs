//! Datagrams that the kernel cuts into fragments are reassembled byte for byte.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use netring::Capture;
use netring::flow::extract::FiveTuple;
use netring::flow::flowscope::dns::{DnsMessage, DnsUdpParser};
use netring::flow::reassembly::{ReassemblyConfig, Subscription};
use netring::flow::session::{
    DatagramParser, Parser, SessionEnd, SessionEvent, SessionPoint, SessionTracker,
};
use netring::flow::{FlowTracker, TrackerConfig};
use netring::{PacketSource, Timed};
use xtask::netns::{Netns, ip, veth};

const LIMIT: Duration = Duration::from_secs(60);

/// A second host on `w1`; this one is on `w0`.
fn hosts() -> (Netns, Netns) {
    let (here, there) = (Netns::enter().unwrap(), Netns::new().unwrap());
    veth("w0", "w1").unwrap();
    there.take("w1").unwrap();
    let up = |name: &str, host: u8| {
        ip(&format!("address add 10.8.0.{host}/24 dev {name}"))?;
        ip(&format!("link set dev {name} up mtu 1500"))?;
        ip(&format!("address add fd00:8::{host}/64 dev {name} nodad"))
    };
    up("w0", 1).unwrap();
    there.run(|| up("w1", 2)).unwrap();
    (here, there)
}

/// Whole datagrams.
struct Datagrams;

impl Parser for Datagrams {
    type Message = Vec<u8>;

    fn data(
        &mut self,
        _: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<Vec<u8>>,
    ) -> ControlFlow<SessionEnd> {
        messages.push(bytes.to_vec());
        ControlFlow::Continue(())
    }
}

fn sessions<P: Parser>(
    port: u16,
    parser: impl Fn() -> P + Send + 'static,
) -> SessionTracker<FiveTuple, P> {
    let config = TrackerConfig::new().defragment(1 << 20);
    SessionTracker::new(
        FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap(),
        ReassemblyConfig::new(),
        Subscription::all().ports([port]),
        move |_| Some(parser()),
    )
    .unwrap()
}

/// Captures until there are so many messages.
fn messages<P: Parser>(
    capture: &mut Capture,
    sessions: &mut SessionTracker<FiveTuple, P>,
    wanted: usize,
) -> Vec<P::Message> {
    let (mut messages, mut events) = (Vec::new(), Vec::new());
    let end = Instant::now() + LIMIT;
    while messages.len() < wanted && Instant::now() < end {
        let timeout = Duration::from_millis(100);
        if let Timed::Batch(batch) = capture.next_batch_timeout(timeout).unwrap() {
            sessions.track_batch(&batch, &mut events);
        }
        messages.extend(events.drain(..).filter_map(|event| match event {
            SessionEvent::Message { message, .. } => Some(message),
            _ => None,
        }));
    }
    messages
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_datagram_of_60_000_bytes_arrives_byte_for_byte() {
    let (_here, there) = hosts();
    for (own, other, fragments) in [
        ("10.8.0.1:0", "10.8.0.2:7000", 41),
        ("[fd00:8::1]:0", "[fd00:8::2]:7000", 42),
    ] {
        let server = there.run(|| UdpSocket::bind(other)).unwrap();
        server.set_read_timeout(Some(LIMIT)).unwrap();
        let client = UdpSocket::bind(own).unwrap();
        let mut capture = Capture::open("w0").unwrap();
        let sent: Vec<u8> = (0..60_000_u32).map(|at| (at / 251 + at) as u8).collect();
        client.send_to(&sent, other).unwrap();
        let mut received = vec![0; 65_536];
        let (len, _) = server.recv_from(&mut received).unwrap();
        assert!(received[..len] == sent, "the kernel delivers what was sent");

        let mut sessions = sessions(7000, || Datagrams);
        let found = messages(&mut capture, &mut sessions, 1);
        assert_eq!(found.len(), 1);
        assert!(found[0] == sent, "{} bytes", found[0].len());
        let stats = sessions.tracker().stats().fragments;
        assert_eq!((stats.first, stats.followed), (1, fragments - 1));
        let stats = stats.defragment;
        assert_eq!((stats.begun, stats.reassembled), (1, 1));
    }
}

/// The answer to a query for A records, with this many of them.
fn answer(query: &[u8], records: u16) -> Vec<u8> {
    let zero = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap();
    let mut reply = query[..zero + 5].to_vec();
    reply[2..6].copy_from_slice(&[0x81, 0x80, 0, 1]);
    reply[6..8].copy_from_slice(&records.to_be_bytes());
    reply[8..12].fill(0);
    for number in 0..records {
        let [high, low] = number.to_be_bytes();
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, high, low]);
    }
    reply
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_dns_answer_of_3000_bytes_is_read_whole() {
    let (_here, there) = hosts();
    let server = there.run(|| UdpSocket::bind("10.8.0.2:53")).unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    let client = UdpSocket::bind("10.8.0.1:0").unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    let mut capture = Capture::open("w0").unwrap();
    let header = [7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let question = [&[1, b'a', 7][..], b"example", &[0, 0, 1, 0, 1]].concat();
    let query = [&header[..], &question].concat();
    client.send_to(&query, "10.8.0.2:53").unwrap();
    let mut message = [0; 4000];
    let (len, from) = server.recv_from(&mut message).unwrap();
    let reply = answer(&message[..len], 190);
    assert!(reply.len() > 3000);
    server.send_to(&reply, from).unwrap();
    let (len, _) = client.recv_from(&mut message).unwrap();
    assert_eq!(message[..len], reply);

    let mut sessions = sessions(53, || DatagramParser(DnsUdpParser::default()));
    let found = messages(&mut capture, &mut sessions, 2);
    let [DnsMessage::Query(query), DnsMessage::Response(reply)] = &found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(query.questions[0].name, "a.example");
    assert_eq!(reply.answers.len(), 190);
    assert_eq!(
        sessions.tracker().stats().fragments.defragment.reassembled,
        1
    );
}
