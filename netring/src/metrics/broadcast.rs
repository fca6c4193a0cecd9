//! The figures of a broadcast and of its subscribers.

use super::{Metric, Publish, Publisher};
use crate::{BroadcastStats, FlowBroadcast, Subscriber};

const EVENTS: Metric = Metric::count(
    "netring_broadcast_events_total",
    "Events published, with or without subscribers",
);
const SUBSCRIBERS: Metric = Metric::count("netring_broadcast_subscribers", "Subscribers");
const CAPACITY: Metric = Metric::count(
    "netring_broadcast_capacity_batches",
    "The capacity of the queue in batches of events",
);
const LOST: Metric = Metric::count(
    "netring_subscriber_lost_events_total",
    "Events that the subscriber was too slow for",
);
const QUEUED: Metric = Metric::count(
    "netring_subscriber_queued_batches",
    "Batches that wait for the subscriber",
);

/// The figures of the capture and of the tracker too.
impl Publish for BroadcastStats {
    fn publish(&self, to: &mut Publisher) {
        to.publish(&self.capture);
        to.publish(&self.tracker);
        to.counter(&EVENTS, self.events);
    }
}

/// What is known without the task: its other figures are [`BroadcastStats`].
impl<K: Send + Sync + 'static> Publish for FlowBroadcast<K> {
    fn publish(&self, to: &mut Publisher) {
        to.gauge(&SUBSCRIBERS, self.receiver_count() as f64);
        to.gauge(&CAPACITY, self.capacity() as f64);
    }
}

/// Give each subscriber a publisher with a label of its own.
impl<T> Publish for Subscriber<T> {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&LOST, self.lost());
        to.gauge(&QUEUED, self.queued() as f64);
    }
}
