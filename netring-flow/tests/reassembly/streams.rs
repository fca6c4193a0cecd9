//! Where streams begin and end, and what of them is missing.

use std::time::Duration;

use netring_flow::reassembly::{ReassemblyConfig, Side};

use crate::common::{ACK, Bench, FIN, RST, SERVER, SYN, tcp};

#[test]
fn both_sides_are_delivered_as_they_come() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"get")
        .s(ACK, 1, 4, b"answer")
        .c(ACK, 4, 7, b"");
    bench
        .c(FIN | ACK, 4, 7, b"")
        .s(FIN | ACK, 7, 5, b"")
        .c(ACK, 5, 8, b"");
    let expected = [
        "I+0 get",
        "R+0 answer",
        "I.3 finished",
        "R.6 finished",
        "closed finished",
    ];
    assert_eq!(bench.log(), expected);
    assert!(!bench.streams.visitor().mid_stream);
    bench.finish();
    assert_eq!(bench.log().len(), 0);
}

#[test]
fn the_responder_is_the_end_that_did_not_begin_whatever_the_addresses() {
    // The SYN-ACK comes first: its receiver is the initiator.
    let mut bench = Bench::new();
    bench
        .s(SYN | ACK, 0, 1, b"")
        .c(ACK, 1, 1, b"get")
        .s(ACK, 1, 4, b"answer");
    assert_eq!(bench.log(), ["I+0 get", "R+0 answer"]);
    assert!(
        !bench.streams.visitor().mid_stream,
        "the answer shows where both begin"
    );
}

#[test]
fn data_in_a_syn_is_part_of_the_stream() {
    let mut bench = Bench::new();
    bench
        .c(SYN, 0, 0, b"get")
        .s(SYN | ACK, 0, 4, b"ans")
        .c(ACK, 4, 4, b"!")
        .s(ACK, 4, 5, b"wer");
    assert_eq!(bench.log(), ["I+0 get", "R+0 ans", "I+3 !", "R+3 wer"]);
    // Not accepted: the client sends it again.
    let mut bench = Bench::new();
    bench
        .c(SYN, 0, 0, b"get")
        .s(SYN | ACK, 0, 1, b"")
        .c(ACK, 1, 1, b"get /");
    assert_eq!(bench.log(), ["I+0 get", "I+3  /"]);
    assert_eq!(bench.stats().duplicate, 3);
    // The SYN again, and one that is not of this connection.
    bench.c(SYN, 0, 0, b"get").c(SYN, 77, 0, b"bad");
    assert_eq!(bench.log().len(), 0);
    let stats = bench.stats();
    assert_eq!((stats.duplicate, stats.discarded.other_syn), (6, 3));
}

#[test]
fn a_missing_first_segment_is_a_gap_at_the_start() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 11, 1, b"abc")
        .s(ACK, 1, 14, b"")
        .pass(0.02)
        .expire();
    assert_eq!(bench.log(), ["I?0 10", "I+10 abc"]);
}

#[test]
fn bytes_that_a_snap_length_cut_off_are_a_gap_at_once() {
    let mut bench = Bench::new();
    bench.handshake();
    let frame = bench.segment(0, ACK, 1, 1, b"abcdef");
    bench.cut(&frame, frame.len() - 2);
    bench.c(ACK, 7, 1, b"ghi");
    assert_eq!(bench.log(), ["I+0 abcd", "I?4 2", "I+6 ghi"]);
    // Out of order: the rest is not waited for either.
    let frame = bench.segment(0, ACK, 13, 1, b"mnopqr");
    bench.cut(&frame, frame.len() - 2);
    bench.c(ACK, 19, 1, b"s").c(ACK, 10, 1, b"jkl");
    assert_eq!(bench.log(), ["I+9 jkl", "I+12 mnop", "I?16 2", "I+18 s"]);
    // Nothing but headers.
    let frame = bench.segment(0, ACK, 20, 1, b"tuv");
    bench.cut(&frame, frame.len() - 3);
    assert_eq!(bench.log(), ["I?19 3"]);
    assert_eq!(bench.stats().missing, 7);
}

#[test]
fn the_deadline_starts_again_when_the_stream_advances() {
    let config = ReassemblyConfig::new().deadline(Duration::from_secs(2));
    let mut bench = Bench::with(config);
    bench
        .handshake()
        .c(ACK, 11, 1, b"k")
        .pass(1.5)
        .c(ACK, 1, 1, b"ab")
        .pass(1.5)
        .expire();
    assert_eq!(bench.log(), ["I+0 ab"]);
    // More of what follows does not start it again.
    bench.c(ACK, 12, 1, b"l").pass(0.4).expire();
    assert_eq!(bench.log().len(), 0);
    bench.pass(0.2).expire();
    assert_eq!(bench.log(), ["I?2 8", "I+10 k", "I+11 l"]);
}

#[test]
fn another_flow_advances_the_time_too() {
    let mut bench = Bench::new();
    bench.handshake().c(ACK, 11, 1, b"k").pass(5.1);
    let other = tcp("192.0.2.7:1", "192.0.2.8:2", 0, 0, SYN, b"");
    bench.frame(&other);
    assert_eq!(bench.log(), ["I?0 10", "I+10 k"]);
}

#[test]
fn time_that_goes_back_starts_deadlines_again() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 11, 1, b"k")
        .pass(-100_000.0)
        .c(ACK, 12, 1, b"l");
    bench.pass(4.0).expire();
    assert_eq!(bench.log().len(), 0);
    bench.pass(1.1).expire();
    assert_eq!(bench.log(), ["I?0 10", "I+10 k", "I+11 l"]);
}

#[test]
fn an_acknowledgement_that_was_damaged_does_not_wedge_a_stream() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .s(ACK, 1, 4, b"")
        .s(ACK, 1, 4000, b"")
        .pass(1.0);
    // It looks as if 3996 bytes were missing, until the receiver says otherwise.
    bench
        .c(ACK, 4, 1, b"def")
        .s(ACK, 1, 7, b"")
        .c(ACK, 7, 1, b"ghi")
        .c(ACK, 10, 1, b"jkl");
    assert_eq!(
        bench.log(),
        ["I+0 abc", "I?3 3996", "I+3999 ghi", "I+4002 jkl"]
    );
}

#[test]
fn a_forged_segment_far_ahead_with_its_acknowledgement_does_not_wedge_a_stream() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .c(ACK, 1 << 30, 1, b"x")
        .s(ACK, 1, 1 + (1 << 30), b"");
    bench
        .pass(1.0)
        .s(ACK, 1, 4, b"")
        .c(ACK, 4, 1, b"def")
        .s(ACK, 1, 7, b"")
        .finish();
    let lines = bench.log();
    assert_eq!(lines[2], "I+1073741823 x");
    assert_eq!(lines[3], "I+1073741824 def");
    assert_eq!(bench.stats().gaps, 1);
}

#[test]
fn an_outage_of_the_capture_is_one_gap() {
    let mut bench = Bench::new();
    bench.handshake().c(ACK, 1, 1, b"abc");
    // 2.5 GB later, which the receiver has acknowledged.
    bench
        .s(ACK, 1, 2_500_000_004, b"")
        .c(ACK, 2_500_000_004, 1, b"def");
    bench.pass(6.0).s(ACK, 1, 2_500_000_007, b"").finish();
    let lines = bench.log();
    assert_eq!(
        lines[..3],
        ["I+0 abc", "I?3 2500000000", "I+2500000003 def"]
    );
}

#[test]
fn the_end_of_a_flow_reports_what_is_missing_before_it() {
    // Acknowledged, and never seen.
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .s(ACK, 1, 11, b"")
        .finish();
    let expected = ["I+0 abc", "I?3 7", "I.10 source-ended", "R.0 source-ended"];
    assert_eq!(bench.log()[..4], expected);
    // A FIN shows how much.
    let mut bench = Bench::new();
    bench.handshake().c(FIN | ACK, 11, 1, b"").finish();
    let expected = [
        "I?0 10",
        "I.10 finished",
        "R.0 source-ended",
        "closed source-ended",
    ];
    assert_eq!(bench.log(), expected);
    // One number more than what was seen is a FIN that was not.
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .s(ACK, 1, 5, b"")
        .pass(9.0)
        .expire()
        .finish();
    assert_eq!(bench.stats().gaps, 0);
}

#[test]
fn a_fin_that_is_not_acknowledged_ends_the_stream_with_the_flow() {
    let mut bench = Bench::new();
    bench
        .c(SYN, 0, 0, b"")
        .c(ACK, 1, 1, b"abc")
        .c(FIN | ACK, 4, 1, b"")
        .finish();
    let expected = [
        "I+0 abc",
        "I.3 finished",
        "R.0 source-ended",
        "closed source-ended",
    ];
    assert_eq!(bench.log(), expected);
}

#[test]
fn a_reset_that_the_receiver_would_refuse_ends_nothing() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .s(ACK, 1, 4, b"x")
        .c(RST, 900_000_000, 0, b"no");
    // The challenge, and its answer.
    bench.s(ACK, 2, 4, b"").c(ACK, 4, 2, b"def");
    assert_eq!(bench.log(), ["I+0 abc", "R+0 x", "I+3 def"]);
    assert_eq!(bench.stats().discarded.out_of_window, 2);
    // A FIN with data, likewise.
    bench
        .c(FIN | ACK, 900_000_000, 2, b"no")
        .c(ACK, 7, 2, b"ghi");
    assert_eq!(bench.log(), ["I+6 ghi"]);
}

#[test]
fn a_probe_of_a_closed_window_is_delivered_once() {
    let mut bench = Bench::new();
    bench.handshake().c(ACK, 1, 1, b"abc");
    // One byte of data, not accepted; then without data; then all of it.
    bench
        .c(ACK, 4, 1, b"d")
        .s(ACK, 1, 4, b"")
        .c(ACK, 3, 1, b"")
        .s(ACK, 1, 4, b"");
    bench.c(ACK, 4, 1, b"defg").s(ACK, 1, 8, b"");
    assert_eq!(bench.log(), ["I+0 abc", "I+3 d", "I+4 efg"]);
    assert_eq!((bench.stats().gaps, bench.stats().inconsistencies), (0, 0));
}

#[test]
fn a_stream_that_begins_with_a_keep_alive_misses_nothing() {
    let mut bench = Bench::new();
    bench
        .c(ACK, 99, 1, b"")
        .s(ACK, 1, 100, b"")
        .c(ACK, 100, 1, b"abc")
        .finish();
    assert_eq!(bench.stream(Side::Initiator), "abc");
    assert_eq!(bench.stats().gaps, 0);
}

#[test]
fn a_connection_that_is_refused_and_tried_again_is_reassembled() {
    let mut bench = Bench::new();
    bench
        .c(SYN, 0, 0, b"")
        .s(RST | ACK, 0, 1, b"")
        .s(RST | ACK, 0, 1, b"");
    assert_eq!(bench.log(), ["I.0 reset", "R.0 reset", "closed reset"]);
    bench
        .pass(0.5)
        .handshake()
        .c(ACK, 1, 1, b"get")
        .s(ACK, 1, 4, b"answer");
    assert_eq!(bench.log(), ["I+0 get", "R+0 answer"]);
    assert_eq!((bench.stats().subscribed, bench.streams.active()), (2, 1));
    bench.finish();
    assert_eq!(bench.log().len(), 3);
}

#[test]
fn a_connection_that_goes_on_after_a_forged_reset_is_reassembled() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(RST | ACK, 1, 1, b"")
        .s(ACK, 1, 1, b"in flight");
    assert_eq!(bench.log(), ["I.0 reset", "R.0 reset", "closed reset"]);
    bench
        .c(ACK, 1, 1, b"get")
        .s(ACK, 1, 4, b"answer")
        .c(RST | ACK, 4, 7, b"");
    let expected = [
        "I+0 get",
        "R+0 answer",
        "I.3 reset",
        "R.6 reset",
        "closed reset",
    ];
    assert_eq!(bench.log(), expected);
    assert!(!bench.streams.visitor().mid_stream);
    // Again, in the middle; what was sent before the RST and comes late is no sign.
    bench.c(ACK, 1, 1, b"get").s(ACK, 7, 4, b"more");
    assert_eq!(bench.log().len(), 0);
    bench.c(ACK, 4, 7, b"on").finish();
    assert_eq!(bench.log()[0], "I+3 on");
    assert!(bench.streams.visitor().mid_stream);
    assert_eq!(bench.stats().subscribed, 3);
}

#[test]
fn a_new_connection_of_the_same_ports_is_another_stream() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"old")
        .c(RST | ACK, 4, 1, b"");
    bench
        .pass(1.0)
        .c(SYN, 7_000_000, 0, b"")
        .s(SYN | ACK, 500, 7_000_001, b"");
    bench.c(ACK, 7_000_001, 501, b"new").finish();
    let lines = bench.log();
    assert!(lines.contains(&"I+0 new".to_owned()), "{lines:?}");
    assert_eq!(bench.stats().subscribed, 2);
    assert_eq!(bench.stats().gaps, 0);
}

#[test]
fn more_timers_than_start_again_at_once_start_again_with_the_next_packets() {
    let mut bench = Bench::new();
    for n in 0..3000 {
        let client = format!("192.0.2.77:{}", 1 + n);
        bench.frame(&tcp(&client, SERVER, 0, 0, SYN, b""));
        bench.frame(&tcp(&client, SERVER, 11, 1, ACK, b"k"));
    }
    bench.pass(-100_000.0);
    // Each of these lets some start again, and is the latest to do so.
    for _ in 0..300 {
        bench.handshake();
    }
    bench.pass(4.9).expire();
    assert_eq!(bench.stats().gaps, 0);
    bench.pass(0.2).expire();
    assert_eq!(bench.stats().gaps, 3000);
    bench.finish();
}

/// The two directions of a network tap come from two captures. Up to a whole ring of one may be
/// read before the other.
#[test]
fn acknowledgements_that_are_read_seconds_before_their_bytes_make_no_gap() {
    let mut bench = Bench::new();
    bench.handshake();
    let start = bench.now;
    let (mut sent, mut text) = (1, String::new());
    for ring in 0..5 {
        // Four seconds of the server, then the same of the client.
        for n in 0..20 {
            bench.now = start + f64::from(ring) * 4.0 + f64::from(n) * 0.2 + 0.05;
            bench.s(ACK, 1, sent + 5 * (n + 1), b"");
        }
        for n in 0..20 {
            bench.now = start + f64::from(ring) * 4.0 + f64::from(n) * 0.2;
            bench.c(ACK, sent + 5 * n, 1, b"hello");
            text += "hello";
        }
        sent += 100;
    }
    bench.finish();
    assert_eq!(bench.stream(Side::Initiator), text);
    assert_eq!((bench.stats().gaps, bench.stats().duplicate), (0, 0));
}

#[test]
fn acknowledged_bytes_are_a_gap_when_their_sender_goes_on() {
    let mut bench = Bench::new();
    bench.handshake().s(ACK, 1, 6, b"").pass(1.0);
    bench.s(ACK, 1, 6, b"more").s(ACK, 5, 6, b"and more");
    assert_eq!(bench.log(), ["R+0 more", "R+4 and more"]);
    bench.c(ACK, 6, 13, b"");
    assert_eq!(bench.log(), ["I?0 5"]);
    bench.c(ACK, 6, 13, b"next");
    assert_eq!(bench.log(), ["I+5 next"]);
}

#[test]
fn what_the_receiver_lacks_too_is_waited_for_as_long_as_the_sender_repeats_it() {
    let mut bench = Bench::new();
    bench.handshake().c(ACK, 1, 1, b"abc").c(ACK, 7, 1, b"ghi");
    bench.s(ACK, 1, 4, b"").c(ACK, 10, 1, b"jkl");
    // Segments that are lost behind the capture are repeated after 0.2 s, 0.4 s, … 102.4 s.
    for n in 0..10 {
        bench.pass(0.2 * f64::from(1 << n)).expire();
    }
    assert_eq!(bench.log(), ["I+0 abc"]);
    bench.c(ACK, 4, 1, b"def");
    assert_eq!(bench.log(), ["I+3 def", "I+6 ghi", "I+9 jkl"]);
    assert_eq!(bench.stats().gaps, 0);
}

#[test]
fn a_receiver_that_is_not_captured_any_more_does_not_wedge_a_stream() {
    let mut bench = Bench::new();
    bench.handshake().c(ACK, 1, 1, b"abc").c(ACK, 7, 1, b"ghi");
    bench.s(ACK, 1, 4, b"").pass(4.0).c(ACK, 10, 1, b"jkl");
    bench.pass(4.0).c(ACK, 13, 1, b"mno");
    assert_eq!(bench.log(), ["I+0 abc"]);
    bench.pass(5.0).c(ACK, 16, 1, b"pqr");
    let lines = ["I?3 3", "I+6 ghi", "I+9 jkl", "I+12 mno", "I+15 pqr"];
    assert_eq!(bench.log(), lines);
}

/// The receiver's acknowledgement takes in the FIN, which is no byte of the stream.
#[test]
fn a_fin_behind_missing_bytes_is_not_one_of_them() {
    // The second FIN is beyond its receiver's window, and counts when that acknowledges it.
    for missing in [3, 200_000] {
        let mut bench = Bench::new();
        bench.handshake().c(ACK, 1, 1, b"abc");
        let end = 4 + missing;
        bench.c(FIN | ACK, end, 1, b"").s(ACK, 1, end + 1, b"");
        bench.pass(0.02).c(ACK, end + 1, 1, b"");
        let expected = [
            "I+0 abc".to_owned(),
            format!("I?3 {missing}"),
            format!("I.{} finished", 3 + missing),
        ];
        assert_eq!(bench.log(), expected);
        bench.s(FIN | ACK, 1, end + 1, b"").c(ACK, end + 1, 2, b"");
        assert_eq!(bench.log(), ["R.0 finished", "closed finished"]);
        bench.finish();
        let stats = bench.stats();
        assert_eq!((stats.gaps, stats.missing), (1, missing.into()));
    }
}
