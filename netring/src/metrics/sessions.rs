//! The figures of sessions.

use super::{Metric, Publish, Publisher, Unit};
use crate::flow::session::SessionStats;

const STARTED: Metric = Metric::count("netring_session_started_total", "Sessions that started");
const MESSAGES: Metric = Metric::count(
    "netring_session_messages_total",
    "Messages that parsers found",
);
const ENDED: Metric = Metric::count(
    "netring_session_ended_total",
    "Sessions that ended, by the reason",
);
const BUFFERED: Metric = Metric::new(
    "netring_session_buffered_bytes",
    Unit::Bytes,
    "Bytes that parsers keep for messages that are not complete",
);

impl Publish for SessionStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&STARTED, self.started);
        to.counter(&MESSAGES, self.messages);
        for (reason, sessions) in [
            ("stream", self.ended.stream),
            ("done", self.ended.done),
            ("failed", self.ended.failed),
            ("panicked", self.ended.panicked),
            ("memory_limit", self.ended.memory_limit),
            ("gap", self.ended.gap),
        ] {
            to.counter_by(&ENDED, ("reason", reason), sessions);
        }
        to.gauge(&BUFFERED, self.buffered as f64);
    }
}
