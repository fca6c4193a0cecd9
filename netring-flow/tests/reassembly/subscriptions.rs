//! Which flows are reassembled.

use std::time::Duration;

use netring_flow::Segment;
use netring_flow::extract::FiveTupleKey;
use netring_flow::reassembly::{ReassemblyConfig, Side, Subscription};
use netring_sys::Filter;

use crate::common::{ACK, Bench, FIN, SYN, tcp, udp};

fn bench(subscription: Subscription<FiveTupleKey>) -> Bench {
    Bench::of(ReassemblyConfig::new(), subscription)
}

/// The same conversation with three servers.
fn three_servers(bench: &mut Bench) -> Vec<String> {
    for server in ["192.0.2.1:80", "192.0.2.2:80", "198.51.100.1:443"] {
        bench.frame(&tcp("203.0.113.5:1025", server, 0, 0, SYN, b""));
        bench.frame(&tcp(
            "203.0.113.5:1025",
            server,
            1,
            0,
            ACK,
            server.as_bytes(),
        ));
    }
    bench.log()
}

#[test]
fn flows_are_chosen_by_port_by_filter_and_by_predicate() {
    assert_eq!(three_servers(&mut bench(Subscription::all())).len(), 3);
    let mut of_port = bench(Subscription::all().ports([8080, 443]));
    assert_eq!(three_servers(&mut of_port), ["I+0 198.51.100.1:443"]);
    assert_eq!(of_port.stats().subscribed, 1);
    assert_eq!(of_port.stats().received, 16);

    let filter: Filter = "tcp dst port 80 and net 192.0.2.2/32".parse().unwrap();
    let mut of_filter = bench(Subscription::all().filter(filter).unwrap());
    assert_eq!(three_servers(&mut of_filter), ["I+0 192.0.2.2:80"]);

    let mut of_key = bench(
        Subscription::all().when(|first: &Segment<'_, FiveTupleKey>| {
            first.tcp().is_some_and(|tcp| tcp.sequence == 0) && first.key.b().port() == 1025
        }),
    );
    assert_eq!(
        three_servers(&mut of_key),
        [
            "I+0 192.0.2.1:80",
            "I+0 192.0.2.2:80",
            "I+0 198.51.100.1:443"
        ]
    );

    // All conditions have to hold.
    let mut both = bench(
        Subscription::all()
            .ports([80])
            .when(|first| first.key.a().port() == 443),
    );
    assert_eq!(three_servers(&mut both).len(), 0);
    assert_eq!(both.streams.active(), 0);
}

/// HTTP, if five bytes say so.
fn http() -> Subscription<FiveTupleKey> {
    Subscription::all().first_bytes(|at, bytes| {
        assert_eq!(at.offset, 0);
        let enough = bytes.len() >= 5;
        enough.then(|| bytes.starts_with(b"GET /") || bytes.starts_with(b"HTTP/"))
    })
}

#[test]
fn flows_are_chosen_by_their_first_bytes() {
    let mut bench = bench(http());
    bench
        .handshake()
        .c(ACK, 1, 1, b"GE")
        .c(ACK, 4, 1, b" /a")
        .s(ACK, 1, 1, b"x");
    assert_eq!(bench.log().len(), 0);
    bench.c(ACK, 3, 1, b"T");
    assert_eq!(bench.log(), ["I+0 GE", "I+2 T", "I+3  /a", "R+0 x"]);
    bench.s(ACK, 2, 7, b"y").c(ACK, 7, 3, b"b");
    assert_eq!(bench.log(), ["R+1 y", "I+6 b"]);
    assert_eq!(bench.stats().memory, 0);
}

#[test]
fn flows_whose_first_bytes_are_others_leave_nothing_behind() {
    let mut bench = bench(http());
    bench
        .handshake()
        .c(ACK, 1, 1, b"SSH-")
        .c(ACK, 5, 1, b"2")
        .c(ACK, 6, 1, b".0")
        .finish();
    assert_eq!(bench.log().len(), 0);
    let stats = bench.stats();
    assert_eq!(
        (stats.received, stats.discarded.unwanted, stats.memory),
        (5, 5, 0)
    );
}

#[test]
fn a_flow_that_cannot_be_decided_about_is_dropped() {
    // At the deadline.
    let mut bench = bench(http());
    bench
        .handshake()
        .pass(100.0)
        .c(ACK, 1, 1, b"GET")
        .pass(4.0)
        .expire();
    assert_eq!(bench.streams.active(), 1);
    bench.pass(1.1).expire();
    assert_eq!((bench.streams.active(), bench.log().len()), (0, 0));
    assert_eq!(bench.stats().discarded.unwanted, 3);
    // After 4096 bytes.
    let mut bench = self::bench(Subscription::all().first_bytes(|_, _| None));
    bench.handshake();
    for n in 0..4 {
        assert_eq!(bench.streams.active(), 1);
        bench.c(ACK, 1 + 1024 * n, 1, &[b'x'; 1024]);
    }
    assert_eq!((bench.streams.active(), bench.log().len()), (0, 0));
    // When the flow ends.
    let mut bench = self::bench(http());
    bench.handshake().c(FIN | ACK, 1, 1, b"GET").finish();
    assert_eq!(bench.log().len(), 0);
}

#[test]
fn undecided_flows_stay_within_the_bound() {
    let config = ReassemblyConfig::new()
        .max_held(1 << 16)
        .deadline(Duration::MAX);
    let mut bench = Bench::of(config, http());
    for n in 0..10_000 {
        let client = format!("203.0.113.5:{}", 1025 + n);
        bench.frame(&tcp(&client, "192.0.2.1:80", 0, 0, ACK, b"GET"));
    }
    assert!(bench.stats().memory_peak <= 1 << 16);
    // The newest are still there.
    bench.frame(&tcp("203.0.113.5:11024", "192.0.2.1:80", 3, 0, ACK, b" /"));
    assert_eq!(bench.log(), ["I+0 GET", "I+3  /"]);
    bench.finish();
}

#[test]
fn datagrams_are_passed_on_with_their_side() {
    let mut bench = bench(Subscription::all().ports([53]));
    bench.frame(&udp("203.0.113.5:1025", "192.0.2.1:53", b"question"));
    bench.frame(&udp("192.0.2.1:53", "203.0.113.5:1025", b"answer"));
    bench.frame(&udp("203.0.113.5:1025", "192.0.2.1:54", b"other"));
    bench.frame(&udp("203.0.113.5:1025", "192.0.2.1:53", b"more"));
    bench.finish();
    assert_eq!(
        bench.log(),
        [
            "I=0 question",
            "R=0 answer",
            "I=8 more",
            "closed source-ended"
        ]
    );
    assert_eq!(bench.stats().received, 0, "the totals are those of TCP");
}

#[test]
fn a_visitor_that_breaks_off_hears_nothing_more() {
    let mut bench = bench(Subscription::all());
    bench.streams.visitor_mut().stop_at = 2;
    bench
        .handshake()
        .c(ACK, 4, 1, b"def")
        .c(ACK, 8, 1, b"h")
        .c(ACK, 1, 1, b"abc");
    assert_eq!(bench.log(), ["I+0 abc", "I+3 def"]);
    assert_eq!(bench.streams.active(), 0);
    bench.c(ACK, 7, 1, b"g").s(ACK, 1, 9, b"x").finish();
    assert_eq!(bench.log().len(), 0);
    let stats = bench.stats();
    assert_eq!((stats.received, stats.discarded.unwanted), (7, 1));
    // In the fast path.
    let mut bench = self::bench(Subscription::all());
    bench.streams.visitor_mut().stop_at = 1;
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .c(ACK, 4, 1, b"def")
        .finish();
    assert_eq!(bench.log(), ["I+0 abc"]);
    assert_eq!(bench.stream(Side::Initiator), "abc");
}

#[test]
fn flows_that_were_there_before_are_not_reassembled() {
    let mut bench = bench(Subscription::all());
    let mut events = Vec::new();
    let frame = bench.segment(0, SYN, 0, 0, b"");
    let time = crate::common::at(0.0);
    let packet = netring_sys::Packet::new(&frame, time, netring_sys::LinkType::ETHERNET);
    bench.tracker.track(&packet, &mut events);
    bench.c(ACK, 1, 1, b"abc").finish();
    assert_eq!((bench.log().len(), bench.stats().received), (0, 0));
}
