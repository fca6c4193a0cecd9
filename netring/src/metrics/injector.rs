//! The figures of a sink.

use super::{Metric, Publish, Publisher};
use crate::SinkStats;

const COMMITTED: Metric = Metric::count(
    "netring_injector_committed_frames_total",
    "Frames that were committed",
);
const SENT: Metric = Metric::count(
    "netring_injector_sent_frames_total",
    "Frames that the interface took",
);
const DROPPED: Metric = Metric::count(
    "netring_injector_dropped_frames_total",
    "Frames that were lost because the queue of the interface was full",
);
const REJECTED: Metric = Metric::count(
    "netring_injector_rejected_frames_total",
    "Frames that the kernel refused",
);
const REFUSED: Metric = Metric::count(
    "netring_injector_refused_frames_total",
    "Frames that were too long or empty and were not committed",
);
const PENDING: Metric = Metric::count(
    "netring_injector_pending_frames",
    "Frames in the ring or being sent",
);

impl Publish for SinkStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&COMMITTED, self.committed);
        to.count(&SENT, self.sent);
        to.count(&DROPPED, self.dropped);
        to.count(&REJECTED, self.rejected);
        to.counter(&REFUSED, self.refused);
        to.gauge(&PENDING, self.pending as f64);
    }
}
