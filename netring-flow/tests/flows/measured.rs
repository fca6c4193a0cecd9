//! What is measured of a flow: round-trip times and closed windows, and the bound in bytes.

use std::time::Duration;

use netring_flow::extract::FiveTuple;
use netring_flow::{FlowTracker, RoundTrip, TrackerConfig};

use crate::common::{ACK, Bench, CLIENT, FIN, RST, SERVER, SYN, side, tcp, udp};

fn measuring() -> Bench {
    Bench::with(TrackerConfig::new().round_trips(true))
}

/// What was measured of the client's segments, and of the server's.
fn trips(bench: &mut Bench) -> [Option<RoundTrip>; 2] {
    bench.finish();
    let flow = bench.ended().remove(0);
    let sent = |end| flow.stats.sent(side(flow.key, end)).round_trip;
    [sent(CLIENT), sent(SERVER)]
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn the_handshake_and_data_are_timed_in_each_direction() {
    let mut bench = measuring();
    // 5 ms to the server and back, 5 ms to the client and back.
    bench.handshake(0.0, 100, 200);
    bench.client(1.0, ACK, 101, 201, b"question");
    bench.server(1.021, ACK, 201, 109, b"");
    bench.server(2.0, ACK, 201, 109, b"answer");
    bench.client(2.003, ACK, 109, 207, b"");
    let [client, server] = trips(&mut bench).map(Option::unwrap);
    assert_eq!((client.handshake(), client.min()), (Some(ms(5)), ms(5)));
    // 5 ms and an eighth of the 16 ms more.
    assert_eq!((client.smoothed(), client.samples()), (ms(7), 2));
    assert_eq!((server.handshake(), server.min()), (Some(ms(5)), ms(3)));
    assert_eq!(
        (server.smoothed(), server.samples()),
        (Duration::from_micros(4750), 2)
    );
}

#[test]
fn nothing_is_measured_unless_asked_for() {
    let mut bench = Bench::new();
    bench.handshake(0.0, 100, 200);
    assert_eq!(trips(&mut bench), [None, None]);
}

#[test]
fn what_was_sent_twice_is_not_timed() {
    let mut bench = measuring();
    bench.client(0.0, SYN, 100, 0, b"");
    bench.client(1.0, SYN, 100, 0, b"");
    bench.server(1.5, SYN | ACK, 200, 101, b"");
    bench.client(1.6, ACK, 101, 201, b"");
    bench.client(2.0, ACK, 101, 201, b"data");
    bench.client(3.0, ACK, 101, 201, b"data");
    bench.server(3.1, ACK, 201, 105, b"");
    // A part of it is acknowledged: not yet.
    bench.client(4.0, ACK, 105, 201, b"data");
    bench.server(4.1, ACK, 201, 107, b"");
    bench.server(4.2, ACK, 201, 109, b"");
    let [client, server] = trips(&mut bench).map(Option::unwrap);
    assert_eq!(
        (client.handshake(), client.samples(), client.min()),
        (None, 1, ms(200))
    );
    assert_eq!((server.handshake(), server.samples()), (Some(ms(100)), 1));
}

#[test]
fn one_direction_resets_and_time_that_goes_back_measure_nothing() {
    let mut bench = measuring();
    bench.client(5.0, ACK, 101, 201, b"data");
    // Nothing to wait for, but a later acknowledgement of what was sent before the reset.
    bench.server(4.0, ACK, 201, 105, b"");
    bench.client(5.0, ACK, 105, 201, b"data");
    bench.server(6.0, RST | ACK, 201, 109, b"");
    assert_eq!(trips(&mut bench), [None, None]);
}

#[test]
fn a_batch_of_other_flows_leaves_the_measurements_of_each_alone() {
    let mut bench = measuring();
    for flow in 0..3000_u32 {
        let from = format!("10.0.{}.{}:1000", flow >> 8, flow & 255);
        bench.frame(0.0, &tcp(&from, SERVER, 1, 0, SYN, b""));
    }
    for flow in 0..3000_u32 {
        let to = format!("10.0.{}.{}:1000", flow >> 8, flow & 255);
        let after = 0.001 + f64::from(flow) * 1e-6;
        bench.frame(after, &tcp(SERVER, &to, 7, 2, SYN | ACK, b""));
    }
    bench.finish();
    let flows = bench.ended();
    assert_eq!(flows.len(), 3000);
    for flow in flows {
        let trip = flow.stats.by_initiator().round_trip.unwrap();
        let number = (flow.flow - 1) as u32;
        assert_eq!(trip.min().as_micros(), u128::from(1000 + number));
        assert_eq!(flow.stats.by_responder().round_trip, None);
    }
}

fn closed(from: &str, to: &str, sequence: u32, flags: u8) -> Vec<u8> {
    let mut frame = tcp(from, to, sequence, 201, flags, b"");
    frame[48..50].fill(0);
    frame
}

#[test]
fn windows_of_0_are_counted_in_each_direction_but_not_in_segments_that_open_or_close() {
    let mut bench = Bench::new();
    bench.frame(0.0, &closed(CLIENT, SERVER, 100, SYN));
    bench.server(0.1, SYN | ACK, 200, 101, b"");
    bench.client(0.2, ACK, 101, 201, b"");
    for second in 1..=3 {
        bench.frame(f64::from(second), &closed(CLIENT, SERVER, 101, ACK));
    }
    bench.frame(4.0, &closed(CLIENT, SERVER, 101, FIN | ACK));
    bench.frame(5.0, &closed(SERVER, CLIENT, 201, RST | ACK));
    bench.finish();
    let stats = bench.ended()[0].stats;
    assert_eq!(stats.by_initiator().zero_windows, 3);
    assert_eq!(stats.by_responder().zero_windows, 0);
    assert_eq!(stats.packets(), 8);
}

#[test]
fn the_bound_in_bytes_holds_as_that_in_flows_does() {
    use crate::counting::allocated;
    for (config, each) in [
        (TrackerConfig::new(), 284),
        (TrackerConfig::new().round_trips(true), 380),
    ] {
        let bytes = 40_000 * each + 1;
        let config = config.max_bytes(bytes);
        let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
        let mut events = Vec::new();
        let before = allocated();
        for flow in 0..60_000_u32 {
            let from = format!("10.0.{}.{}:1000", flow >> 8, flow & 255);
            let packet = udp(&from, SERVER, b"");
            let packet = netring_sys::Packet::new(
                &packet,
                crate::common::at(0.0),
                netring_sys::LinkType::ETHERNET,
            );
            tracker.track(&packet, &mut events);
            events.clear();
        }
        events = Vec::new();
        assert_eq!(tracker.active_flows(), 40_000);
        assert_eq!(tracker.stats().ended.table_full, 20_000);
        // Records are reserved by 16,384, measurements by 4096.
        let reserved = 16_384 * 236 + 4096 * 96;
        assert!(
            allocated() - before <= bytes + reserved,
            "{}",
            allocated() - before
        );
        drop(events);
    }
}

#[test]
fn a_bound_in_bytes_below_one_flow_is_refused() {
    let config = |bytes| TrackerConfig::new().max_bytes(bytes);
    let tracker = |bytes| FlowTracker::with_config(FiveTuple::bidirectional(), config(bytes));
    assert!(tracker(284).is_ok());
    let why = tracker(283).unwrap_err().to_string();
    assert!(why.contains("max_bytes") && why.contains("284"), "{why}");
}
