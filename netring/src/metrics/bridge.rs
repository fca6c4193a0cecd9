//! The figures of one direction of a bridge.

use super::{Metric, Publish, Publisher, Unit};
use crate::bridge::WayStats;

const RECEIVED: Metric = Metric::count(
    "netring_bridge_received_frames_total",
    "Frames that the source delivered",
);
const SPLIT: Metric = Metric::count(
    "netring_bridge_split_frames_total",
    "Frames that came into being by segmentation in software",
);
const FORWARDED: Metric = Metric::count(
    "netring_bridge_forwarded_frames_total",
    "Frames that the other interface took",
);
const BYTES: Metric = Metric::new(
    "netring_bridge_bytes_total",
    Unit::Bytes,
    "Bytes of the frames that were handed to the sink",
);
const LEFT_OUT: Metric = Metric::count(
    "netring_bridge_left_out_frames_total",
    "Frames that were not forwarded, by the cause",
);
const REFUSED: Metric = Metric::count(
    "netring_bridge_refused_frames_total",
    "Frames that cannot be sent whole and right, by the reason",
);
const LINK_DOWNS: Metric = Metric::count(
    "netring_bridge_link_downs_total",
    "How often the other interface was found to be down",
);
const PENDING: Metric = Metric::count(
    "netring_bridge_pending_frames",
    "Frames that wait for room or for their fate",
);

/// One direction, and the [capture](crate::Stats) at its source. Give each direction a publisher
/// with a label of its own.
impl Publish for WayStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&RECEIVED, self.received);
        to.counter(&SPLIT, self.split);
        to.counter(&FORWARDED, self.forwarded);
        to.counter(&BYTES, self.bytes);
        for (cause, frames) in [
            ("dropped", self.dropped),
            ("undecided", self.undecided),
            ("outgoing", self.outgoing),
            ("link_down", self.link_down),
            ("rejected", self.rejected),
            ("queue_dropped", self.queue_dropped),
        ] {
            to.counter_by(&LEFT_OUT, ("cause", cause), frames);
        }
        for (reason, frames) in self.refused.by_reason() {
            to.counter_by(&REFUSED, ("reason", reason), frames);
        }
        to.counter(&LINK_DOWNS, self.link_downs);
        to.gauge(&PENDING, self.pending() as f64);
        to.publish(&self.source);
    }
}
