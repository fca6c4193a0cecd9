//! Flow records.

mod mpls;
#[cfg(feature = "serde")]
mod serialized;
mod side;
mod tunnel;

use std::net::SocketAddr;

use super::conn_state::{self, ConnState};
use super::letters::Letters;
use crate::extract::{CommunityId, FiveTupleKey, Orientation};
use crate::{EndReason, FlowEvent, FlowId, FlowStats, History};
pub use mpls::MplsRecord;
pub use side::SideRecord;
pub use tunnel::TunnelRecord;

/// A flow as reported to other programs: who talked with whom, when, how much, and how it ended.
///
/// # Schema
///
/// With the feature `serde` it is serializable, and [`JsonLines`](super::JsonLines) writes the same
/// JSON. The names, types, units and meanings below do not change as long as
/// [`schema`](Self::schema) is 1; fields may be added. A field whose value is unknown is absent, so
/// readers must accept both.
///
#[doc = include_str!("record/schema.md")]
///
/// Counters run from the start of the flow, in reports of active flows too; for intervals, see
/// [`FlowRecorder::intervals`](super::FlowRecorder::intervals).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FlowRecord {
    /// The version of the schema: [`SCHEMA`](Self::SCHEMA).
    pub schema: u32,
    /// Whether the flow ended.
    pub kind: RecordKind,
    /// Which of several trackers the flow comes from, counted from 0, because each tracker numbers
    /// its own flows. `None` unless set, as [`FlowRecorder::worker`](super::FlowRecorder::worker)
    /// does.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub worker: Option<u16>,
    /// The flow's number in its tracker.
    pub flow: FlowId,
    /// The packet time of the report in nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// The IP protocol number.
    pub protocol: u8,
    /// The outermost VLAN identifier, if it is in the key.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub vlan: Option<u16>,
    /// The inner VLAN identifier, if it is in the key.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub inner_vlan: Option<u16>,
    /// The innermost tunnel, if it is in the key
    /// ([`FiveTuple::with_tunnel_id`](crate::extract::FiveTuple::with_tunnel_id)).
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub tunnel: Option<TunnelRecord>,
    /// When the first packet was seen, in nanoseconds since 1970 UTC.
    pub start_ns: i64,
    /// When the last packet was seen, in nanoseconds since 1970 UTC.
    pub end_ns: i64,
    /// TCP: the time of the last packet seen before both ends had closed, or of the one that closed
    /// the second, in nanoseconds since 1970 UTC: Zeek's duration ends there. From a
    /// [`FlowRecorder`](super::FlowRecorder) only.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub productive_end_ns: Option<i64>,
    /// Why the flow ended; `None` for a report of an active flow.
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "serialized::reason"
        )
    )]
    pub reason: Option<EndReason>,
    /// How the connection began and ended.
    pub state: ConnState,
    /// What happened, in order.
    pub history: Letters,
    /// TCP: whether a complete handshake was seen.
    pub established: bool,
    /// Whether a snap length cut a packet.
    pub cut: bool,
    /// Whether a packet was malformed.
    pub malformed: bool,
    /// The first ICMP message. Only from a [`FlowRecorder`](super::FlowRecorder).
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub icmp: Option<IcmpKind>,
    /// TCP: nanoseconds from the SYN to the initiator's first ACK, if neither the SYN nor the
    /// SYN-ACK was retransmitted. Only from a [`FlowRecorder`](super::FlowRecorder).
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub rtt_ns: Option<u64>,
    /// The application protocol. `None` unless the program sets it.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub service: Option<String>,
    /// The Community ID; see [`set_community_id`](Self::set_community_id).
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub community_id: Option<CommunityId>,
    /// The end that started the flow.
    pub initiator: SideRecord,
    /// The other end.
    pub responder: SideRecord,
}

/// Why there is a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
pub enum RecordKind {
    /// The flow ended.
    End,
    /// The flow lives for longer than the active timeout and continues.
    Active,
}

/// The type and code of an ICMP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IcmpKind {
    /// The type: 8 is an echo request of ICMP, 128 of ICMPv6.
    #[cfg_attr(feature = "serde", serde(rename = "type"))]
    pub icmp_type: u8,
    /// The code, which refines the type.
    pub code: u8,
}

impl FlowRecord {
    /// The version of the schema. It changes only if a field is removed or means something else.
    pub const SCHEMA: u32 = 1;

    /// Creates the record of a flow without packets; the program sets its fields.
    pub fn new(flow: FlowId, protocol: u8, initiator: SocketAddr, responder: SocketAddr) -> Self {
        Self {
            schema: Self::SCHEMA,
            kind: RecordKind::End,
            worker: None,
            flow,
            time_ns: 0,
            protocol,
            vlan: None,
            inner_vlan: None,
            tunnel: None,
            start_ns: 0,
            end_ns: 0,
            productive_end_ns: None,
            reason: None,
            state: ConnState::Oth,
            history: Letters::EMPTY,
            established: false,
            cut: false,
            malformed: false,
            icmp: None,
            rtt_ns: None,
            service: None,
            community_id: None,
            initiator: SideRecord::new(initiator),
            responder: SideRecord::new(responder),
        }
    }

    /// Creates the record of an ended ([`FlowEvent::Ended`]) or active ([`FlowEvent::Tick`]) flow;
    /// `None` for other events. The report of an active flow has no history.
    pub fn from_event(event: &FlowEvent<FiveTupleKey>) -> Option<Self> {
        let mut record = match event {
            FlowEvent::Ended {
                key,
                flow,
                reason,
                history,
                stats,
                ..
            } => {
                let mut record = Self::of(key, *flow, stats);
                record.reason = Some(*reason);
                record.set_history(*history);
                record
            }
            FlowEvent::Tick {
                key, flow, stats, ..
            } => {
                let mut record = Self::of(key, *flow, stats);
                record.kind = RecordKind::Active;
                record.set_history(History::default());
                if record.established {
                    record.state = ConnState::S1;
                }
                record
            }
            _ => return None,
        };
        record.time_ns = event.time().as_nanos();
        Some(record)
    }

    /// Returns the changes since an earlier record of the same flow: counters cover the interval,
    /// and the start is the end of `earlier`. Formats in which readers add up records need such
    /// intervals if active flows report too;
    /// [`FlowRecorder::intervals`](super::FlowRecorder::intervals) makes them.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        self.start_ns = earlier.end_ns;
        let end = |side: &SideRecord| (side.addr, side.port);
        let mut sides = [&earlier.initiator, &earlier.responder];
        // The initiator may have been recognized since.
        if end(sides[0]) != end(&self.initiator) && end(sides[1]) == end(&self.initiator) {
            sides.reverse();
        }
        self.initiator.subtract(sides[0]);
        self.responder.subtract(sides[1]);
        self
    }

    /// Sets the Community ID, which joins this record with other tools' records of the same flow.
    /// `seed` separates domains of identifiers; nearly all tools use 0.
    ///
    /// The ID of an ICMP flow depends on its first message, which only the records of a
    /// [`FlowRecorder`](super::FlowRecorder) know: see [`FiveTupleKey::icmp_community_id`].
    pub fn set_community_id(&mut self, seed: u16) {
        let (first, second) = (&self.initiator, &self.responder);
        let end = |side: &SideRecord| SocketAddr::new(side.addr, side.port.unwrap_or_default());
        let (key, from) = FiveTupleKey::new(self.protocol, end(first), end(second));
        let key = key.with_unknown_ports(first.port.is_none());
        self.community_id = Some(match self.icmp {
            Some(kind) => key.icmp_community_id(seed, from, kind.icmp_type, kind.code),
            None => key.community_id(seed),
        });
    }

    /// A number unique among the flows of the same trackers, for formats with a single number. With
    /// several trackers, the lower 40 bits are those of [`flow`](Self::flow).
    pub(super) fn number(&self) -> u64 {
        match self.worker {
            None | Some(0) => self.flow.get(),
            Some(worker) => u64::from(worker) << 40 | self.flow.get() & ((1 << 40) - 1),
        }
    }

    fn of(key: &FiveTupleKey, flow: FlowId, stats: &FlowStats) -> Self {
        let (from, to) = (
            key.source(stats.initiator),
            key.destination(stats.initiator),
        );
        let mut record = Self::new(flow, key.protocol(), from, to);
        record.set_key(key);
        record.set_stats(stats);
        record
    }

    fn set_key(&mut self, key: &FiveTupleKey) {
        let id = |vlan: u16| (vlan != 0).then_some(vlan);
        (self.vlan, self.inner_vlan) = (id(key.vlan()), id(key.inner_vlan()));
        self.tunnel = TunnelRecord::of(key);
        if !key.ports_known() || !matches!(self.protocol, 6 | 17 | 132) {
            (self.initiator.port, self.responder.port) = (None, None);
        }
    }

    fn set_stats(&mut self, stats: &FlowStats) {
        self.start_ns = stats.first().as_nanos();
        self.end_ns = stats.last().as_nanos();
        self.established = stats.established;
        self.cut = stats.cut;
        self.malformed = stats.malformed;
        self.initiator.set_stats(stats.by_initiator());
        self.responder.set_stats(stats.by_responder());
    }

    /// Sets the tracker's history, and the fields that follow from it.
    fn set_history(&mut self, history: History) {
        let sides = [&mut self.initiator, &mut self.responder];
        match self.protocol {
            6 => {
                self.history = history.into();
                let mut silent = true;
                for (side, upper) in sides.into_iter().zip([true, false]) {
                    silent &= side.payload_bytes == 0;
                    side.set_flags(&self.history, upper);
                }
                self.state = conn_state::replayed(&self.history, silent);
            }
            protocol => {
                let sent = sides.map(|side| side.packets != 0);
                self.set_datagrams(protocol == 17, sent);
            }
        }
    }

    /// Sets the state and history of a flow that is not TCP.
    pub(super) fn set_datagrams(&mut self, is_udp: bool, sent: [bool; 2]) {
        self.state = ConnState::of_datagrams(is_udp, sent);
        if is_udp {
            let [initiator, responder] = sent;
            // UDP has one letter per side, and the initiator's is the first.
            initiator.then(|| self.history.push(b'D'));
            responder.then(|| self.history.push(b'd'));
        }
    }
}

/// Which end an orientation is, as an index: 0 is the initiator.
pub(super) const fn index(from: Orientation, initiator: Orientation) -> usize {
    (from as usize) ^ (initiator as usize)
}
