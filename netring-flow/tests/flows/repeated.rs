//! Repetition starts no new flow: repeated SYNs, and segments long after a close.

use netring_flow::{EndReason, Timeouts, TrackerConfig};

use crate::common::{ACK, Bench, CLIENT, FIN, Frames, RST, SERVER, SYN, seconds, tcp};

/// When Linux sends a SYN with six retries, and when it gives up.
const LINUX: [f64; 7] = [0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0];

#[test]
fn a_syn_that_is_repeated_with_growing_gaps_is_one_attempt() {
    let attempts: [&[f64]; 6] = [
        &LINUX,
        // Seven retries; Windows; BSD; any of them lost.
        &[0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 127.0],
        &[0.0, 3.0, 9.0, 21.0],
        &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 11.0, 19.0, 35.0, 67.0],
        &[0.0, 1.0, 3.0, 15.0, 31.0, 63.0],
        &[0.0, 3.0, 7.0, 31.0, 127.0],
    ];
    for times in attempts {
        for answered in [false, true] {
            let mut bench = Bench::new();
            for time in times {
                bench.client(*time, SYN, 1000, 0, b"");
                if answered {
                    // To a server whose answers do not arrive, or which refuses.
                    bench.server(time + 0.01, RST | ACK, 0, 1001, b"");
                }
                bench.expire(*time);
            }
            let last = times.iter().copied().fold(0.0, f64::max);
            // It ends nevertheless: after 5 s plus at most 96 s.
            bench.expire(last + 101.5);
            assert_eq!(bench.tracker.active_flows(), 0, "{times:?}");
            let ended = bench.ended();
            assert_eq!(ended.len(), 1, "{times:?}");
            assert_eq!(ended[0].stats.by_initiator().syn, times.len() as u64);
            bench.balance();
        }
    }
}

#[test]
fn a_syn_ack_that_is_repeated_belongs_to_the_same_attempt() {
    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    for time in LINUX {
        bench.server(time + 0.1, SYN | ACK, 9000, 1001, b"");
    }
    assert_eq!(bench.story(), [(EndReason::SourceEnded, "Sht".into())]);
}

#[test]
fn the_last_syn_of_an_attempt_may_succeed() {
    let mut bench = Bench::new();
    for time in LINUX {
        bench.client(time, SYN, 1000, 0, b"");
    }
    bench.server(63.1, SYN | ACK, 9000, 1001, b"");
    bench.client(63.2, ACK, 1001, 9001, b"");
    // It then has the timeout of any other.
    bench.expire(63.2 + 299.9);
    assert_eq!(bench.tracker.active_flows(), 1);
    bench.expire(63.2 + 300.3);
    assert_eq!(bench.tracker.active_flows(), 0);
    assert_eq!(bench.story(), [(EndReason::IdleTimeout, "SThA".into())]);
}

#[test]
fn one_syn_has_its_five_seconds_and_another_number_is_another_attempt() {
    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    bench.expire(5.3);
    assert_eq!(bench.tracker.active_flows(), 0);

    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    bench.client(1.0, SYN, 1000, 0, b"");
    // Its five seconds plus 6 s; an attempt with another number comes before that, and starts a
    // flow of its own.
    bench.client(7.5, SYN, 2000, 0, b"");
    bench.expire(12.8);
    assert_eq!(bench.tracker.active_flows(), 0);
    let ended = bench.ended();
    assert_eq!(ended.len(), 2);
    assert_eq!(ended[0].stats.packets(), 2);
}

#[test]
fn repeated_attempts_make_room_first_in_a_flood() {
    let mut bench = Bench::with(TrackerConfig::new().max_flows(160));
    let client = |n: u32| format!("10.0.{}.{}:5000", n >> 8, n & 255);
    for n in 0..100 {
        for time in [0.0, 1.0, 3.0, 7.0] {
            bench.frame(time, &tcp(&client(n), SERVER, 1, 0, SYN, b""));
        }
    }
    assert_eq!(bench.tracker.active_flows(), 100);
    // 1.3 s after their last SYN: more than a quarter of 5 s.
    for n in 1000..1160 {
        bench.frame(8.3, &tcp(&client(n), SERVER, 1, 0, SYN, b""));
        assert!(bench.tracker.active_flows() <= 160);
    }
    let stats = bench.tracker.stats();
    assert_eq!(stats.ended.emergency, stats.ended.total());
    assert_eq!(stats.ended.table_full, 0);
}

/// A connection that closes at 1.2 s.
fn closed(bench: &mut Bench) {
    bench.handshake(0.0, 1000, 9000);
    bench.close(1.18, 1000, 9000);
}

#[test]
fn what_trails_the_linger_starts_nothing_and_is_counted() {
    for together in [false, true] {
        for flags in [ACK, FIN | ACK, RST, RST | ACK, FIN, 0] {
            for time in [6.3, 9.5, 60.0, 240.0] {
                let mut bench = Bench::new();
                closed(&mut bench);
                let late = tcp(CLIENT, SERVER, 1002, 9002, flags, b"");
                if together {
                    bench
                        .tracker
                        .track_batch(&Frames(&[(time, late)]), &mut bench.events);
                } else {
                    bench.frame(time, &late);
                }
                assert_eq!(bench.story(), [(EndReason::Finished, "ShAFf".into())]);
                let stats = bench.tracker.stats();
                assert_eq!(stats.untracked.after_close, 1, "{flags} at {time}");
                assert_eq!((stats.packets, stats.tracked), (7, 6));
            }
        }
    }
}

#[test]
fn what_can_start_a_connection_starts_one_after_a_close() {
    for (flags, data) in [
        (SYN, &b""[..]),
        (SYN | ACK, b""),
        (ACK, b"data"),
        (FIN | ACK, b"data"),
    ] {
        let mut bench = Bench::new();
        closed(&mut bench);
        bench.client(9.5, flags, 1002, 9002, data);
        bench.finish();
        assert_eq!(bench.ended().len(), 2, "{flags}");
        assert_eq!(bench.tracker.stats().untracked.total(), 0);
    }
    // Long after; another key; a connection that did not close.
    let mut bench = Bench::new();
    closed(&mut bench);
    bench.client(250.0, ACK, 1002, 9002, b"");
    bench.frame(251.0, &tcp("192.0.2.200:40001", SERVER, 1, 1, ACK, b""));
    bench.expire(600.0);
    bench.client(601.0, ACK, 1002, 9002, b"");
    assert_eq!(bench.tracker.stats().flows_started, 4);
    assert_eq!(bench.tracker.stats().untracked.total(), 0);
}

#[test]
fn a_reset_connection_is_remembered_too_and_by_its_last_packet() {
    let mut bench =
        Bench::with(TrackerConfig::new().timeouts(Timeouts::default().tcp_closing(seconds(100))));
    bench.handshake(0.0, 1000, 9000);
    bench.server(1.0, RST, 9001, 0, b"");
    // Nothing checked until an hour later: by then the close is not recent.
    bench.client(3600.0, ACK, 1001, 9001, b"");
    bench.finish();
    assert_eq!(bench.ended().len(), 2);
    assert_eq!(bench.ended()[0].reason, EndReason::Reset);
}
