//! A bridge has two directions.

use netring::Stats;
use netring::bridge::BridgeStats;

use super::{Kept, publish};

/// A label distinguishes the directions, and the figures of their sources.
#[test]
fn each_direction_of_a_bridge_has_its_own_figures() {
    let kept = Kept::default();
    let mut stats = BridgeStats::default();
    for (way, first) in [(&mut stats.a_to_b, 100), (&mut stats.b_to_a, 200)] {
        let figures = [
            &mut way.received,
            &mut way.split,
            &mut way.forwarded,
            &mut way.bytes,
            &mut way.dropped,
            &mut way.undecided,
            &mut way.outgoing,
            &mut way.refused.cut,
            &mut way.refused.too_short,
            &mut way.link_down,
            &mut way.rejected,
            &mut way.queue_dropped,
            &mut way.link_downs,
            &mut way.waiting,
            &mut way.in_flight,
        ];
        for (figure, n) in figures.into_iter().zip(first..) {
            *figure = n;
        }
        way.source = Stats::counted(first);
    }
    publish(&kept, &stats);
    let (counters, gauges) = (kept.counters(), kept.gauges());
    for (direction, first) in [("a_to_b", 100), ("b_to_a", 200)] {
        let labels = format!("interface=eth0,direction={direction}");
        let names = [
            "received_frames_total",
            "split_frames_total",
            "forwarded_frames_total",
            "bytes_total",
            "dropped_frames_total",
            "undecided_frames_total",
            "outgoing_frames_total",
            "refused_frames_total",
            "refused_frames_total",
            "link_down_frames_total",
            "rejected_frames_total",
            "queue_dropped_frames_total",
            "link_downs_total",
        ];
        for (n, (name, value)) in names.into_iter().zip(first..).enumerate() {
            let reason = match n {
                7 => ",reason=cut",
                8 => ",reason=too_short",
                _ => "",
            };
            let key = format!("netring_bridge_{name}{{{labels}{reason}}}");
            assert_eq!(counters[&key], value, "{key}");
        }
        let gauge = |name: &str| gauges[&format!("netring_bridge_{name}_frames{{{labels}}}")];
        assert_eq!(
            (gauge("waiting"), gauge("in_flight")),
            ((first + 13) as f64, (first + 14) as f64)
        );
        let delivered = format!("netring_capture_delivered_packets_total{{{labels}}}");
        assert_eq!(counters[&delivered], first);
    }
}
