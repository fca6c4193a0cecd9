//! The figures of a reassembler.

use netring::flow::reassembly::ReassemblyStats;

use super::{Kept, each_is_published, publish};

#[test]
fn each_figure_of_a_reassembler_is_published_once() {
    let kept = Kept::default();
    let mut stats = ReassemblyStats::default();
    let counted = [
        &mut stats.subscribed,
        &mut stats.received,
        &mut stats.delivered,
        &mut stats.duplicate,
        &mut stats.discarded.reset,
        &mut stats.discarded.out_of_window,
        &mut stats.discarded.after_end,
        &mut stats.discarded.other_syn,
        &mut stats.discarded.forged,
        &mut stats.discarded.urgent,
        &mut stats.discarded.given_up,
        &mut stats.discarded.unwanted,
        &mut stats.gaps,
        &mut stats.missing,
        &mut stats.forced_gaps,
        &mut stats.inconsistencies,
        &mut stats.given_up,
        &mut stats.unreadable,
    ];
    let figures = counted.len() as u64;
    for (figure, n) in counted.into_iter().zip(1..) {
        *figure = n;
    }
    (stats.held, stats.memory, stats.memory_peak) = (100, 200, 300);
    publish(&kept, &stats);
    each_is_published(&kept, figures, &[]);
    let counters = kept.counters();
    let counter = |name: &str| counters[&format!("netring_reassembly_{name}")];
    assert_eq!(
        counter("delivered_bytes_total{interface=eth0}"),
        stats.delivered
    );
    let forged = "discarded_bytes_total{interface=eth0,cause=forged}";
    assert_eq!(counter(forged), stats.discarded.forged);
    assert_eq!(
        counter("missing_bytes_total{interface=eth0}"),
        stats.missing
    );
    assert_eq!(
        counter("given_up_flows_total{interface=eth0}"),
        stats.given_up
    );
    let gauges = kept.gauges();
    let gauge = |name: &str| gauges[&format!("netring_reassembly_{name}{{interface=eth0}}")];
    assert_eq!(gauge("held_bytes"), 100.0);
    assert_eq!(gauge("memory_bytes"), 200.0);
    assert_eq!(gauge("memory_peak_bytes"), 300.0);
}
