//! What packet time does to flows.

use netring_flow::{Anomaly, EndReason, FlowEvent, Timeouts, TrackerConfig};
use proptest::prelude::*;

use crate::common::{ACK, Bench, CLIENT, Frames, RST, SERVER, SYN, at, seconds, udp};

/// Ends of flows in whole seconds after `at(0)`, with their reasons.
fn ends(bench: &Bench) -> Vec<(f64, EndReason)> {
    let elapsed = |time: netring_sys::Timestamp| time.saturating_since(at(0.0)).as_secs_f64();
    bench
        .ended()
        .iter()
        .map(|ended| (elapsed(ended.time).floor(), ended.reason))
        .collect()
}

#[test]
fn each_state_has_its_timeout() {
    use EndReason::{Finished, IdleTimeout, Reset};
    type Begin = fn(&mut Bench);
    let cases: [(Begin, f64, EndReason); 6] = [
        (|b| b.client(0.0, SYN, 1, 0, b""), 5.0, IdleTimeout),
        (|b| b.handshake(-0.01, 1, 1), 300.0, IdleTimeout),
        (
            |b| {
                b.handshake(-1.0, 1, 1);
                b.close(-0.02, 1, 1);
            },
            5.0,
            Finished,
        ),
        (|b| b.client(0.0, RST, 1, 0, b""), 5.0, Reset),
        (
            |b| b.frame(0.0, &udp(CLIENT, SERVER, b"")),
            60.0,
            IdleTimeout,
        ),
        (|b| b.frame(0.0, &icmp_echo()), 30.0, IdleTimeout),
    ];
    for (number, (begin, timeout, reason)) in cases.into_iter().enumerate() {
        let mut bench = Bench::new();
        begin(&mut bench);
        bench.expire(timeout - 0.01);
        assert_eq!(bench.tracker.active_flows(), 1, "case {number}");
        bench.expire(timeout + 0.3);
        assert_eq!(bench.tracker.active_flows(), 0, "case {number}");
        assert_eq!(bench.ended()[0].reason, reason, "case {number}");
        bench.balance();
    }
}

fn icmp_echo() -> Vec<u8> {
    let mut bytes = Vec::new();
    etherparse::PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
        .icmpv4_echo_request(1, 1)
        .write(&mut bytes, b"ping")
        .unwrap();
    bytes
}

#[test]
fn a_key_can_have_a_timeout_of_its_own() {
    let mut bench = Bench::new();
    bench.tracker.set_key_timeout(|key| match key.b().port() {
        40_000 => Some(seconds(2)),
        40_001 => Some(seconds(900)),
        _ => None,
    });
    let ports = [
        "192.0.2.200:40000",
        "192.0.2.200:40001",
        "192.0.2.200:40002",
    ];
    for port in ports {
        bench.frame(0.0, &udp(port, SERVER, b""));
    }
    // It applies to a connection from the end of its handshake until it is closed.
    bench.handshake(0.0, 1, 1);
    for (time, left) in [
        (1.9, 4),
        (2.4, 2),
        (59.9, 2),
        (60.3, 1),
        (899.9, 1),
        (900.3, 0),
    ] {
        bench.expire(time);
        assert_eq!(bench.tracker.active_flows(), left, "at {time}");
    }
    // Nothing checked it, but it is another flow nevertheless.
    bench.frame(1000.0, &udp(ports[0], SERVER, b""));
    bench.frame(1002.1, &udp(ports[0], SERVER, b""));
    assert_eq!(bench.tracker.stats().flows_started, 6);
    bench.finish();
}

#[test]
fn a_packet_postpones_the_end() {
    let mut bench = Bench::new();
    for step in 0..10 {
        bench.frame(f64::from(step) * 50.0, &udp(CLIENT, SERVER, b""));
        bench.expire(f64::from(step) * 50.0 + 49.0);
    }
    assert_eq!(bench.tracker.active_flows(), 1);
    bench.expire(511.0);
    assert_eq!(ends(&bench), [(511.0, EndReason::IdleTimeout)]);
    assert_eq!(bench.ended()[0].stats.packets(), 10);
}

#[test]
fn a_packet_after_the_timeout_starts_another_flow_even_unchecked() {
    let mut bench = Bench::new();
    bench.frame(0.0, &udp(CLIENT, SERVER, b""));
    bench.frame(61.0, &udp(SERVER, CLIENT, b""));
    bench.finish();
    let ended = bench.ended();
    assert_eq!(ended.len(), 2);
    assert_eq!(ended[0].stats.packets(), 1);
    assert_ne!(ended[0].stats.initiator, ended[1].stats.initiator);
}

#[test]
fn the_time_of_packets_alone_ends_flows() {
    let mut bench = Bench::new();
    for n in 0..1000 {
        bench.frame(0.0, &udp(&format!("10.0.0.1:{}", 1000 + n), SERVER, b""));
    }
    // One other flow continues for 122 s; nothing calls `expire`. Of its packets, 600 come after
    // the others are due.
    for step in 0..1200 {
        bench.frame(f64::from(step) * 0.1 + 2.0, &udp(CLIENT, SERVER, b""));
    }
    assert_eq!(bench.tracker.active_flows(), 1);
    bench.balance();
}

#[test]
fn the_host_clock_ends_nothing() {
    let mut bench = Bench::new();
    bench.frame(0.0, &udp(CLIENT, SERVER, b""));
    std::thread::sleep(std::time::Duration::from_millis(5));
    // The packet is years old; only packet time passes.
    bench.expire(0.0);
    bench.frame(59.0, &udp(CLIENT, SERVER, b""));
    assert_eq!(bench.tracker.active_flows(), 1);
    bench.finish();
    assert_eq!(bench.ended().len(), 1);
}

#[test]
fn a_flow_that_lives_for_long_is_reported_and_goes_on() {
    let mut bench = Bench::new();
    for minute in 0..100 {
        let time = f64::from(minute) * 60.0;
        bench.client(time, ACK, 1001, 1, b"");
        bench.expire(time);
    }
    let ticks: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| match event {
            FlowEvent::Tick { time, stats, .. } => Some((*time, stats.packets())),
            _ => None,
        })
        .collect();
    let due = |n: f64| at(n * 1800.0 + if n > 0.0 { 60.0 } else { 0.0 });
    assert_eq!(ticks.len(), 3, "{ticks:?}");
    for (n, (time, packets)) in ticks.iter().enumerate() {
        // In the first minute after it is due: that is when time advances here.
        assert!(*time >= at((n + 1) as f64 * 1800.0), "{time}");
        assert!(*time <= due((n + 1) as f64 + 0.1), "{time}");
        assert!((30 * (n as u64 + 1)..=31 * (n as u64 + 1) + 2).contains(packets));
    }
    bench.finish();
    assert_eq!(bench.ended()[0].stats.packets(), 100);
    assert_eq!(bench.tracker.stats().ticks, 3);
}

#[test]
fn never_is_never() {
    let mut bench = Bench::with(TrackerConfig::new().timeouts(Timeouts::never()));
    bench.client(0.0, SYN, 1, 0, b"");
    bench.frame(0.0, &udp(CLIENT, SERVER, b""));
    let far = netring_sys::Timestamp::from_nanos(i64::MAX, netring_sys::Clock::Unknown);
    while bench.tracker.expire(far, &mut bench.events) {}
    assert_eq!(bench.tracker.active_flows(), 2);
    bench.finish();
    assert!(
        bench
            .ended()
            .iter()
            .all(|e| e.reason == EndReason::SourceEnded)
    );
}

#[test]
fn expiry_keeps_to_its_budget_and_takes_no_memory() {
    let mut bench = Bench::new();
    for n in 0..50_000_u32 {
        let from = format!("10.{}.{}.1:{}", n >> 16, (n >> 8) & 255, 1000 + (n & 255));
        bench.frame(f64::from(n) * 1e-6, &udp(&from, SERVER, b""));
    }
    bench.events = Vec::with_capacity(2048);
    let (mut calls, mut ended) = (0, 0);
    loop {
        let more = bench.tracker.expire(at(100.0), &mut bench.events);
        assert!(bench.events.len() <= 256, "{}", bench.events.len());
        ended += bench.events.len();
        bench.events.clear();
        calls += 1;
        if !more {
            break;
        }
    }
    assert_eq!(ended, 50_000);
    assert_eq!(bench.tracker.active_flows(), 0);
    assert!(calls >= 49, "{calls}");
}

#[test]
fn packets_that_are_late_count_and_end_nothing() {
    let mut bench = Bench::new();
    // Two captures whose clocks differ by 20 s, read in turn: more than the timeout of a half-open
    // connection.
    for step in 0..100 {
        let time = f64::from(step) * 0.1;
        bench.frame(time + 20.0, &udp(CLIENT, SERVER, b""));
        bench.client(time, SYN, 1, 0, b"");
    }
    bench.finish();
    let ended = bench.ended();
    assert_eq!(ended.len(), 2);
    let late = ended
        .iter()
        .find(|ended| ended.key.protocol() == 6)
        .unwrap();
    assert_eq!(late.stats.packets(), 100);
    assert_eq!((late.stats.first(), late.stats.last()), (at(0.0), at(9.9)));
    assert_eq!(bench.tracker.stats().time_went_back, 0);
}

#[test]
fn one_packet_of_the_far_future_stops_no_clock() {
    let mut bench = Bench::new();
    bench.frame(0.0, &udp(CLIENT, SERVER, b""));
    bench.frame(1e8, &udp("10.9.9.9:9", SERVER, b""));
    bench.frame(1.0, &udp("10.1.1.1:1", SERVER, b""));
    assert_eq!(bench.tracker.latest(), Some(at(1.0)));
    // Timeouts restart here, also for the flow that seems to be in the future.
    bench.expire(60.9);
    assert_eq!(bench.tracker.active_flows(), 2);
    bench.expire(61.3);
    assert_eq!(bench.tracker.active_flows(), 0);
    let reported = bench.count(|event| {
        matches!(
            event,
            FlowEvent::Anomaly {
                kind: Anomaly::TimeWentBack,
                ..
            }
        )
    });
    assert_eq!((reported, bench.tracker.stats().time_went_back), (1, 1));
    bench.balance();
}

#[test]
fn idle_time_counts_from_the_time_that_went_back() {
    // Each way to advance the time: by packets of the flow itself, by those of others, by batches.
    for together in [false, true] {
        let mut bench = Bench::new();
        let own = udp(CLIENT, SERVER, b"");
        let other = udp("10.1.1.1:1", SERVER, b"");
        // One flow has packets before and after time goes back by two hours, another only before.
        let mut frames = vec![
            (7200.0, own.clone()),
            (7200.0, udp("10.2.2.2:2", SERVER, b"")),
            (7201.0, own.clone()),
            (0.0, own.clone()),
            (1.0, own.clone()),
        ];
        frames.extend((2..60).map(|n| (f64::from(n), other.clone())));
        let feed = |bench: &mut Bench, frames: &[(f64, Vec<u8>)]| {
            if together {
                let Bench { tracker, events } = bench;
                tracker.track_batch(&Frames(frames), events);
            } else {
                for (time, frame) in frames {
                    bench.frame(*time, frame);
                }
            }
        };
        feed(&mut bench, &frames);
        assert_eq!(bench.tracker.active_flows(), 3);
        assert_eq!(bench.tracker.stats().time_went_back, 1);
        // 60 s after it went back, and 60.4 s after the last packet of each.
        feed(&mut bench, &[(60.4, other.clone()), (60.41, other.clone())]);
        assert_eq!(bench.tracker.active_flows(), 2);
        feed(&mut bench, &[(61.4, own.clone()), (61.41, other)]);
        assert_eq!(bench.tracker.stats().flows_started, 4);
        let ended = ends(&bench);
        assert_eq!(
            ended,
            [
                (60.0, EndReason::IdleTimeout),
                (61.0, EndReason::IdleTimeout)
            ]
        );
        bench.finish();
        assert_eq!(bench.ended()[1].stats.packets(), 4);
    }
}

#[test]
fn the_ends_of_time_are_times() {
    let mut bench = Bench::new();
    for nanos in [
        i64::MIN,
        i64::MAX,
        i64::MIN,
        0,
        i64::MIN + 1,
        i64::MAX - 1,
        -1,
    ] {
        let frame = udp(CLIENT, SERVER, b"");
        let time = netring_sys::Timestamp::from_nanos(nanos, netring_sys::Clock::Unknown);
        let packet = netring_sys::Packet::new(&frame, time, netring_sys::LinkType::ETHERNET);
        bench.tracker.track(&packet, &mut bench.events);
        bench.tracker.expire(time, &mut bench.events);
    }
    bench.finish();
}

proptest! {
    /// A list of last packet times is the oracle: a flow ends no earlier than its timeout and at
    /// most 0.3 s after time passed it, and the flows are those into which the oracle splits the
    /// packets.
    #[test]
    fn flows_end_when_a_list_says(
        steps in prop::collection::vec((0_u16..40, 0_u32..30_000), 1..300),
    ) {
        let timeouts = Timeouts::default().udp(seconds(60));
        let mut bench = Bench::with(TrackerConfig::new().timeouts(timeouts));
        let mut last: Vec<Option<u64>> = vec![None; 40];
        let (mut now, mut flows) = (0_u64, 0);
        for (port, later) in steps {
            now += u64::from(later);
            bench.expire(now as f64 / 1000.0);
            for time in &mut last {
                // In milliseconds; between the two, either result is right.
                if time.is_some_and(|time| now >= time + 60_300) {
                    *time = None;
                }
            }
            let certain = last.iter().filter(|t| t.is_some_and(|t| now < t + 60_000)).count();
            let possible = last.iter().flatten().count();
            let active = bench.tracker.active_flows();
            prop_assert!((certain..=possible).contains(&active), "{certain} {active} {possible}");

            let before = last[usize::from(port)];
            if before.is_none_or(|time| now >= time + 60_000) {
                flows += 1;
            }
            last[usize::from(port)] = Some(now);
            bench.frame(now as f64 / 1000.0, &udp(&format!("10.0.0.1:{}", port + 1), SERVER, b""));
            prop_assert_eq!(bench.tracker.stats().flows_started, flows);
        }
        bench.finish();
    }
}
