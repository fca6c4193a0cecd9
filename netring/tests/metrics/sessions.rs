//! The figures of sessions.

use netring::flow::session::SessionStats;

use super::{Kept, each_is_published, publish};

#[test]
fn each_figure_of_sessions_is_published_once() {
    let kept = Kept::default();
    let mut stats = SessionStats::default();
    let counted = [
        &mut stats.started,
        &mut stats.messages,
        &mut stats.ended.stream,
        &mut stats.ended.done,
        &mut stats.ended.failed,
        &mut stats.ended.panicked,
        &mut stats.ended.memory_limit,
        &mut stats.ended.gap,
    ];
    let figures = counted.len() as u64;
    for (figure, n) in counted.into_iter().zip(1..) {
        *figure = n;
    }
    stats.buffered = 100;
    publish(&kept, &stats);
    each_is_published(&kept, figures, &[]);
    let counters = kept.counters();
    let ended = |reason: &str| {
        counters[&format!("netring_session_ended_total{{interface=eth0,reason={reason}}}")]
    };
    assert_eq!(ended("panicked"), stats.ended.panicked);
    assert_eq!(ended("memory_limit"), stats.ended.memory_limit);
    let buffered = kept.gauges()["netring_session_buffered_bytes{interface=eth0}"];
    assert_eq!(buffered, 100.0);
}
