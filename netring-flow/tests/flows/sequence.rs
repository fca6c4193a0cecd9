//! What was sent before, and what was merely overtaken. Comments note where Wireshark decides by
//! time.

use crate::common::{ACK, Bench, FIN, SYN};

/// Retransmitted and out of order, of the client and of the server; and the history.
fn counted(bench: &mut Bench) -> ([(u64, u64); 2], String) {
    bench.finish();
    let ended = bench.ended();
    assert_eq!(ended.len(), 1);
    let stats = &ended[0].stats;
    let both = [stats.by_initiator(), stats.by_responder()]
        .map(|sent| (sent.retransmitted, sent.out_of_order));
    (both, ended[0].history.clone())
}

/// What the client sends after a handshake: the offset from its SYN, and the length.
fn sent(segments: &[(u32, usize)], base: u32) -> ((u64, u64), String) {
    let mut bench = Bench::new();
    let next = |n: u32| base.wrapping_add(n);
    bench.client(0.0, SYN, base, 0, b"");
    bench.server(0.01, SYN | ACK, 9000, next(1), b"");
    bench.client(0.02, ACK, next(1), 9001, b"");
    for (n, (at, len)) in segments.iter().enumerate() {
        let time = 1.0 + n as f64 * 0.001;
        bench.client(time, ACK, next(*at), 9001, &vec![7; *len]);
    }
    let ([client, server], history) = counted(&mut bench);
    assert_eq!(server, (0, 0));
    (client, history)
}

#[test]
fn data_that_was_overtaken_is_out_of_order_and_data_that_came_before_a_retransmission() {
    type Case = (&'static [(u32, usize)], (u64, u64));
    let cases: [Case; 13] = [
        (&[(1, 100), (101, 100), (201, 100)], (0, 0)),
        (&[(1, 100), (201, 100), (101, 100)], (0, 1)),
        (&[(201, 100), (101, 100), (1, 100)], (0, 2)),
        (&[(201, 100), (1, 100), (101, 100)], (0, 2)),
        // Two holes, filled in reverse order.
        (
            &[(1, 100), (201, 100), (401, 100), (301, 100), (101, 100)],
            (0, 2),
        ),
        (&[(1, 100), (1, 100)], (1, 0)),
        (&[(1, 100), (101, 100), (1, 100), (101, 100)], (2, 0)),
        // The hole is filled, and then filled again.
        (&[(1, 100), (201, 100), (101, 100), (101, 100)], (1, 1)),
        // A hole that is filled in pieces, the last of which reaches beyond it.
        (&[(1, 100), (301, 100), (101, 50), (151, 150)], (0, 2)),
        (&[(1, 100), (151, 100), (101, 100)], (1, 0)),
        // Old and new data in one, across the end.
        (&[(1, 100), (51, 100), (151, 10)], (1, 0)),
        // Keep-alives, with a byte and without one, are neither.
        (&[(1, 100), (100, 0), (100, 1), (100, 1), (101, 50)], (0, 0)),
        // A probe of a closed window, again, and then the data that begins with its byte.
        (
            &[(1, 100), (101, 1), (101, 1), (101, 50), (151, 50)],
            (0, 0),
        ),
    ];
    for (segments, expected) in cases {
        // Also if the numbers wrap.
        for base in [1000, u32::MAX - 130, u32::MAX - 210] {
            let (client, history) = sent(segments, base);
            assert_eq!(client, expected, "{segments:?} from {base}");
            assert_eq!(history.contains('T'), expected.0 != 0, "{segments:?}");
        }
    }
}

#[test]
fn a_fin_that_comes_early_makes_no_retransmissions() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.server(1.0, FIN | ACK, 9301, 1001, b"");
    bench.client(1.1, FIN | ACK, 1001, 9001, b"");
    for n in 0..3 {
        bench.server(1.2 + f64::from(n), ACK, 9001 + n * 100, 1001, &[7; 100]);
    }
    bench.client(4.3, ACK, 1002, 9302, b"");
    let (both, history) = counted(&mut bench);
    assert_eq!(both, [(0, 0), (0, 3)]);
    assert_eq!(history, "ShAfFd");
}

#[test]
fn repeated_syns_and_fins_are_retransmissions() {
    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    bench.client(1.0, SYN, 1000, 0, b"");
    bench.server(1.1, SYN | ACK, 9000, 1001, b"");
    bench.server(2.1, SYN | ACK, 9000, 1001, b"");
    bench.client(2.2, ACK, 1001, 9001, b"");
    bench.client(3.0, FIN | ACK, 1001, 9001, b"bye");
    bench.client(4.0, FIN | ACK, 1001, 9001, b"bye");
    bench.client(5.0, FIN | ACK, 1004, 9001, b"");
    let (both, history) = counted(&mut bench);
    assert_eq!(both, [(3, 0), (1, 0)]);
    assert_eq!(history, "SThtAFD");
}

#[test]
fn what_is_acknowledged_or_asked_for_three_times_is_a_retransmission_though_it_was_not_seen() {
    // The first was lost before the capture point: the receiver requests it, like Wireshark's fast
    // retransmission.
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.server(1.0, ACK, 9001, 1001, &[7; 100]);
    bench.client(1.001, ACK, 1001, 9101, b"");
    for n in 2..5 {
        bench.server(1.0, ACK, 9001 + n * 100, 1001, &[7; 100]);
        bench.client(1.001, ACK, 1001, 9101, b"");
    }
    bench.server(1.01, ACK, 9101, 1001, &[7; 100]);
    assert_eq!(counted(&mut bench).0, [(0, 0), (1, 0)]);

    // The receiver saw it, the capture did not, and it comes again: spurious.
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.server(1.0, ACK, 9101, 1001, &[7; 100]);
    bench.client(1.001, ACK, 1001, 9201, b"");
    bench.server(1.01, ACK, 9001, 1001, &[7; 100]);
    assert_eq!(counted(&mut bench).0, [(0, 0), (1, 0)]);
}

#[test]
fn data_known_only_by_its_acknowledgements_was_missing() {
    // The capture lost a segment of the client; the next one has no data, and then the lost one
    // arrives late.
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench.client(1.0, ACK, 1101, 9001, b"");
    bench.client(1.001, ACK, 1001, 9001, &[7; 100]);
    bench.client(1.002, ACK, 1101, 9001, &[7; 100]);
    assert_eq!(counted(&mut bench).0, [(0, 1), (0, 0)]);
}
