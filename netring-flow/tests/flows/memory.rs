//! Bounds: what happens when there is no room.

use std::collections::{HashMap, HashSet};

use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{Anomaly, EndReason, FlowEvent, FlowTracker, Timeouts, TrackerConfig};
use netring_sys::Error;
use proptest::prelude::*;

use crate::common::{ACK, Bench, Frames, RST, SERVER, SYN, tcp, udp};

fn host(n: u32) -> String {
    format!("10.{}.{}.{}:5000", n >> 16 & 255, n >> 8 & 255, n & 255)
}

#[test]
fn settings_out_of_range_are_refused_with_a_sentence() {
    for (config, expected) in [
        (TrackerConfig::new().max_flows(0), "max_flows"),
        (
            TrackerConfig::new().timeouts(Timeouts::default().udp(std::time::Duration::ZERO)),
            "timeouts.udp",
        ),
    ] {
        let refused = FlowTracker::with_config(FiveTuple::bidirectional(), config);
        let Err(Error::Config { setting, .. }) = refused else {
            panic!("{expected} was taken");
        };
        assert_eq!(setting, expected);
    }
}

#[test]
fn a_flood_of_syns_on_a_full_table_spares_established_connections() {
    let mut bench = Bench::with(TrackerConfig::new().max_flows(1000));
    for n in 0..600 {
        let client = host(n);
        bench.frame(0.0, &tcp(&client, SERVER, 1, 0, SYN, b""));
        bench.frame(0.1, &tcp(SERVER, &client, 1, 2, SYN | ACK, b""));
        bench.frame(0.2, &tcp(&client, SERVER, 2, 2, ACK, b""));
    }
    for n in 0..100_000_u32 {
        bench.frame(
            1.0 + f64::from(n) * 1e-5,
            &tcp(&host(1 << 16 | n), SERVER, 1, 0, SYN, b""),
        );
        assert!(bench.tracker.active_flows() <= 1000);
    }
    bench.balance();
    // They are all still there: one more packet each starts no flow.
    let started = bench.tracker.stats().flows_started;
    for n in 0..600 {
        bench.frame(2.5, &tcp(&host(n), SERVER, 2, 2, ACK, b"x"));
    }
    assert_eq!(bench.tracker.stats().flows_started, started);
    let stats = bench.tracker.stats();
    assert_eq!(started, 100_600);
    assert_eq!(stats.ended.table_full, 100_600 - 1000);
    bench.finish();
}

#[test]
fn which_flow_goes_first_when_the_table_is_full() {
    let mut bench = Bench::with(TrackerConfig::new().max_flows(4));
    let [answered, lonely, half_open, closed] = [1, 2, 3, 4].map(host);
    bench.frame(0.0, &udp(&answered, SERVER, b""));
    bench.frame(0.0, &udp(SERVER, &answered, b""));
    bench.frame(0.0, &udp(&lonely, SERVER, b""));
    bench.frame(0.0, &tcp(&half_open, SERVER, 1, 0, SYN, b""));
    bench.frame(0.0, &tcp(&closed, SERVER, 1, 0, SYN, b""));
    bench.frame(0.0, &tcp(SERVER, &closed, 0, 2, RST | ACK, b""));
    // Each newcomer is answered, so it is as valuable as the first.
    for n in 5..9 {
        bench.frame(0.1, &udp(&host(n), SERVER, b""));
        bench.frame(0.1, &udp(SERVER, &host(n), b""));
    }
    let full = EndReason::TableFull;
    let gone: Vec<_> = bench
        .ended()
        .iter()
        .map(|ended| (ended.key.a().to_string(), ended.reason))
        .collect();
    assert_eq!(
        gone,
        [
            // It had already closed, which is its reason.
            (closed, EndReason::Reset),
            (half_open, full),
            (lonely, full),
            (answered, full),
        ]
    );
}

#[test]
fn near_the_bound_flows_that_were_idle_for_a_quarter_of_their_time_go() {
    let mut bench = Bench::with(TrackerConfig::new().max_flows(160));
    for n in 0..150 {
        bench.frame(0.0, &udp(&host(n), SERVER, b""));
    }
    let emergencies = |bench: &Bench, which| {
        bench.count(
            |event| matches!(event, FlowEvent::Anomaly { kind, key: None, .. } if *kind == which),
        )
    };
    assert_eq!(emergencies(&bench, Anomaly::EmergencyBegan), 0);
    // 14.9 s of 60 s: none is shed. The eleventh of these finds 150 + 10 flows.
    for n in 200..210 {
        bench.frame(14.9, &udp(&host(n), SERVER, b""));
    }
    assert_eq!(emergencies(&bench, Anomaly::EmergencyBegan), 1);
    assert_eq!(bench.tracker.stats().ended.total(), 0);
    for n in 300..320 {
        bench.frame(15.5, &udp(&host(n), SERVER, b""));
    }
    // Each newcomer sheds two, until fewer than 140 are left.
    let stats = bench.tracker.stats();
    assert_eq!(stats.ended.emergency, stats.ended.total());
    assert_eq!(stats.ended.table_full, 0);
    assert_eq!(emergencies(&bench, Anomaly::EmergencyOver), 1);
    assert_eq!(stats.emergencies, 1);
    bench.finish();
}

#[test]
fn a_flow_that_ends_within_a_group_takes_no_later_packet_of_it() {
    // A batch first finds the records of all its packets and then takes the packets in.
    let mut bench = Bench::with(TrackerConfig::new().max_flows(1600));
    for n in 0..1520 {
        bench.frame(0.0, &udp(&host(n), SERVER, b""));
    }
    // In an emergency, the newcomer sheds the first two flows and takes the slot of the second. The
    // first is no longer found.
    let group = [
        (16.0, udp(&host(9999), SERVER, b"")),
        (16.0, udp(&host(0), SERVER, b"")),
    ];
    bench
        .tracker
        .track_batch(&Frames(&group), &mut bench.events);
    let shed = bench.ended();
    assert_eq!(shed[0].key.a().to_string(), host(0));
    assert_eq!(shed[0].stats.packets(), 1);
    let begun: Vec<_> = bench
        .events
        .iter()
        .filter(|event| matches!(event, FlowEvent::Started { .. }))
        .filter_map(|event| event.key())
        .map(|key| key.a().to_string())
        .skip(1520)
        .collect();
    assert_eq!(begun, [host(9999), host(0)]);
    bench.finish();
}

#[test]
fn a_flow_that_ends_by_the_time_of_a_packet_does_not_take_that_packet() {
    // In an emergency, all are overdue after 15 s and checked after 20. The batch first finds the
    // record, and then time ends its flow.
    let timeouts = Timeouts::default().active(std::time::Duration::from_secs(20));
    let config = TrackerConfig::new().max_flows(160).timeouts(timeouts);
    let mut bench = Bench::with(config);
    for n in 0..155 {
        bench.frame(0.0, &udp(&host(n), SERVER, b""));
    }
    let group = [(20.3, udp(&host(0), SERVER, b""))];
    bench
        .tracker
        .track_batch(&Frames(&group), &mut bench.events);
    // Until fewer than 140 are left; and one starts.
    assert_eq!(bench.tracker.stats().ended.emergency, 16);
    assert_eq!(bench.tracker.active_flows(), 140);
    bench.finish();
    assert_eq!(bench.tracker.stats().tracked, 156);
}

#[test]
fn a_flow_takes_at_most_256_bytes_and_packets_take_none() {
    use crate::counting::{allocated, allocations};
    let flows = 100_000_u32;
    let frames: Vec<_> = (0..flows)
        .map(|n| (0.0, udp(&host(n), SERVER, b"")))
        .collect();
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::with_capacity(64);
    let before = allocated();
    for group in frames.chunks(32) {
        tracker.track_batch(&Frames(group), &mut events);
        events.clear();
    }
    // Reserved, not touched: 7 chunks of 16384 records, and 2¹⁸ places. Less is resident.
    let asked = allocated() - before;
    assert!(asked <= 7 * 16_384 * 236 + (8 << 18) + 4096, "{asked}");

    let before = allocations();
    for group in frames.chunks(32) {
        tracker.track_batch(&Frames(group), &mut events);
    }
    assert_eq!(allocations() - before, 0);
    assert_eq!(events.len(), 0);
    assert_eq!(tracker.active_flows(), 100_000);
}

#[test]
fn flows_that_come_and_go_take_no_more_memory() {
    use crate::counting::allocated;
    let mut bench = Bench::new();
    let mut round = |time: f64| {
        for n in 0..20_000 {
            bench.frame(time, &udp(&host(n), SERVER, b""));
            bench.events.clear();
        }
        while bench
            .tracker
            .expire(crate::common::at(time + 99.0), &mut bench.events)
        {
            bench.events.clear();
        }
        bench.events = Vec::with_capacity(1024);
        assert_eq!(bench.tracker.active_flows(), 0);
        allocated()
    };
    let first = round(0.0);
    let last = (1..5).map(|n| round(f64::from(n) * 100.0)).max();
    assert_eq!(last, Some(first));
}

#[derive(Clone, Debug)]
enum Step {
    Packet(u32, bool),
    Later(u32),
    Finish,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0_u32..60, any::<bool>()).prop_map(|(n, back)| Step::Packet(n, back)),
        2 => (0_u32..40).prop_map(Step::Later),
        1 => Just(Step::Finish),
    ];
    prop::collection::vec(step, most / 2..most)
}

/// A map that follows the events is the oracle: a table of twelve flows under constant eviction,
/// and the packets that each flow must have.
fn follow(config: TrackerConfig, steps: Vec<Step>, together: bool) -> Result<(), TestCaseError> {
    let mut bench = Bench::with(config);
    let mut alive: HashMap<FiveTupleKey, (u64, u64)> = HashMap::new();
    let mut ids = HashSet::new();
    let mut time = 0.0;
    for step in steps {
        let mut packet_of = None;
        bench.events.clear();
        match step {
            Step::Packet(n, back) => {
                let (from, to) = if back {
                    (SERVER.into(), host(n))
                } else {
                    (host(n), SERVER.into())
                };
                let frame = udp(&from, &to, b"");
                packet_of =
                    Some(FiveTupleKey::new(17, from.parse().unwrap(), to.parse().unwrap()).0);
                if together {
                    bench
                        .tracker
                        .track_batch(&Frames(&[(time, frame)]), &mut bench.events);
                } else {
                    bench.frame(time, &frame);
                }
            }
            Step::Later(seconds) => {
                time += f64::from(seconds);
                bench.expire(time);
            }
            Step::Finish => while bench.tracker.finish(&mut bench.events) {},
        }
        // The packet counts after its flow has started, and before time changes it.
        let mut counted = packet_of.is_none();
        let begins = bench
            .events
            .iter()
            .any(|e| matches!(e, FlowEvent::Started { .. }));
        if let (Some(key), false) = (packet_of, begins) {
            alive.get_mut(&key).unwrap().1 += 1;
            counted = true;
        }
        for event in &bench.events {
            match event {
                FlowEvent::Started { key, flow, .. } => {
                    prop_assert!(ids.insert(*flow));
                    prop_assert_eq!(Some(*key), packet_of);
                    prop_assert_eq!(alive.insert(*key, (flow.get(), 1)), None);
                    counted = true;
                }
                FlowEvent::Ended {
                    key, flow, stats, ..
                } => {
                    prop_assert_eq!(alive.remove(key), Some((flow.get(), stats.packets())));
                }
                _ => {}
            }
        }
        prop_assert!(counted);
        prop_assert_eq!(alive.len(), bench.tracker.active_flows());
        prop_assert!(alive.len() <= 12);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn a_small_table_stays_so(steps in steps(20_000), together in any::<bool>()) {
        follow(TrackerConfig::new().max_flows(12), steps, together)?;
    }
}

proptest! {
    #[test]
    fn a_small_table_is_what_its_events_say(
        steps in steps(400),
        together in any::<bool>(),
        in_bytes in any::<bool>(),
    ) {
        let config = TrackerConfig::new();
        let config = if in_bytes { config.max_bytes(12 * 284) } else { config.max_flows(12) };
        follow(config, steps, together)?;
    }

    /// The same packets one by one and in batches give the same flows with the same statistics.
    #[test]
    fn a_batch_is_its_packets(ports in prop::collection::vec((0_u32..200, any::<bool>()), 1..500)) {
        let frames: Vec<_> = ports
            .iter()
            .enumerate()
            .map(|(n, (port, syn))| {
                let flags = if *syn { SYN } else { ACK };
                (n as f64 * 0.05, tcp(&host(*port), SERVER, n as u32, 0, flags, b""))
            })
            .collect();
        let (mut one, mut many) = (Bench::new(), Bench::new());
        for (time, frame) in &frames {
            one.frame(*time, frame);
        }
        many.tracker.track_batch(&Frames(&frames), &mut many.events);
        one.finish();
        many.finish();
        let summary = |bench: &Bench| {
            let mut summary: Vec<_> = bench
                .ended()
                .into_iter()
                .map(|ended| (ended.flow, ended.key.to_string(), ended.reason, ended.history, ended.stats))
                .collect();
            summary.sort_by_key(|summary| summary.0);
            summary
        };
        prop_assert_eq!(summary(&one), summary(&many));
    }
}
