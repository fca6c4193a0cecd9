//! The figures of a source.

use super::{Metric, Publish, Publisher};
use crate::Stats;

const OFFERED: Metric = Metric::count(
    "netring_capture_offered_packets_total",
    "Packets that passed the kernel's filter and reached the capture",
);
const DELIVERED: Metric = Metric::count(
    "netring_capture_delivered_packets_total",
    "Packets that the reader took",
);
const LEFT_OUT: Metric = Metric::count(
    "netring_capture_left_out_packets_total",
    "Packets that a filter or a limit in user space left out",
);
const DROPPED: Metric = Metric::count(
    "netring_capture_dropped_packets_total",
    "Packets that were lost because the ring was full",
);
const INVALID: Metric = Metric::count(
    "netring_capture_invalid_packets_total",
    "Packets that the ring announced but did not contain",
);
const FREEZES: Metric = Metric::count(
    "netring_capture_freezes_total",
    "How often the ring was full and stopped",
);
const LINK_DOWNS: Metric = Metric::count(
    "netring_capture_link_downs_total",
    "How often the interface went down",
);
const PENDING: Metric = Metric::count(
    "netring_capture_pending_packets",
    "Packets in the ring that the reader has not taken",
);

impl Publish for Stats {
    fn publish(&self, to: &mut Publisher) {
        to.count(&OFFERED, self.offered);
        to.count(&DELIVERED, self.delivered);
        to.count(&LEFT_OUT, self.left_out);
        to.count(&DROPPED, self.dropped);
        to.count(&INVALID, self.invalid);
        to.count(&FREEZES, self.freezes);
        to.count(&LINK_DOWNS, self.link_downs);
        to.gauge_if_known(&PENDING, self.pending().map(|pending| pending as f64));
    }
}
