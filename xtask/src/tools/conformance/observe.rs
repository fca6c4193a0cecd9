//! The engine's results, with the settings that match the oracle's definitions.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use netring::pcap::CaptureFile;
use netring_flow::extract::{
    Extract, Extracted, FiveTuple, FiveTupleKey, Fragment, Orientation, Piece, Skip, Tunnels,
    WindowScale,
};
use netring_flow::{
    EarlyFragments, FlowEvent, FlowStats, FlowTracker, FlowVisitor, Segment, Timeouts,
    TrackerConfig, TrackerStats,
};
use netring_sys::{Packet, PacketSource, Readiness};

use super::oracle::{Figures, Flows, Key, Port, Sent};
use crate::Result;

/// The engine's results for a capture.
#[derive(Default)]
pub(super) struct Observed {
    /// The flows without their later fragments, and a line for the later fragments of each protocol
    /// and pair of addresses: as the oracle has them.
    pub(super) flows: Flows,
    /// The flows as they were reported.
    reported: Flows,
    /// The flows with later fragments, by the packets that were shown.
    shown: Flows,
    pub(super) packets: u64,
    /// Later fragments that count in a flow.
    pub(super) followed: u64,
    /// Why the file could not be read to its end.
    pub(super) fault: Option<String>,
    /// The engine's totals that do not add up.
    pub(super) imbalance: Vec<String>,
}

/// The extractor, and every later fragment that it read.
struct Watched {
    extract: FiveTuple,
    later: Arc<Mutex<Flows>>,
}

impl Extract for Watched {
    type Key = FiveTupleKey;

    fn extract(&self, packet: &Packet<'_>) -> std::result::Result<Extracted<FiveTupleKey>, Skip> {
        self.extract.extract(packet)
    }

    fn extract_whole(
        &self,
        packet: &Packet<'_>,
    ) -> std::result::Result<Extracted<FiveTupleKey>, Skip> {
        let found = self.extract.extract_whole(packet);
        if found.as_ref().err() == Some(&Skip::Fragment) {
            self.extract.fragments(packet, &mut |fragment| {
                if fragment.offset != 0 {
                    let (key, from) = later_key(&fragment);
                    let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
                    let time = packet.timestamp().as_nanos();
                    add(&mut later, key, one(from, packet.wire_len(), time));
                }
            });
        }
        found
    }

    fn window_scale(&self, packet: &Packet<'_>) -> WindowScale {
        self.extract.window_scale(packet)
    }

    fn fragments(&self, packet: &Packet<'_>, each: &mut dyn FnMut(Fragment)) {
        self.extract.fragments(packet, each);
    }
}

/// Reads a capture and tracks its flows, in tunnels too if asked.
pub(super) fn observe(path: &Path, tunnels: bool) -> Result<Observed> {
    // No timeouts, and ICMP has its own key. Successive flows of one key are added up.
    let later = Arc::new(Mutex::new(Flows::new()));
    let extract = FiveTuple::bidirectional().with_icmp_errors_as_flows();
    let extract = Watched {
        extract: if tunnels {
            extract.with_tunnels(Tunnels::all())
        } else {
            extract
        },
        later: Arc::clone(&later),
    };
    let config = TrackerConfig::new().timeouts(Timeouts::never());
    let mut tracker = FlowTracker::with_config(extract, config)?;
    let mut observed = Observed::default();
    match CaptureFile::open(path) {
        Ok(mut file) => {
            loop {
                match file.ready() {
                    Ok(Readiness::Ready) => tracker.track_batch(&file.batch(), &mut observed),
                    Ok(Readiness::Empty | Readiness::Ended) => break,
                    Err(fault) => {
                        observed.fault = Some(fault.to_string());
                        break;
                    }
                }
            }
            observed.packets = file.stats()?.delivered.exact().unwrap_or_default();
        }
        Err(fault) => observed.fault = Some(fault.to_string()),
    }
    while tracker.finish(&mut observed) {}
    observed.followed = tracker.stats().fragments.followed;
    observed.balance(&tracker.stats(), tracker.active_flows());
    let mut later = later.lock().unwrap_or_else(PoisonError::into_inner);
    observed.flows.append(&mut later);
    Ok(observed)
}

impl FlowVisitor<FiveTupleKey> for Observed {
    fn event(&mut self, event: FlowEvent<FiveTupleKey>) {
        if let FlowEvent::Ended { key, stats, .. } = event {
            let key = oracle_key(&key);
            add(&mut self.reported, key, figures(&stats));
            // The flags; all else is in the segments.
            if let Some(flow) = self.flows.get_mut(&key) {
                for (to, more) in flow.sent.iter_mut().zip([&stats.forward, &stats.reverse]) {
                    let flags = [more.syn, more.fin, more.rst];
                    to.flags
                        .iter_mut()
                        .zip(flags)
                        .for_each(|(to, more)| *to += more);
                }
            }
        }
    }

    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        let time = segment.time.as_nanos();
        let figures = one(segment.orientation, segment.packet.wire_len(), time);
        let key = oracle_key(segment.key);
        add(&mut self.shown, key, figures);
        if segment.piece != Piece::Later {
            add(&mut self.flows, key, figures);
        }
    }

    fn early_fragments(&mut self, fragments: &EarlyFragments<'_, FiveTupleKey>) {
        let mut figures = one(fragments.orientation, 0, fragments.first.as_nanos());
        figures.last = fragments.last.as_nanos();
        let sent = &mut figures.sent[fragments.orientation as usize];
        (sent.packets, sent.bytes) = (fragments.packets, fragments.bytes);
        add(&mut self.shown, oracle_key(fragments.key), figures);
    }
}

impl Observed {
    /// Each packet is in one flow or counted by the reason why it is not; each flow that started
    /// has ended.
    fn balance(&mut self, stats: &TrackerStats, active: usize) {
        let in_flows: u64 = self
            .reported
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
        for (key, reported) in &self.reported {
            let shown = self.shown.get(key);
            let same = |(a, b): (&Sent, &Sent)| (a.packets, a.bytes) == (b.packets, b.bytes);
            let is_same = shown.is_some_and(|shown| {
                (shown.first, shown.last) == (reported.first, reported.last)
                    && shown.sent.iter().zip(&reported.sent).all(same)
            });
            if !is_same {
                self.imbalance.push(format!(
                    "{key}: the packets that were shown are not those of the statistics"
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

/// The line of the oracle for a later fragment, and which end sent it.
fn later_key(fragment: &Fragment) -> (Key, Orientation) {
    let datagram = &fragment.datagram;
    let (source, destination): (IpAddr, IpAddr) = (datagram.source(), datagram.destination());
    let (a, b, from) = if destination < source {
        (destination, source, Orientation::Reverse)
    } else {
        (source, destination, Orientation::Forward)
    };
    let key = Key {
        protocol: fragment.protocol,
        a: (a, Port::Fragment),
        b: (b, Port::Fragment),
    };
    (key, from)
}

fn figures(stats: &FlowStats) -> Figures {
    Figures {
        first: stats.first().as_nanos(),
        last: stats.last().as_nanos(),
        sent: [&stats.forward, &stats.reverse].map(|direction| Sent {
            packets: direction.packets,
            bytes: direction.bytes,
            flags: [direction.syn, direction.fin, direction.rst],
        }),
    }
}

/// The figures of one packet.
fn one(from: Orientation, wire_len: u32, time: i64) -> Figures {
    let mut sent = [Sent::default(); 2];
    (sent[from as usize].packets, sent[from as usize].bytes) = (1, wire_len.into());
    Figures {
        first: time,
        last: time,
        sent,
    }
}

fn add(flows: &mut Flows, key: Key, more: Figures) {
    let Some(to) = flows.get_mut(&key) else {
        flows.insert(key, more);
        return;
    };
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
