//! The figures of broadcasts and of their subscribers.

use std::time::Duration;

use super::{Metric, Publish, Publisher, Unit};
use crate::{
    Broadcast, BroadcastStats, FlowBroadcast, FlowWorkers, PacketBroadcast, PacketSubscriber,
    Published, RecordBroadcast, RecordWorkers, SessionBroadcast, SessionBroadcastStats, Subscriber,
    SubscriberStats,
};

const EVENTS: Metric = Metric::count(
    "netring_broadcast_events_total",
    "Events or packets published, with or without subscribers",
);
const WAITS: Metric = Metric::count(
    "netring_broadcast_waits_total",
    "How often the broadcast waited for lossless subscribers",
);
const WAITED: Metric = Metric::new(
    "netring_broadcast_waited_seconds",
    Unit::Seconds,
    "How long the broadcast waited for lossless subscribers",
);
const SUBSCRIBERS: Metric = Metric::count("netring_broadcast_subscribers", "Subscribers");
const CAPACITY: Metric = Metric::count(
    "netring_broadcast_capacity_batches",
    "The capacity of each queue in batches",
);
const RECEIVED: Metric = Metric::count(
    "netring_subscriber_received_events_total",
    "Events or packets that the subscriber took from the queue",
);
const LOST: Metric = Metric::count(
    "netring_subscriber_lost_events_total",
    "Events or packets that the subscriber was too slow for",
);
const BEHIND: Metric = Metric::count(
    "netring_subscriber_behind_events",
    "Events or packets that were published and that the subscriber has not taken",
);
const MOST_BEHIND: Metric = Metric::count(
    "netring_subscriber_most_behind_events",
    "The most that the subscriber has been behind",
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
        published(to, self.events, self.waits, self.waited);
    }
}

/// The figures of the capture, the tracker, the reassembler and the sessions too.
impl Publish for SessionBroadcastStats {
    fn publish(&self, to: &mut Publisher) {
        to.publish(&self.capture);
        to.publish(&self.tracker);
        to.publish(&self.reassembly);
        to.publish(&self.sessions);
        published(to, self.events, self.waits, self.waited);
    }
}

impl Publish for Published {
    fn publish(&self, to: &mut Publisher) {
        published(to, self.events, self.waits, self.waited);
    }
}

fn published(to: &mut Publisher, events: u64, waits: u64, waited: Duration) {
    to.counter(&EVENTS, events);
    to.counter(&WAITS, waits);
    to.gauge(&WAITED, waited.as_secs_f64());
}

macro_rules! broadcasts {
    ($($broadcast:ident $(<$($item:ident),+>)?),+) => {$(
        /// The figures available without its tasks; those of its `stats` have the others.
        impl $(<$($item: Send + Sync + 'static),+>)? Publish for $broadcast $(<$($item),+>)? {
            fn publish(&self, to: &mut Publisher) {
                to.gauge(&SUBSCRIBERS, self.receiver_count() as f64);
                to.gauge(&CAPACITY, self.capacity() as f64);
                to.publish(&self.published());
            }
        }
    )+};
}

broadcasts!(
    FlowBroadcast<K>,
    FlowWorkers<K>,
    RecordBroadcast,
    RecordWorkers,
    SessionBroadcast<K, M>,
    PacketBroadcast,
    Broadcast<T>
);

/// Give each subscriber a publisher with a label of its own.
impl Publish for SubscriberStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&RECEIVED, self.received);
        to.counter(&LOST, self.lost);
        to.gauge(&BEHIND, self.behind as f64);
        to.gauge(&MOST_BEHIND, self.most_behind as f64);
    }
}

/// Give each subscriber a publisher with a label of its own.
impl<T> Publish for Subscriber<T> {
    fn publish(&self, to: &mut Publisher) {
        to.publish(&self.stats());
        to.gauge(&QUEUED, self.queued() as f64);
    }
}

/// Give each subscriber a publisher with a label of its own.
impl Publish for PacketSubscriber {
    fn publish(&self, to: &mut Publisher) {
        to.publish(&self.stats());
        to.gauge(&QUEUED, self.queued() as f64);
    }
}
