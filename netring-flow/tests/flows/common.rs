//! Frames, and a tracker that receives them.

use std::time::Duration;

use netring_flow::extract::{FiveTuple, FiveTupleKey, Orientation};
use netring_flow::{EndReason, FlowEvent, FlowStats, FlowTracker, TrackerConfig};
use netring_sys::{LinkType, Packet, PacketBatch, Timestamp};

#[path = "../frames/mod.rs"]
mod frames;

pub(crate) use frames::{ACK, CLIENT, FIN, RST, SERVER, SYN, at, tcp, udp};

pub(crate) type Event = FlowEvent<FiveTupleKey>;

/// A tracker and all events that it reported.
pub(crate) struct Bench {
    pub(crate) tracker: FlowTracker<FiveTuple>,
    pub(crate) events: Vec<Event>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(TrackerConfig::new())
    }

    pub(crate) fn with(config: TrackerConfig) -> Self {
        Self {
            tracker: FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap(),
            events: Vec::new(),
        }
    }

    pub(crate) fn frame(&mut self, seconds: f64, frame: &[u8]) {
        let packet = Packet::new(frame, at(seconds), LinkType::ETHERNET);
        self.tracker.track(&packet, &mut self.events);
    }

    /// A segment from the client: flags, sequence and acknowledgement numbers.
    pub(crate) fn client(
        &mut self,
        seconds: f64,
        flags: u8,
        sequence: u32,
        ack: u32,
        payload: &[u8],
    ) {
        self.frame(seconds, &tcp(CLIENT, SERVER, sequence, ack, flags, payload));
    }

    /// A segment from the server.
    pub(crate) fn server(
        &mut self,
        seconds: f64,
        flags: u8,
        sequence: u32,
        ack: u32,
        payload: &[u8],
    ) {
        self.frame(seconds, &tcp(SERVER, CLIENT, sequence, ack, flags, payload));
    }

    /// A handshake that begins with these numbers, 10 ms long.
    pub(crate) fn handshake(&mut self, seconds: f64, client: u32, server: u32) {
        self.client(seconds, SYN, client, 0, b"");
        self.server(seconds + 0.005, SYN | ACK, server, client + 1, b"");
        self.client(seconds + 0.01, ACK, client + 1, server + 1, b"");
    }

    /// Both ends close, 20 ms long; they have sent nothing since the handshake.
    pub(crate) fn close(&mut self, seconds: f64, client: u32, server: u32) {
        self.client(seconds, FIN | ACK, client + 1, server + 1, b"");
        self.server(seconds + 0.01, FIN | ACK, server + 1, client + 2, b"");
        self.client(seconds + 0.02, ACK, client + 2, server + 2, b"");
    }

    pub(crate) fn expire(&mut self, seconds: f64) {
        while self.tracker.expire(at(seconds), &mut self.events) {}
    }

    pub(crate) fn finish(&mut self) {
        while self.tracker.finish(&mut self.events) {}
        assert_eq!(self.tracker.active_flows(), 0);
        self.balance();
    }

    /// The books: each packet is in one flow or counted by cause; each flow has ended or is active.
    pub(crate) fn balance(&self) {
        let stats = self.tracker.stats();
        assert_eq!(
            stats.packets,
            stats.tracked + stats.icmp_errors + stats.untracked.total()
        );
        let active = self.tracker.active_flows() as u64;
        assert_eq!(stats.flows_started, stats.ended.total() + active);
        let started = self.count(|event| matches!(event, FlowEvent::Started { .. }));
        assert_eq!(stats.flows_started, started);
        assert_eq!(stats.ended.total(), self.ended().len() as u64);
        if active == 0 {
            let packets: u64 = self.ended().iter().map(|ended| ended.stats.packets()).sum();
            assert_eq!(stats.tracked, packets);
        }
    }

    pub(crate) fn count(&self, which: impl Fn(&Event) -> bool) -> u64 {
        self.events.iter().filter(|event| which(event)).count() as u64
    }

    pub(crate) fn ended(&self) -> Vec<Ended> {
        self.events.iter().filter_map(Ended::of).collect()
    }

    /// Finishes, and returns the reason and the history of each flow in the order in which they
    /// started.
    pub(crate) fn story(&mut self) -> Vec<(EndReason, String)> {
        self.finish();
        let mut ended = self.ended();
        ended.sort_by_key(|ended| ended.flow);
        ended
            .into_iter()
            .map(|ended| (ended.reason, ended.history))
            .collect()
    }
}

/// A flow that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) flow: u64,
    pub(crate) key: FiveTupleKey,
    pub(crate) time: Timestamp,
    pub(crate) reason: EndReason,
    pub(crate) history: String,
    pub(crate) stats: FlowStats,
}

impl Ended {
    pub(crate) fn of(event: &Event) -> Option<Self> {
        match event {
            FlowEvent::Ended {
                key,
                flow,
                time,
                reason,
                history,
                stats,
            } => Some(Self {
                flow: flow.get(),
                key: *key,
                time: *time,
                reason: *reason,
                history: history.to_string(),
                stats: **stats,
            }),
            _ => None,
        }
    }
}

/// The end of a key that has this address, as an orientation of what it sends.
pub(crate) fn side(key: FiveTupleKey, end: &str) -> Orientation {
    if key.a().to_string() == end {
        Orientation::Forward
    } else {
        assert_eq!(key.b().to_string(), end);
        Orientation::Reverse
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Frames with their times, as a batch.
pub(crate) struct Frames<'a>(pub(crate) &'a [(f64, Vec<u8>)]);

impl PacketBatch for Frames<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0
            .iter()
            .map(|(time, frame)| Packet::new(frame, at(*time), LinkType::ETHERNET))
    }
}
