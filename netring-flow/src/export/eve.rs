//! Suricata's EVE flow events.

use super::conn_state::ConnState;
use super::json::Object;
use super::text;
use super::{FlowRecord, RecordKind, SideRecord};
use crate::EndReason;
use crate::extract::TcpSegment;

/// Writes records as events of Suricata's EVE log, one line of JSON each: a `flow` event, or up to
/// two `netflow` events, one for each end that sent.
///
#[doc = include_str!("eve/members.md")]
///
/// As in Suricata, a connection that was closed ends by `timeout` with the state `closed`.
///
/// ```
/// use netring_flow::FlowId;
/// use netring_flow::export::{Eve, FlowRecord};
///
/// let (client, server) = ("192.0.2.7:40000".parse()?, "192.0.2.1:443".parse()?);
/// let record = FlowRecord::new("1".parse::<FlowId>()?, 6, client, server);
/// let mut lines = Vec::new();
/// Eve::new().in_iface("eth0").flow(&record, &mut lines);
/// let line = String::from_utf8(lines)?;
/// assert!(line.contains(r#""event_type":"flow""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Eve {
    in_iface: Option<String>,
}

/// The flags by name, in Suricata's order.
const FLAGS: [(&str, u8); 8] = [
    ("syn", TcpSegment::SYN),
    ("fin", TcpSegment::FIN),
    ("rst", TcpSegment::RST),
    ("psh", TcpSegment::PSH),
    ("ack", TcpSegment::ACK),
    ("urg", 0x20),
    ("ecn", 0x40),
    ("cwr", 0x80),
];

impl Eve {
    /// An encoder without an interface name.
    pub const fn new() -> Self {
        Self { in_iface: None }
    }

    /// The interface that events name. Default: none.
    #[must_use]
    pub fn in_iface(mut self, name: impl Into<String>) -> Self {
        self.in_iface = Some(name.into());
        self
    }

    /// Appends a record as a `flow` event.
    pub fn flow(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        let (first, second) = (&record.initiator, &record.responder);
        let mut event = self.event("flow", record, [first, second], out);
        let mut flow = event.object("flow");
        flow.number("pkts_toserver", first.packets);
        flow.number("pkts_toclient", second.packets);
        flow.number("bytes_toserver", first.bytes);
        flow.number("bytes_toclient", second.bytes);
        times(&mut flow, record.start_ns, record.end_ns);
        flow.text("state", state(record));
        flow.text("reason", reason(record));
        flow.boolean("alerted", false);
        flow.end();
        if record.protocol == 6 {
            let mut tcp = event.object("tcp");
            let all = first.tcp_flags | second.tcp_flags;
            flags(&mut tcp, "tcp_flags", all);
            flags(&mut tcp, "tcp_flags_ts", first.tcp_flags);
            flags(&mut tcp, "tcp_flags_tc", second.tcp_flags);
            set_flags(&mut tcp, all);
            for (name, end) in [("ts_gap", first), ("tc_gap", second)] {
                if end.missed_bytes.is_some_and(|bytes| bytes != 0) {
                    tcp.boolean(name, true);
                }
            }
            tcp.end();
        }
        event.end();
        out.push(b'\n');
    }

    /// Appends a record as `netflow` events, one for each end that sent.
    pub fn netflow(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        let (first, second) = (&record.initiator, &record.responder);
        for (from, to) in [(first, second), (second, first)] {
            if from.packets == 0 {
                continue;
            }
            let mut event = self.event("netflow", record, [from, to], out);
            let mut netflow = event.object("netflow");
            netflow.number("pkts", from.packets);
            netflow.number("bytes", from.bytes);
            let start = from.first_ns.unwrap_or(record.start_ns);
            times(&mut netflow, start, from.last_ns.unwrap_or(record.end_ns));
            netflow.end();
            if record.protocol == 6 {
                let mut tcp = event.object("tcp");
                flags(&mut tcp, "tcp_flags", from.tcp_flags);
                set_flags(&mut tcp, from.tcp_flags);
                tcp.end();
            }
            event.end();
            out.push(b'\n');
        }
    }

    /// The start of every event.
    fn event<'a>(
        &self,
        kind: &str,
        record: &FlowRecord,
        [from, to]: [&SideRecord; 2],
        out: &'a mut Vec<u8>,
    ) -> Object<'a> {
        let mut event = Object::new(out);
        stamp(&mut event, "timestamp", record.time_ns);
        event.number("flow_id", record.number() & ((1 << 53) - 1));
        event.known_text("in_iface", self.in_iface.as_deref());
        event.text("event_type", kind);
        if let Some(outer) = record.vlan {
            event.key("vlan");
            event.out.push(b'[');
            text::number(event.out, outer.into());
            if let Some(inner) = record.inner_vlan {
                event.out.push(b',');
                text::number(event.out, inner.into());
            }
            event.out.push(b']');
        }
        event.tunnel(record.tunnel);
        let names = [("src_ip", "src_port"), ("dest_ip", "dest_port")];
        for (end, (ip, port)) in [from, to].into_iter().zip(names) {
            event.key(ip);
            event.out.push(b'"');
            text::addr(event.out, end.addr);
            event.out.push(b'"');
            event.known(port, end.port.map(Into::into));
        }
        event.number("ip_v", if from.addr.is_ipv6() { 6 } else { 4 });
        protocol(&mut event, record.protocol);
        if let Some(kind) = record.icmp {
            event.number("icmp_type", kind.icmp_type.into());
            event.number("icmp_code", kind.code.into());
        }
        event.community_id(record.community_id);
        event.text("app_proto", record.service.as_deref().unwrap_or("failed"));
        event
    }
}

fn protocol(event: &mut Object<'_>, protocol: u8) {
    event.key("proto");
    let name = match protocol {
        1 => "ICMP",
        6 => "TCP",
        17 => "UDP",
        58 => "IPv6-ICMP",
        132 => "SCTP",
        _ => "",
    };
    event.out.push(b'"');
    event.out.extend_from_slice(name.as_bytes());
    if name.is_empty() {
        text::padded(event.out, protocol.into(), 3);
    }
    event.out.push(b'"');
}

fn state(record: &FlowRecord) -> &'static str {
    match record.state {
        ConnState::S0 => "new",
        _ if record.protocol != 6 => {
            let both = record.initiator.packets != 0 && record.responder.packets != 0;
            if both { "established" } else { "new" }
        }
        ConnState::S1 | ConnState::S2 | ConnState::S3 => "established",
        ConnState::Oth | ConnState::Sh | ConnState::Shr => "new",
        _ => "closed",
    }
}

fn reason(record: &FlowRecord) -> &'static str {
    match (record.kind, record.reason) {
        (RecordKind::Active, _) => "forced",
        (_, Some(EndReason::PortReuse)) => "tcp_reuse",
        (_, Some(EndReason::Emergency | EndReason::TableFull)) => "forced",
        (_, Some(EndReason::SourceEnded)) => "shutdown",
        (_, Some(EndReason::Finished | EndReason::Reset | EndReason::IdleTimeout)) => "timeout",
        (_, None) => "unknown",
    }
}

fn times(object: &mut Object<'_>, start: i64, end: i64) {
    stamp(object, "start", start);
    stamp(object, "end", end);
    let seconds = |time: i64| time.div_euclid(1_000_000_000);
    let age = seconds(end).saturating_sub(seconds(start));
    object.number("age", u64::try_from(age).unwrap_or_default());
}

/// A time as `2023-11-14T22:13:20.123456+0000`.
fn stamp(object: &mut Object<'_>, key: &'static str, nanos: i64) {
    object.key(key);
    let out = &mut object.out;
    out.push(b'"');
    let date = text::civil(nanos.div_euclid(1_000_000_000));
    let marks = [b'-', b'-', b'T', b':', b':', b'.'];
    for (place, (part, mark)) in date.into_iter().zip(marks).enumerate() {
        text::padded(out, part.unsigned_abs(), if place == 0 { 4 } else { 2 });
        out.push(mark);
    }
    let micros = nanos.rem_euclid(1_000_000_000) / 1000;
    text::padded(out, micros.unsigned_abs(), 6);
    out.extend_from_slice(b"+0000\"");
}

fn flags(object: &mut Object<'_>, key: &'static str, flags: u8) {
    object.key(key);
    object.out.push(b'"');
    text::hex(object.out, flags);
    object.out.push(b'"');
}

fn set_flags(object: &mut Object<'_>, flags: u8) {
    for (name, flag) in FLAGS {
        if flags & flag != 0 {
            object.boolean(name, true);
        }
    }
}
