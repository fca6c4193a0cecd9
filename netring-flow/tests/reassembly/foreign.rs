//! Parsers that panic, and parsers that keep what they are sent.

use std::ops::ControlFlow;

use netring_flow::FlowTracker;
use netring_flow::extract::FiveTuple;
use netring_flow::reassembly::{Reassembler, ReassemblyConfig, StreamEnd, Subscription};
use netring_flow::session::{Parser, SessionEnd, SessionPoint, SessionTracker, Sessions};
use netring_sys::Timestamp;

use crate::common::{ACK, CLIENT, FIN, SERVER, SYN, tcp, udp};
use crate::sessions::Bench;

/// Reports what it is sent, and panics where it is told to.
struct Fragile(&'static str);

impl Fragile {
    fn pass(&self, place: &str) {
        if self.0 == place {
            match place {
                "gap" => panic!("at a gap of {} bytes", 7),
                "end" => std::panic::panic_any(Bomb),
                _ => panic!("told to"),
            }
        }
    }
}

/// What a panic may carry: it panics again when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.pass("drop");
    }
}

impl Parser for Fragile {
    type Message = String;

    fn data(
        &mut self,
        _: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<String>,
    ) -> ControlFlow<SessionEnd> {
        messages.push(String::from_utf8(bytes.to_vec()).unwrap());
        self.pass("data");
        ControlFlow::Continue(())
    }

    fn gap(&mut self, _: SessionPoint, _: u64, _: &mut Vec<String>) -> ControlFlow<SessionEnd> {
        self.pass("gap");
        ControlFlow::Continue(())
    }

    fn end(&mut self, _: SessionPoint, _: StreamEnd, _: &mut Vec<String>) {
        self.pass("end");
    }

    fn close(&mut self, _: Timestamp, _: &mut Vec<String>) {
        self.pass("close");
    }

    fn buffered(&self) -> usize {
        self.pass("buffered");
        0
    }
}

/// The flow of the fragile parser, and one beside it, each with a gap and a FIN.
fn two_flows(place: &'static str) -> Bench<Fragile> {
    let mut places = [place, ""].into_iter();
    let mut bench = Bench::new(move || Fragile(places.next().unwrap()));
    let others = "192.0.2.77:1";
    bench.handshake();
    bench.frame(&tcp(others, SERVER, 0, 0, SYN, b""), 0);
    bench.c(ACK, 1, 1, b"abc");
    bench.frame(&tcp(others, SERVER, 1, 1, ACK, b"other"), 0);
    bench.c(ACK, 11, 1, b"def").s(ACK, 1, 14, b"");
    bench.now += 0.02;
    bench.c(ACK, 14, 1, b"ghi");
    bench.s(FIN | ACK, 1, 17, b"").c(FIN | ACK, 17, 2, b"");
    bench.s(ACK, 2, 18, b"");
    bench.frame(&tcp(others, SERVER, 6, 1, ACK, b"more"), 0);
    bench.finish();
    bench
}

#[test]
fn a_parser_that_panics_ends_its_session_and_no_other() {
    for (place, of_the_fragile) in [
        ("data", &["abc", "ended panicked: told to"][..]),
        ("buffered", &["abc", "ended panicked: told to"]),
        (
            "gap",
            &["abc", "misses 7", "ended panicked: at a gap of 7 bytes"],
        ),
        (
            "end",
            &[
                "abc",
                "misses 7",
                "def",
                "ghi",
                "ended panicked: the parser gave no reason",
            ],
        ),
        (
            "close",
            &["abc", "misses 7", "def", "ghi", "ended panicked: told to"],
        ),
        // Its session is over.
        ("drop", &["abc", "misses 7", "def", "ghi", "ended finished"]),
    ] {
        let mut bench = two_flows(place);
        let stats = bench.sessions.session_stats();
        let (others, fragile): (Vec<_>, Vec<_>) = bench.log().into_iter().partition(|line| {
            ["other", "more", "source-ended"]
                .iter()
                .any(|of| line.contains(of))
        });
        let expected = of_the_fragile.iter();
        let fragile = fragile.iter().filter(|line| !line.starts_with("started"));
        assert!(
            fragile
                .clone()
                .zip(expected.clone())
                .all(|(line, end)| { line.trim_end_matches('"').ends_with(end) })
                && fragile.count() == expected.count(),
            "{place}"
        );
        let expected = ["\"other\"", "\"more\"", "ended source-ended"];
        assert!(
            others
                .iter()
                .zip(expected)
                .all(|(line, end)| line.ends_with(end))
        );
        let panicked = u64::from(place != "drop");
        assert_eq!(
            (stats.started, stats.ended.panicked, stats.ended.stream),
            (2, panicked, 2 - panicked)
        );
        assert_eq!(stats.ended.total(), 2);
        let flows = bench.sessions.tracker().stats();
        assert_eq!((flows.packets, flows.flows_started), (13, 2));
    }
}

#[test]
fn a_parser_of_datagrams_that_panics_ends_its_session_only() {
    let mut bench = Bench::new(|| Fragile("data"));
    for n in 1..=3 {
        let client = CLIENT.replace("40000", &n.to_string());
        bench.frame(&udp(&client, SERVER, b"abc"), 0);
        bench.frame(&udp(&client, SERVER, b"def"), 0);
    }
    bench.finish();
    let expected = [
        "started false",
        "Initiator \"abc\"",
        "ended panicked: told to",
    ];
    assert_eq!(bench.log(), expected.repeat(3));
    assert_eq!(bench.sessions.session_stats().ended.panicked, 3);
}

/// Keeps all bytes until a line ends.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Parser for Lines {
    type Message = usize;

    fn data(
        &mut self,
        _: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<usize>,
    ) -> ControlFlow<SessionEnd> {
        self.0.extend_from_slice(bytes);
        if bytes.contains(&b'\n') {
            messages.push(self.0.len());
            self.0 = Vec::new();
        }
        ControlFlow::Continue(())
    }

    fn buffered(&self) -> usize {
        self.0.len()
    }
}

/// What parsers may keep: one of them, and all.
fn bounded(one: usize, all: usize) -> Bench<Lines> {
    let sessions = Sessions::new(Subscription::all(), |_| Some(Lines::default()));
    let sessions = sessions.max_buffered_per_session(one).max_buffered(all);
    let streams = Reassembler::new(ReassemblyConfig::new(), sessions).unwrap();
    let tracker = FlowTracker::new(FiveTuple::bidirectional());
    Bench::of(SessionTracker::with_streams(tracker, streams))
}

#[test]
fn a_parser_that_keeps_too_much_ends_its_session() {
    let mut bench = bounded(1000, 10_000);
    bench.handshake();
    for n in 0..10 {
        bench.c(ACK, 1 + 100 * n, 1, &[b'x'; 100]);
    }
    assert_eq!(bench.sessions.session_stats().buffered, 1000);
    bench.c(ACK, 1001, 1, b"\n");
    assert_eq!(bench.sessions.session_stats().buffered, 0);
    bench
        .c(ACK, 1002, 1, &[b'x'; 1001])
        .c(ACK, 2003, 1, b"\n")
        .finish();
    let expected = ["started false", "Initiator 1001", "ended memory-limit"];
    assert_eq!(bench.log(), expected);
    let stats = bench.sessions.session_stats();
    assert_eq!((stats.buffered, stats.ended.memory_limit), (0, 1));
}

#[test]
fn all_parsers_together_keep_no_more_than_their_bound() {
    let mut bench = bounded(1000, 2500);
    for n in 0..100 {
        let client = CLIENT.replace("40000", &n.to_string());
        bench.frame(&tcp(&client, SERVER, 0, 0, SYN, b""), 0);
        bench.frame(&tcp(&client, SERVER, 1, 1, ACK, &[b'x'; 800]), 0);
        assert!(bench.sessions.session_stats().buffered <= 2500);
    }
    let stats = bench.sessions.session_stats();
    assert_eq!((stats.buffered, stats.ended.memory_limit), (2400, 97));
    // Those that are within it go on.
    let client = CLIENT.replace("40000", "2");
    bench.log();
    bench.frame(&tcp(&client, SERVER, 801, 1, ACK, b"\n"), 0);
    assert_eq!(bench.log(), ["Initiator 801"]);
    bench.finish();
    assert_eq!(bench.sessions.session_stats().buffered, 0);
}
