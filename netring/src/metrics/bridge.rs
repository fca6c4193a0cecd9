//! The figures of a bridge.

use super::{Metric, Publish, Publisher, Unit, refused};
use crate::bridge::{BridgeDirectionStats, BridgeStats};

const RECEIVED: Metric = Metric::count(
    "netring_bridge_received_frames_total",
    "Frames that the source delivered",
);
const SPLIT: Metric = Metric::count(
    "netring_bridge_split_frames_total",
    "Frames that came into being by software segmentation",
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
const DROPPED: Metric = Metric::count(
    "netring_bridge_dropped_frames_total",
    "Frames that were left out by decision",
);
const UNDECIDED: Metric = Metric::count(
    "netring_bridge_undecided_frames_total",
    "Frames at which the decision panicked",
);
const OUTGOING: Metric = Metric::count(
    "netring_bridge_outgoing_frames_total",
    "Frames that this host sends itself",
);
const REFUSED: Metric = Metric::count(
    "netring_bridge_refused_frames_total",
    "Frames that cannot be sent whole and right, by the reason",
);
const LINK_DOWN: Metric = Metric::count(
    "netring_bridge_link_down_frames_total",
    "Frames that arrived while the other interface was down",
);
const REJECTED: Metric = Metric::count(
    "netring_bridge_rejected_frames_total",
    "Frames that the kernel refused to send",
);
const QUEUE_DROPPED: Metric = Metric::count(
    "netring_bridge_queue_dropped_frames_total",
    "Frames that the kernel took to send and then dropped",
);
const LINK_DOWNS: Metric = Metric::count(
    "netring_bridge_link_downs_total",
    "How often the other interface was found to be down",
);
const WAITING: Metric = Metric::count(
    "netring_bridge_waiting_frames",
    "Frames that wait for room in the sink",
);
const IN_FLIGHT: Metric = Metric::count(
    "netring_bridge_in_flight_frames",
    "Frames in the sink whose fate is not known yet",
);

/// Each direction has the label `direction`, `a_to_b` or `b_to_a`.
impl Publish for BridgeStats {
    fn publish(&self, to: &mut Publisher) {
        to.with_label(("direction", "a_to_b"), |to| to.publish(&self.a_to_b));
        to.with_label(("direction", "b_to_a"), |to| to.publish(&self.b_to_a));
    }
}

/// The figures of the source too, as those of a capture.
impl Publish for BridgeDirectionStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&RECEIVED, self.received);
        to.counter(&SPLIT, self.split);
        to.counter(&FORWARDED, self.forwarded);
        to.counter(&BYTES, self.bytes);
        to.counter(&DROPPED, self.dropped);
        to.counter(&UNDECIDED, self.undecided);
        to.counter(&OUTGOING, self.outgoing);
        refused(to, &REFUSED, &self.refused);
        to.counter(&LINK_DOWN, self.link_down);
        to.counter(&REJECTED, self.rejected);
        to.counter(&QUEUE_DROPPED, self.queue_dropped);
        to.counter(&LINK_DOWNS, self.link_downs);
        to.gauge(&WAITING, self.waiting as f64);
        to.gauge(&IN_FLIGHT, self.in_flight as f64);
        to.publish(&self.source);
    }
}
