//! What the engine finds, with the settings that match the oracle's definitions.

use std::net::SocketAddr;
use std::path::Path;

use netring::pcap::CaptureFile;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{
    DirectionStats, FlowEvent, FlowStats, FlowTracker, Timeouts, TrackerConfig, TrackerStats,
};
use netring_sys::{PacketSource, Readiness};

use super::oracle::{Figures, Flows, Key, Port, Sent};
use crate::Result;

/// What the engine found in a capture.
pub(super) struct Observed {
    pub(super) flows: Flows,
    pub(super) packets: u64,
    /// The number of fragments other than the first, which are in no flow.
    pub(super) later_fragments: u64,
    /// Why the file could not be read to its end.
    pub(super) fault: Option<String>,
    /// The engine's totals that do not add up.
    pub(super) imbalance: Vec<String>,
}

/// Reads a capture and tracks its flows.
pub(super) fn observe(path: &Path) -> Result<Observed> {
    // No timeouts, and ICMP has its own key. Successive flows of one key are added up.
    let extract = FiveTuple::bidirectional().with_icmp_errors_as_flows();
    let config = TrackerConfig::new().timeouts(Timeouts::never());
    let mut tracker = FlowTracker::with_config(extract, config)?;
    let mut observed = Observed {
        flows: Flows::new(),
        packets: 0,
        later_fragments: 0,
        fault: None,
        imbalance: Vec::new(),
    };
    let mut events = Vec::new();
    match CaptureFile::open(path) {
        Ok(mut file) => {
            loop {
                match file.ready() {
                    Ok(Readiness::Ready) => tracker.track_batch(&file.batch(), &mut events),
                    Ok(Readiness::Empty | Readiness::Ended) => break,
                    Err(fault) => {
                        observed.fault = Some(fault.to_string());
                        break;
                    }
                }
                observed.take(&mut events);
            }
            observed.packets = file.stats()?.delivered.exact().unwrap_or_default();
        }
        Err(fault) => observed.fault = Some(fault.to_string()),
    }
    while tracker.finish(&mut events) {
        observed.take(&mut events);
    }
    observed.take(&mut events);
    observed.later_fragments = tracker.stats().untracked.fragments;
    observed.balance(&tracker.stats(), tracker.active_flows());
    Ok(observed)
}

impl Observed {
    /// Adds up the flows that ended.
    fn take(&mut self, events: &mut Vec<FlowEvent<FiveTupleKey>>) {
        for event in events.drain(..) {
            if let FlowEvent::Ended { key, stats, .. } = event {
                let figures = figures(&stats);
                self.flows
                    .entry(oracle_key(&key))
                    .and_modify(|before| add(before, &figures))
                    .or_insert(figures);
            }
        }
    }

    /// Each packet is in one flow or counted by the reason why it is not; each flow that started
    /// has ended.
    fn balance(&mut self, stats: &TrackerStats, active: usize) {
        let in_flows: u64 = self
            .flows
            .values()
            .flat_map(|flow| flow.sent)
            .map(|sent| sent.packets)
            .sum();
        let untracked = stats.icmp_errors + stats.untracked.total();
        let pairs = [
            (
                "packets given",
                stats.packets,
                "packets in the file",
                self.packets,
            ),
            (
                "packets given",
                stats.packets,
                "tracked and untracked",
                stats.tracked + untracked,
            ),
            (
                "packets tracked",
                stats.tracked,
                "packets in flows",
                in_flows,
            ),
            (
                "flows started",
                stats.flows_started,
                "ended",
                stats.ended.total(),
            ),
            ("active flows", active as u64, "none", 0),
        ];
        for (left, have, right, want) in pairs {
            if have != want {
                self.imbalance.push(format!(
                    "totals do not add up: {left} {have}, {right} {want}"
                ));
            }
        }
    }
}

fn oracle_key(key: &FiveTupleKey) -> Key {
    let end = |end: SocketAddr| match key.ports_known() {
        true => (end.ip(), Port::Number(end.port())),
        false => (end.ip(), Port::NotCaptured),
    };
    Key {
        protocol: key.protocol(),
        a: end(key.a()),
        b: end(key.b()),
    }
}

fn figures(stats: &FlowStats) -> Figures {
    let sent = |direction: &DirectionStats| Sent {
        packets: direction.packets,
        bytes: direction.bytes,
        flags: [direction.syn, direction.fin, direction.rst],
    };
    Figures {
        first: stats.first().as_nanos(),
        last: stats.last().as_nanos(),
        sent: [sent(&stats.forward), sent(&stats.reverse)],
    }
}

fn add(to: &mut Figures, more: &Figures) {
    to.first = to.first.min(more.first);
    to.last = to.last.max(more.last);
    for (to, more) in to.sent.iter_mut().zip(more.sent) {
        to.packets += more.packets;
        to.bytes += more.bytes;
        for (to, more) in to.flags.iter_mut().zip(more.flags) {
            *to += more;
        }
    }
}
