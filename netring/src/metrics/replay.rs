//! The figures of a replay.

use super::{Metric, Publish, Publisher, Unit, refused};
use crate::replay::ReplayStats;

const READ: Metric = Metric::count(
    "netring_replay_read_packets_total",
    "Packets that were read",
);
const COMMITTED: Metric = Metric::count(
    "netring_replay_committed_packets_total",
    "Packets that were committed to the sink, whole or in segments",
);
const REFUSED: Metric = Metric::count(
    "netring_replay_refused_packets_total",
    "Packets that were not sent, by the reason",
);
const UNSENT: Metric = Metric::count(
    "netring_replay_unsent_packets_total",
    "Packets that were not sent because the replay was stopped or failed",
);
const SEGMENTED: Metric = Metric::count(
    "netring_replay_segmented_packets_total",
    "Packets that were sent as segments",
);
const FRAMES: Metric = Metric::count(
    "netring_replay_frames_total",
    "Frames that were committed: packets, and segments of packets",
);
const BYTES: Metric = Metric::new(
    "netring_replay_bytes_total",
    Unit::Bytes,
    "Bytes of the committed frames",
);
const BACKWARDS: Metric = Metric::count(
    "netring_replay_backwards_packets_total",
    "Packets that are older than the one before",
);
const LINK_DOWNS: Metric = Metric::count(
    "netring_replay_link_downs_total",
    "How often the interface went down",
);
const IN_FLIGHT: Metric = Metric::count(
    "netring_replay_in_flight_frames",
    "Frames that the sink had not sent when the last run ended",
);
const DURATION: Metric = seconds("netring_replay_duration_seconds", "The time of all runs");
const LATEST: Metric = seconds(
    "netring_replay_latest_seconds",
    "The longest delay of a packet after its time",
);
const LOST: Metric = seconds(
    "netring_replay_lost_seconds",
    "The time that was not made up for",
);

const fn seconds(name: &'static str, description: &'static str) -> Metric {
    Metric::new(name, Unit::Seconds, description)
}

impl Publish for ReplayStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&READ, self.read);
        to.counter(&COMMITTED, self.committed);
        refused(to, &REFUSED, &self.refused);
        to.counter(&UNSENT, self.unsent);
        to.counter(&SEGMENTED, self.segmented);
        to.counter(&FRAMES, self.frames);
        to.counter(&BYTES, self.bytes);
        to.counter(&BACKWARDS, self.backwards);
        to.counter(&LINK_DOWNS, self.link_downs);
        to.gauge(&IN_FLIGHT, self.in_flight as f64);
        to.gauge(&DURATION, self.duration.as_secs_f64());
        to.gauge(&LATEST, self.latest.as_secs_f64());
        to.gauge(&LOST, self.lost.as_secs_f64());
    }
}
