//! What went wrong in other programs, each report as a test. The names begin with its code; see
//! TESTS.md.

use netring_flow::reassembly::{OverlapPolicy, ReassemblyConfig, Side, UrgentPolicy};

use crate::common::{ACK, Bench, FIN, RST, SYN, URG};

#[test]
fn f1_data_at_the_place_of_a_fin_is_delivered() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(FIN | ACK, 1, 1, b"")
        .c(ACK, 1, 1, b"attack");
    assert_eq!(bench.log(), ["I+0 attack"]);
    bench
        .s(ACK, 1, 7, b"")
        .c(FIN | ACK, 7, 1, b"")
        .s(ACK, 1, 8, b"");
    assert_eq!(bench.log(), ["I.6 finished"]);
    bench.c(ACK, 7, 1, b"late").finish();
    assert_eq!(bench.log(), ["R.0 source-ended", "closed source-ended"]);
    assert_eq!(bench.stats().discarded.after_end, 4);
}

#[test]
fn f2_the_urgent_byte_is_where_the_policy_says() {
    for (policy, expected) in [
        (UrgentPolicy::OutOfBand, ["I+0 ab", "I+3 de"].as_slice()),
        (UrgentPolicy::Inline, ["I+0 abCde"].as_slice()),
    ] {
        let mut bench = Bench::with(ReassemblyConfig::new().urgent(policy));
        bench.handshake().c(ACK | URG, 1, 1, b"abCde");
        assert_eq!(bench.log(), expected);
        let mut bench = Bench::with(ReassemblyConfig::new().urgent(policy));
        // Out of order, and the pointer points into the next segment.
        bench
            .handshake()
            .c(ACK, 4, 1, b"de")
            .c(ACK, 3, 1, b"C")
            .c(ACK | URG, 1, 1, b"ab");
        bench.finish();
        let text = bench.stream(Side::Initiator);
        assert_eq!(
            text,
            if policy == UrgentPolicy::Inline {
                "abCde"
            } else {
                "ab.de"
            }
        );
        assert_eq!(bench.stats().missing, 0);
    }
}

#[test]
fn f3_two_versions_of_held_bytes_give_what_the_end_system_read() {
    let versions = |policy| {
        let mut bench = Bench::with(ReassemblyConfig::new().overlap(policy));
        bench
            .handshake()
            .c(ACK, 5, 1, b"evil")
            .c(ACK, 4, 1, b"!good!")
            .c(ACK, 1, 1, b"is ");
        assert_eq!(bench.stats().inconsistencies, 1);
        assert!(bench.log().contains(&"I!4..8".to_owned()));
        bench.stream(Side::Initiator)
    };
    assert_eq!(versions(OverlapPolicy::Vista), "is !evil!");
    assert_eq!(versions(OverlapPolicy::Linux), "is !good!");
    assert_eq!(versions(OverlapPolicy::Windows), "is !good!");
}

#[test]
fn f4_data_in_a_reset_is_not_part_of_the_stream() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .c(RST | ACK, 4, 1, b"reason");
    assert_eq!(
        bench.log(),
        ["I+0 abc", "I.3 reset", "R.0 reset", "closed reset"]
    );
    assert_eq!(bench.stats().discarded.reset, 6);
}

#[test]
fn f5_a_reset_before_the_acknowledgement_makes_no_gap() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .s(ACK, 1, 1, b"xyz")
        .s(RST | ACK, 4, 1, b"");
    assert_eq!(
        bench.log(),
        [
            "I+0 abc",
            "R+0 xyz",
            "I.3 reset",
            "R.3 reset",
            "closed reset"
        ]
    );
    assert_eq!(bench.stats().gaps, 0);
    // What is held is flushed, with the gap that there is.
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 3, 1, b"cd")
        .s(RST | ACK, 1, 1, b"");
    let expected = ["I?0 2", "I+2 cd", "I.4 reset", "R.0 reset", "closed reset"];
    assert_eq!(bench.log(), expected);
}

#[test]
fn f6_a_split_handshake_keeps_the_initiator() {
    // Four ways: SYN, ACK, SYN, SYN-ACK; five ways: an ACK more.
    for ways in [4, 5] {
        let mut bench = Bench::new();
        bench
            .c(SYN, 0, 0, b"")
            .s(ACK, 900, 1, b"")
            .s(SYN, 0, 0, b"")
            .c(SYN | ACK, 0, 1, b"");
        if ways == 5 {
            bench.s(ACK, 1, 1, b"");
        }
        bench
            .c(ACK, 1, 1, b"get")
            .s(ACK, 1, 4, b"response")
            .finish();
        assert_eq!(bench.stream(Side::Initiator), "get");
        assert_eq!(bench.stream(Side::Responder), "response");
        assert_eq!(bench.stats().gaps, 0);
    }
}

#[test]
fn f7_data_after_its_own_acknowledgement_is_no_gap_within_the_grace() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .s(ACK, 1, 6, b"")
        .pass(0.009)
        .c(ACK, 1, 1, b"abcde");
    assert_eq!(bench.log(), ["I+0 abcde"]);
    bench
        .s(ACK, 1, 11, b"")
        .pass(0.011)
        .c(ACK, 6, 1, b"fghij")
        .c(ACK, 11, 1, b"k");
    assert_eq!(bench.log(), ["I?5 5", "I+10 k"]);
    assert_eq!(bench.stats().duplicate, 5);
    // The same without another packet.
    bench.s(ACK, 1, 14, b"").pass(0.02).expire();
    assert_eq!(bench.log(), ["I?11 2"]);
}

#[test]
fn f8_the_syn_ack_that_is_acknowledged_counts() {
    let mut bench = Bench::new();
    bench
        .c(SYN, 0, 0, b"")
        .s(SYN | ACK, 2_687_656_572, 1, b"")
        .s(SYN | ACK, 99, 1, b"");
    bench
        .c(ACK, 1, 100, b"get")
        .s(ACK, 100, 4, b"answer")
        .c(ACK, 4, 106, b"")
        .finish();
    assert_eq!(bench.stream(Side::Responder), "answer");
    assert_eq!((bench.stats().gaps, bench.stats().delivered), (0, 9));
    // The data shows it, if its acknowledgement was not captured.
    let mut bench = Bench::new();
    bench
        .c(SYN, 0, 0, b"")
        .s(SYN | ACK, 99, 1, b"")
        .s(SYN | ACK, 7_000_000, 1, b"");
    bench.s(ACK, 7_000_001, 1, b"answer").finish();
    assert_eq!(bench.stream(Side::Responder), "answer");
    assert_eq!(bench.stats().gaps, 0);
}

#[test]
fn f9_a_stream_without_gaps_reports_none_whatever_was_held_before() {
    let mut bench = Bench::new();
    bench.handshake();
    let mut expected = String::new();
    for n in 0..1000 {
        let at = 1 + 4 * n;
        bench.c(ACK, at + 2, 1, b"cd").c(ACK, at, 1, b"ab");
        expected += "abcd";
    }
    bench.finish();
    assert_eq!(bench.stream(Side::Initiator), expected);
    assert_eq!((bench.stats().gaps, bench.stats().missing), (0, 0));
}

#[test]
fn f10_copies_of_a_held_segment_are_delivered_once() {
    for (policy, expected) in [
        (OverlapPolicy::First, "abXX"),
        (OverlapPolicy::Last, "abcd"),
    ] {
        let mut bench = Bench::with(ReassemblyConfig::new().overlap(policy));
        bench.handshake();
        for bytes in [b"XX", b"XX", b"XX", b"cd"] {
            bench.c(ACK, 3, 1, bytes);
        }
        bench.c(ACK, 1, 1, b"ab");
        assert_eq!(bench.stream(Side::Initiator), expected);
        assert_eq!(
            bench.log().len(),
            3,
            "one report of a difference, and two of data"
        );
        assert_eq!(bench.stats().duplicate, 6);
    }
}

#[test]
fn f11_the_other_side_alone_makes_no_gap() {
    let mut bench = Bench::new();
    bench.handshake().c(ACK, 43, 1, b"behind");
    for n in 0..1000 {
        bench.s(ACK, 1 + n, 1, b"x");
    }
    assert_eq!(bench.stats().gaps, 0);
    bench.c(ACK, 1, 1, &[b'y'; 42]);
    assert_eq!(bench.stream(Side::Initiator), "y".repeat(42) + "behind");
    assert_eq!(bench.stats().gaps, 0);
}

#[test]
fn f12_a_fin_does_not_end_a_stream_before_its_bytes() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(FIN | ACK, 6, 1, b"world")
        .c(ACK, 1, 1, b"hello")
        .s(ACK, 1, 12, b"");
    assert_eq!(bench.log(), ["I+0 hello", "I+5 world", "I.10 finished"]);
    // A FIN without data, and an acknowledgement that overtook it.
    let mut bench = Bench::new();
    bench
        .handshake()
        .s(ACK, 1, 7, b"")
        .c(FIN | ACK, 6, 1, b"")
        .c(ACK, 1, 1, b"hello");
    assert_eq!(bench.log(), ["I+0 hello", "I.5 finished"]);
}

#[test]
fn f13_a_gap_is_as_long_as_what_is_missing() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1461, 1, &[b'b'; 1237])
        .c(ACK, 2698, 1, b"c");
    bench.pass(5.1).s(ACK, 1, 1, b"");
    let expected = [
        "I?0 1460".to_owned(),
        format!("I+1460 {}", "b".repeat(1237)),
        "I+2697 c".into(),
    ];
    assert_eq!(bench.log(), expected);
    assert_eq!(bench.stats().missing, 1460);
}

#[test]
fn f13_an_older_acknowledgement_that_comes_late_does_not_repeat_a_gap() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .s(ACK, 1, 7, b"")
        .pass(0.02)
        .c(ACK, 4, 1, b"def")
        .s(ACK, 1, 4, b"")
        .c(ACK, 7, 1, b"ghi")
        .s(ACK, 1, 10, b"")
        .c(ACK, 10, 1, b"jkl");
    assert_eq!(bench.log(), ["I+0 abc", "I?3 3", "I+6 ghi", "I+9 jkl"]);
    assert_eq!((bench.stats().gaps, bench.stats().duplicate), (1, 3));
}

#[test]
fn f14_a_segment_without_data_does_not_hide_data() {
    let mut bench = Bench::new();
    bench
        .handshake()
        .c(ACK, 1, 1, b"")
        .c(ACK, 1, 1, &[b'x'; 221])
        .c(ACK, 222, 1, b"y");
    assert_eq!(bench.stream(Side::Initiator), "x".repeat(221) + "y");
    assert_eq!(bench.stats().gaps, 0);
}

#[test]
fn f15_a_keep_alive_changes_nothing() {
    let config = ReassemblyConfig::new()
        .overlap(OverlapPolicy::Last)
        .compare_delivered(1 << 16);
    let mut bench = Bench::with(config);
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .c(ACK, 3, 1, b"\xff")
        .c(ACK, 3, 1, b"")
        .c(ACK, 4, 1, b"d");
    assert_eq!(bench.log(), ["I+0 abc", "I+3 d"]);
    assert_eq!(
        (bench.stats().duplicate, bench.stats().inconsistencies),
        (1, 0)
    );
    // While bytes are held.
    bench
        .c(ACK, 7, 1, b"gh")
        .c(ACK, 8, 1, b"\xff")
        .c(ACK, 5, 1, b"ef");
    assert_eq!(bench.log(), ["I+4 ef", "I+6 gh"]);
    assert_eq!(
        (bench.stats().duplicate, bench.stats().inconsistencies),
        (2, 0)
    );
}

#[test]
fn f16_the_first_sequence_number_does_not_matter() {
    let conversation = |client: u32, server: u32| {
        let mut bench = Bench::new();
        bench.shift = [client, server];
        bench
            .handshake()
            .c(ACK, 4, 1, b"def")
            .c(ACK, 1, 1, b"abc")
            .s(ACK, 3, 7, b"yz");
        bench
            .s(ACK, 1, 7, b"wx")
            .s(ACK, 7, 7, b"late")
            .pass(6.0)
            .s(ACK, 11, 7, b"!");
        bench
            .c(FIN | ACK, 7, 12, b"")
            .s(FIN | ACK, 12, 8, b"")
            .c(ACK, 8, 13, b"");
        assert_eq!(bench.stream(Side::Initiator), "abcdef");
        assert_eq!(bench.stream(Side::Responder), "wxyz..late!");
        bench.log()
    };
    let expected = conversation(0, 0);
    for client in [
        0,
        1,
        (1 << 31) - 1,
        1 << 31,
        u32::MAX - 6,
        u32::MAX - 1,
        u32::MAX,
    ] {
        for server in [
            0,
            1,
            (1 << 31) - 1,
            1 << 31,
            u32::MAX - 6,
            u32::MAX - 1,
            u32::MAX,
        ] {
            assert_eq!(conversation(client, server), expected, "{client} {server}");
        }
    }
}

#[test]
fn f17_a_byte_far_ahead_costs_a_byte() {
    let mut bench = Bench::new();
    bench.handshake().c(ACK, 1 + (1 << 30), 1, b"x");
    assert!(bench.stats().memory < 256, "{}", bench.stats().memory);
    for n in 0..1024 {
        bench.c(ACK, 1 + n, 1, b"y").s(ACK, 1, 2 + n, b"");
    }
    assert_eq!(bench.stream(Side::Initiator), "y".repeat(1024));
    assert!(bench.stats().memory_peak < 256);
    // The receiver contradicts, so the deadline makes no gap of it.
    bench
        .pass(6.0)
        .s(ACK, 1, 1025, b"")
        .pass(6.0)
        .c(ACK, 1025, 1, b"z")
        .finish();
    assert_eq!(bench.stream(Side::Initiator), "y".repeat(1024) + "z");
    assert_eq!((bench.stats().gaps, bench.stats().discarded.forged), (0, 1));
}

#[test]
fn f18_two_contents_for_a_range_are_reported() {
    // Held bytes, whichever win.
    for policy in [
        OverlapPolicy::First,
        OverlapPolicy::Last,
        OverlapPolicy::Linux,
    ] {
        let mut bench = Bench::with(ReassemblyConfig::new().overlap(policy));
        bench
            .handshake()
            .c(ACK, 11, 1, b"abcdef")
            .c(ACK, 11, 1, b"abXXef");
        assert_eq!(bench.log(), ["I!12..14"]);
    }
    // Delivered bytes.
    let mut bench = Bench::with(ReassemblyConfig::new().compare_delivered(1024));
    bench
        .handshake()
        .c(ACK, 1, 1, b"abc")
        .c(ACK, 4, 1, b"def")
        .c(ACK, 2, 1, b"bXdefg");
    assert_eq!(bench.log(), ["I+0 abc", "I+3 def", "I!2..3", "I+6 g"]);
}

#[test]
fn f19_one_direction_without_a_beginning_is_delivered() {
    let mut bench = Bench::new();
    bench.c(ACK, 5000, 1, b"abc").c(ACK, 5005, 1, b"fgh");
    assert_eq!(bench.log(), ["I+0 abc"]);
    assert!(bench.streams.visitor().mid_stream);
    bench.pass(5.1).c(ACK, 5008, 1, b"i").finish();
    let expected = [
        "I?3 2",
        "I+5 fgh",
        "I+8 i",
        "I.9 source-ended",
        "R.0 source-ended",
    ];
    assert_eq!(bench.log()[..5], expected);
}
