//! Quiet traffic: however much time passes between two packets, flows end and are reported as they
//! are with more traffic.

use netring_flow::{EndReason, FlowEvent, Timeouts, TrackerConfig};

use crate::common::{Bench, CLIENT, Frames, SERVER, seconds, udp};

const GAPS: [u64; 14] = [
    1, 8, 9, 10, 20, 59, 61, 300, 549, 551, 1000, 3600, 7777, 86_400,
];

fn client(n: u64) -> String {
    format!("10.0.{}.{}:5000", n >> 8 & 255, n & 255)
}

#[test]
fn flows_end_within_three_tenths_of_a_second_of_packet_time_at_any_gap() {
    for gap in GAPS {
        let mut bench = Bench::new();
        for n in 0..400 {
            // Each packet is a flow of its own; a second one 0.3 s later advances the time.
            let now = (n * gap) as f64;
            bench.frame(now, &udp(&client(n), SERVER, b""));
            bench.frame(now + 0.3, &udp(&client(n), SERVER, b""));
            // Those whose last packet is less than 60 s old, by a list. None is between 60 and 60.3
            // s old.
            let alive = (0..=n).rev().take_while(|of| (n - of) * gap < 60).count();
            assert_eq!(bench.tracker.active_flows(), alive, "gap {gap}, packet {n}");
            bench.events.clear();
        }
    }
}

#[test]
fn they_end_so_within_a_batch_too() {
    for gap in GAPS {
        let frames: Vec<_> = (0..300)
            .map(|n| ((n * gap) as f64, udp(&client(n), SERVER, b"")))
            .collect();
        let mut bench = Bench::new();
        bench
            .tracker
            .track_batch(&Frames(&frames), &mut bench.events);
        let (mut alive, mut most) = (0_u64, 0);
        for event in &bench.events {
            match event {
                FlowEvent::Started { .. } => alive += 1,
                FlowEvent::Ended { .. } => alive -= 1,
                _ => {}
            }
            most = most.max(alive);
        }
        // A flow that is due at the very time of a packet ends with the next.
        assert!(most <= 60 / gap + 2, "gap {gap}: {most} at once");
        bench.finish();
    }
}

#[test]
fn a_few_hundred_flows_end_with_one_packet_and_more_by_budget() {
    for (flows, left) in [(250_u64, 0), (3000, 3000 - 256 - 2)] {
        let mut bench = Bench::new();
        for n in 0..flows {
            bench.frame(0.0, &udp(&client(n), SERVER, b""));
        }
        bench.frame(1000.0, &udp(CLIENT, SERVER, b""));
        assert_eq!(bench.tracker.active_flows() as u64, left + 1);
        let idle = |end: &crate::common::Ended| end.reason == EndReason::IdleTimeout;
        assert!(bench.ended().iter().all(idle));
        bench.balance();
    }
}

#[test]
fn every_tick_is_reported_at_any_gap() {
    for gap in GAPS {
        let timeouts = Timeouts::never().active(seconds(1800));
        let mut bench = Bench::with(TrackerConfig::new().timeouts(timeouts));
        let packets = (100_000 / gap).clamp(100, 8000);
        for n in 0..packets {
            bench.frame((n * gap) as f64, &udp(CLIENT, SERVER, b""));
        }
        let last = (packets - 1) * gap + 1;
        bench.frame(last as f64, &udp(CLIENT, SERVER, b""));
        let ticks = bench.count(|event| matches!(event, FlowEvent::Tick { .. }));
        assert_eq!(ticks, last / 1800, "gap {gap}");
        assert_eq!(bench.tracker.stats().ticks, ticks);
        bench.finish();
    }
}

#[test]
fn a_flow_that_ended_in_a_gap_was_reported_as_often_as_it_was_due() {
    let timeouts = Timeouts::default().udp(seconds(100)).active(seconds(30));
    let mut bench = Bench::with(TrackerConfig::new().timeouts(timeouts));
    bench.frame(0.0, &udp(CLIENT, SERVER, b""));
    bench.frame(20.0, &udp(CLIENT, SERVER, b""));
    // It ended at 120 s: reports at 30, 60, 90 and 120 s.
    bench.frame(5000.0, &udp("10.9.9.9:9", SERVER, b""));
    assert_eq!(bench.tracker.stats().ticks, 4);
    let Some(FlowEvent::Ended { .. }) = bench.events.iter().rev().nth(1) else {
        panic!("{:?}", bench.events);
    };
    bench.finish();
}

#[test]
fn a_gap_of_many_intervals_is_reported_64_times() {
    let timeouts = Timeouts::never().active(seconds(1));
    let mut bench = Bench::with(TrackerConfig::new().timeouts(timeouts));
    bench.frame(0.0, &udp(CLIENT, SERVER, b""));
    bench.frame(10_000.5, &udp(CLIENT, SERVER, b""));
    assert_eq!(bench.tracker.stats().ticks, 64);
    // From then on as usual.
    bench.frame(10_001.9, &udp(CLIENT, SERVER, b""));
    assert_eq!(bench.tracker.stats().ticks, 65);
}
