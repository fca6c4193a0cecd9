//! Lines of JSON.

use super::text;
use super::{FlowRecord, RecordKind, SideRecord, TunnelRecord};
use crate::extract::CommunityId;

/// Writes records as lines of JSON: an object with the fields of [`FlowRecord`], in their order.
///
/// The output equals that of serde, without needing the feature.
///
/// ```
/// use netring_flow::export::{FlowRecord, JsonLines};
/// use netring_flow::FlowId;
///
/// let (client, server) = ("192.0.2.7:40000".parse()?, "192.0.2.1:443".parse()?);
/// let record = FlowRecord::new("1".parse::<FlowId>()?, 6, client, server);
/// let mut lines = Vec::new();
/// JsonLines::new().record(&record, &mut lines);
/// let line = String::from_utf8(lines)?;
/// assert!(line.starts_with(r#"{"schema":1,"kind":"end","flow":1,"#));
/// assert!(line.ends_with("}\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonLines(());

impl JsonLines {
    /// Creates an encoder.
    pub const fn new() -> Self {
        Self(())
    }

    /// Appends a record and a line feed.
    pub fn record(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        let mut object = Object::new(out);
        object.number("schema", record.schema.into());
        object.text(
            "kind",
            match record.kind {
                RecordKind::End => "end",
                RecordKind::Active => "active",
            },
        );
        object.known("worker", record.worker.map(Into::into));
        object.number("flow", record.flow.get());
        object.signed("time_ns", record.time_ns);
        object.number("protocol", record.protocol.into());
        object.known("vlan", record.vlan.map(Into::into));
        object.known("inner_vlan", record.inner_vlan.map(Into::into));
        object.tunnel(record.tunnel);
        object.signed("start_ns", record.start_ns);
        object.signed("end_ns", record.end_ns);
        object.known_signed("productive_end_ns", record.productive_end_ns);
        object.known_text("reason", record.reason.map(|reason| reason.as_str()));
        object.text("state", record.state.as_str());
        object.text("history", record.history.as_str());
        object.boolean("established", record.established);
        object.boolean("cut", record.cut);
        object.boolean("malformed", record.malformed);
        if let Some(icmp) = record.icmp {
            let mut kind = object.object("icmp");
            kind.number("type", icmp.icmp_type.into());
            kind.number("code", icmp.code.into());
            kind.end();
        }
        object.known("rtt_ns", record.rtt_ns);
        object.known_text("service", record.service.as_deref());
        object.community_id(record.community_id);
        side(object.object("initiator"), &record.initiator);
        side(object.object("responder"), &record.responder);
        object.end();
        out.push(b'\n');
    }
}

fn side(mut object: Object<'_>, side: &SideRecord) {
    object.key("addr");
    object.out.push(b'"');
    text::addr(object.out, side.addr);
    object.out.push(b'"');
    object.known("port", side.port.map(Into::into));
    object.number("packets", side.packets);
    object.number("bytes", side.bytes);
    object.known("ip_bytes", side.ip_bytes);
    object.number("payload_bytes", side.payload_bytes);
    object.known("stream_bytes", side.stream_bytes);
    object.known("missed_bytes", side.missed_bytes);
    object.known_signed("first_ns", side.first_ns);
    object.known_signed("last_ns", side.last_ns);
    object.number("tcp_flags", side.tcp_flags.into());
    object.number("syn", side.syn);
    object.number("fin", side.fin);
    object.number("rst", side.rst);
    object.number("retransmitted", side.retransmitted);
    object.number("out_of_order", side.out_of_order);
    object.known("zero_windows", side.zero_windows);
    if let Some(mpls) = side.mpls {
        let mut entry = object.object("mpls");
        entry.number("label", mpls.label.into());
        entry.number("class", mpls.class.into());
        entry.boolean("bottom", mpls.bottom);
        entry.end();
    }
    object.end();
}

/// An object that is being written.
pub(super) struct Object<'a> {
    pub(super) out: &'a mut Vec<u8>,
    is_first: bool,
}

impl<'a> Object<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_first: true,
        }
    }

    /// Keys are literals that need no escaping.
    pub(super) fn key(&mut self, key: &'static str) {
        if !self.is_first {
            self.out.push(b',');
        }
        self.is_first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(super) fn number(&mut self, key: &'static str, number: u64) {
        self.key(key);
        text::number(self.out, number);
    }

    pub(super) fn signed(&mut self, key: &'static str, number: i64) {
        self.key(key);
        text::signed(self.out, number);
    }

    pub(super) fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        text::json_string(self.out, value);
    }

    pub(super) fn boolean(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn known(&mut self, key: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    fn known_signed(&mut self, key: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            self.signed(key, value);
        }
    }

    pub(super) fn known_text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    pub(super) fn community_id(&mut self, id: Option<CommunityId>) {
        if let Some(id) = id {
            self.key("community_id");
            self.out.push(b'"');
            self.out.extend_from_slice(&id.text());
            self.out.push(b'"');
        }
    }

    pub(super) fn tunnel(&mut self, tunnel: Option<TunnelRecord>) {
        if let Some(TunnelRecord { kind, id }) = tunnel {
            let mut object = self.object("tunnel");
            object.text("kind", kind.name());
            object.known("id", id.map(Into::into));
            object.end();
        }
    }

    pub(super) fn object(&mut self, key: &'static str) -> Object<'_> {
        self.key(key);
        Object::new(self.out)
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}
