//! A close is reported with the packet that completes it, and once.

use netring_flow::{EndReason, FlowEvent, TrackerConfig};

use crate::common::{ACK, Bench, FIN, Frames, RST, SYN, at, tcp};
use crate::common::{CLIENT, SERVER};

/// When connections were closed, in order: the flow, the time in tenths of a second, the reason.
fn closes(bench: &Bench) -> Vec<(u64, i64, EndReason)> {
    let closes: Vec<_> = bench.events.iter().filter_map(close).collect();
    assert_eq!(bench.tracker.stats().flows_closed, closes.len() as u64);
    closes
}

fn close(event: &FlowEvent<netring_flow::extract::FiveTupleKey>) -> Option<(u64, i64, EndReason)> {
    let FlowEvent::Closed {
        key,
        flow,
        time,
        reason,
    } = event
    else {
        return None;
    };
    assert_eq!(event.key(), Some(key));
    assert_eq!((event.flow(), event.time()), (Some(*flow), *time));
    let nanos = time.as_nanos() - at(0.0).as_nanos();
    Some((flow.get(), nanos / 100_000_000, *reason))
}

fn open() -> Bench {
    let mut bench = Bench::new();
    bench.handshake(0.0, 1000, 9000);
    bench
}

const FINISHED: EndReason = EndReason::Finished;

#[test]
fn a_fin_from_each_end_closes_with_the_last_acknowledgement() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    bench.server(1.1, FIN | ACK, 9001, 1002, b"");
    assert_eq!(closes(&bench), []);
    bench.client(1.2, ACK, 1002, 9002, b"");
    assert_eq!(closes(&bench), [(1, 12, FINISHED)]);
    assert_eq!(bench.ended().len(), 0);
    // It lingers as ever, and ends once with all of its packets.
    bench.expire(10.0);
    assert_eq!(bench.story(), [(FINISHED, "ShAFf".into())]);
    assert_eq!(bench.ended()[0].stats.packets(), 6);
    assert_eq!(closes(&bench), [(1, 12, FINISHED)]);
}

#[test]
fn the_end_that_closes_last_may_send_before_and_acknowledge_apart() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"request");
    bench.server(1.1, ACK, 9001, 1009, b"");
    bench.server(1.2, ACK, 9001, 1009, b"answer");
    bench.client(1.3, ACK, 1009, 9007, b"");
    bench.server(1.4, FIN | ACK, 9007, 1009, b"");
    // What is acknowledged does not have the FIN yet.
    bench.client(1.5, ACK, 1009, 9007, b"");
    assert_eq!(closes(&bench), []);
    bench.client(1.6, ACK, 1009, 9008, b"");
    assert_eq!(closes(&bench), [(1, 16, FINISHED)]);
}

#[test]
fn a_simultaneous_close_needs_both_acknowledgements() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    bench.server(1.1, FIN | ACK, 9001, 1001, b"");
    bench.client(1.2, ACK, 1002, 9002, b"");
    assert_eq!(closes(&bench), []);
    bench.server(1.3, ACK, 9002, 1002, b"");
    assert_eq!(closes(&bench), [(1, 13, FINISHED)]);
}

#[test]
fn a_retransmitted_fin_closes_once() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    bench.client(1.1, FIN | ACK, 1001, 9001, b"");
    bench.server(1.2, FIN | ACK, 9001, 1002, b"");
    bench.server(1.3, FIN | ACK, 9001, 1002, b"");
    assert_eq!(closes(&bench), []);
    bench.client(1.4, ACK, 1002, 9002, b"");
    bench.server(1.5, FIN | ACK, 9001, 1002, b"");
    bench.client(1.6, ACK, 1002, 9002, b"");
    assert_eq!(closes(&bench), [(1, 14, FINISHED)]);
}

#[test]
fn an_acknowledgement_may_overtake_the_fin_that_it_acknowledges() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    bench.client(1.1, ACK, 1002, 9002, b"");
    assert_eq!(closes(&bench), []);
    bench.server(1.2, FIN | ACK, 9001, 1002, b"");
    assert_eq!(closes(&bench), [(1, 12, FINISHED)]);
}

#[test]
fn sequence_numbers_wrap_between_the_fins_and_their_acknowledgements() {
    let mut bench = Bench::new();
    bench.handshake(0.0, u32::MAX - 1, u32::MAX - 3);
    bench.client(1.0, FIN | ACK, u32::MAX, u32::MAX - 2, b"");
    bench.server(1.1, FIN | ACK, u32::MAX - 2, 0, b"xyz");
    assert_eq!(closes(&bench), []);
    bench.client(1.2, ACK, 0, 1, b"");
    assert_eq!(closes(&bench), [(1, 12, FINISHED)]);
}

#[test]
fn an_accepted_rst_closes_at_once() {
    for by_client in [true, false] {
        let mut bench = open();
        if by_client {
            bench.client(1.0, RST, 1001, 0, b"");
        } else {
            bench.server(1.0, RST | ACK, 9001, 1001, b"");
        }
        assert_eq!(closes(&bench), [(1, 10, EndReason::Reset)]);
        // The other end answers; a kernel repeats its RST for each late segment.
        bench.client(1.1, RST, 1001, 0, b"");
        bench.server(1.2, RST, 9001, 0, b"");
        assert_eq!(closes(&bench).len(), 1);
        assert_eq!(bench.story()[0].0, EndReason::Reset);
    }
}

#[test]
fn a_refused_syn_is_closed() {
    let mut bench = Bench::new();
    bench.client(0.0, SYN, 1000, 0, b"");
    bench.server(0.1, RST | ACK, 0, 1001, b"");
    assert_eq!(closes(&bench), [(1, 1, EndReason::Reset)]);
}

#[test]
fn a_rst_outside_the_window_closes_nothing() {
    // Neither SYN offers a window scale, so the windows are known.
    let mut bench = open();
    bench.client(1.0, RST, 900_000_000, 0, b"");
    bench.server(1.1, RST, 900_000_000, 0, b"");
    assert_eq!(bench.tracker.stats().out_of_window, 2);
    assert_eq!(closes(&bench), []);
    // Nor does one between the FINs and the last acknowledgement.
    bench.client(1.2, FIN | ACK, 1001, 9001, b"");
    bench.server(1.3, FIN | ACK, 9001, 1002, b"");
    bench.client(1.4, RST, 900_000_000, 0, b"");
    assert_eq!(closes(&bench), []);
    bench.client(1.5, ACK, 1002, 9002, b"");
    assert_eq!(closes(&bench), [(1, 15, FINISHED)]);
}

#[test]
fn a_rst_in_place_of_the_last_acknowledgement_closes_and_changes_no_reason() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    bench.server(1.1, FIN | ACK, 9001, 1002, b"");
    bench.client(1.2, RST, 1002, 0, b"");
    assert_eq!(closes(&bench), [(1, 12, FINISHED)]);
    assert_eq!(bench.story(), [(FINISHED, "ShAFfR".into())]);
}

#[test]
fn a_half_closed_connection_is_not_closed() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    for n in 0..100 {
        let seconds = 2.0 + f64::from(n);
        bench.server(seconds, ACK, 9001 + n, 1002, b"x");
        bench.client(seconds + 0.1, ACK, 1002, 9002 + n, b"");
    }
    bench.expire(10_000.0);
    assert_eq!(bench.story(), [(EndReason::IdleTimeout, "ShAFd".into())]);
    assert_eq!(closes(&bench), []);
}

#[test]
fn without_the_last_acknowledgement_the_end_is_all_that_is_reported() {
    let mut bench = open();
    bench.client(1.0, FIN | ACK, 1001, 9001, b"");
    bench.server(1.1, FIN | ACK, 9001, 1002, b"");
    bench.expire(10.0);
    assert_eq!(closes(&bench), []);
    assert_eq!(bench.story(), [(FINISHED, "ShAFf".into())]);
}

#[test]
fn data_after_the_close_counts_in_the_flow_and_closes_nothing_again() {
    let mut bench = open();
    bench.close(1.0, 1000, 9000);
    bench.client(2.0, ACK, 1002, 9002, b"late");
    bench.server(2.1, RST, 9002, 0, b"");
    bench.client(2.2, ACK, 1002, 9002, b"late");
    assert_eq!(closes(&bench), [(1, 10, FINISHED)]);
    bench.finish();
    assert_eq!(bench.ended().len(), 1);
    assert_eq!(bench.ended()[0].stats.packets(), 9);
    assert_eq!(bench.ended()[0].reason, FINISHED);
}

#[test]
fn a_connection_that_opens_again_while_the_first_lingers_is_closed_on_its_own() {
    let mut bench = open();
    bench.close(1.0, 1000, 9000);
    bench.handshake(2.0, 700_000, 800_000);
    assert_eq!(bench.ended().len(), 1);
    bench.client(3.0, RST, 700_001, 0, b"");
    let expected = [(1, 10, FINISHED), (2, 30, EndReason::Reset)];
    assert_eq!(closes(&bench), expected);
    bench.finish();
    assert_eq!(bench.ended().len(), 2);
}

#[test]
fn ports_that_share_a_flow_are_closed_once() {
    let mut bench = Bench::with(TrackerConfig::new().split_port_reuse(false));
    bench.handshake(0.0, 1000, 9000);
    bench.close(1.0, 1000, 9000);
    bench.handshake(2.0, 700_000, 800_000);
    bench.close(3.0, 700_000, 800_000);
    assert_eq!(closes(&bench), [(1, 10, FINISHED)]);
}

#[test]
fn a_batch_reports_the_same() {
    let frames = [
        (0.0, tcp(CLIENT, SERVER, 1000, 0, SYN, b"")),
        (0.1, tcp(SERVER, CLIENT, 9000, 1001, SYN | ACK, b"")),
        (0.2, tcp(CLIENT, SERVER, 1001, 9001, ACK, b"")),
        (1.0, tcp(CLIENT, SERVER, 1001, 9001, FIN | ACK, b"")),
        (1.1, tcp(SERVER, CLIENT, 9001, 1002, FIN | ACK, b"")),
        (1.2, tcp(CLIENT, SERVER, 1002, 9002, ACK, b"")),
        (1.3, tcp(CLIENT, SERVER, 1002, 9002, ACK, b"")),
    ];
    let mut bench = Bench::new();
    bench
        .tracker
        .track_batch(&Frames(&frames), &mut bench.events);
    assert_eq!(closes(&bench), [(1, 12, FINISHED)]);
    let order: Vec<_> = bench.events.iter().map(std::mem::discriminant).collect();
    assert_eq!(order.len(), 3, "started, established, closed: {order:?}");
}
