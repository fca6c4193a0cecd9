//! Zeek's conn.log.

mod uid;

use std::net::IpAddr;

use netring_sys::Timestamp;

use super::FlowRecord;
use super::json::Object;
use super::text;
use crate::extract::icmp_counterpart;
use uid::Uid;

/// Writes records as Zeek's `conn.log`: tab-separated with header lines, as `zeek-cut` and other
/// readers expect, or as lines of JSON.
///
#[doc = include_str!("zeek/fields.md")]
///
/// Records of a [`FlowRecorder`](super::FlowRecorder) fill all columns. Zeek writes a line when a
/// connection ends: leave out the records of active flows
/// ([`RecordKind::Active`](super::RecordKind::Active)) to do the same.
///
/// ```
/// use netring_flow::FlowId;
/// use netring_flow::export::{ConnLog, FlowRecord};
/// use netring_sys::Timestamp;
///
/// let (client, server) = ("192.0.2.7:40000".parse()?, "192.0.2.1:443".parse()?);
/// let record = FlowRecord::new("1".parse::<FlowId>()?, 6, client, server);
/// let log = ConnLog::new();
/// let mut text = Vec::new();
/// log.header(Timestamp::now(), &mut text);
/// log.record(&record, &mut text);
/// log.footer(Timestamp::now(), &mut text);
/// let text = String::from_utf8(text)?;
/// assert!(text.starts_with("#separator \\x09\n"));
/// assert!(text.contains("\t192.0.2.7\t40000\t192.0.2.1\t443\ttcp\t-\t"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnLog {
    community_id: bool,
    seed: u64,
    is_local: Option<fn(IpAddr) -> bool>,
}

/// The columns: name and type. The last one is optional.
const COLUMNS: [(&str, &str); 23] = [
    ("ts", "time"),
    ("uid", "string"),
    ("id.orig_h", "addr"),
    ("id.orig_p", "port"),
    ("id.resp_h", "addr"),
    ("id.resp_p", "port"),
    ("proto", "enum"),
    ("service", "string"),
    ("duration", "interval"),
    ("orig_bytes", "count"),
    ("resp_bytes", "count"),
    ("conn_state", "string"),
    ("local_orig", "bool"),
    ("local_resp", "bool"),
    ("missed_bytes", "count"),
    ("history", "string"),
    ("orig_pkts", "count"),
    ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"),
    ("resp_ip_bytes", "count"),
    ("tunnel_parents", "set[string]"),
    ("ip_proto", "count"),
    ("community_id", "string"),
];

impl ConnLog {
    /// The columns of Zeek's own scripts, and a seed of 0.
    pub const fn new() -> Self {
        Self {
            community_id: false,
            seed: 0,
            is_local: None,
        }
    }

    /// Adds the column `community_id`. Default: off.
    #[must_use]
    pub const fn community_id(mut self, add: bool) -> Self {
        self.community_id = add;
        self
    }

    /// Sets a number that goes into `uid` along with the flow and its start. Trackers whose logs
    /// are merged need different ones. Default: 0.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets which addresses are local, as `Site::local_nets` of Zeek does. Default: not known, so
    /// `local_orig` and `local_resp` are unset.
    ///
    /// ```
    /// use std::net::IpAddr;
    ///
    /// use netring_flow::export::ConnLog;
    ///
    /// let log = ConnLog::new().local(|addr| match addr {
    ///     IpAddr::V4(addr) => addr.is_private(),
    ///     IpAddr::V6(addr) => addr.is_unique_local(),
    /// });
    /// # let _ = log;
    /// ```
    #[must_use]
    pub const fn local(mut self, is_local: fn(IpAddr) -> bool) -> Self {
        self.is_local = Some(is_local);
        self
    }

    /// Appends the header lines of a tab-separated log opened at this time, which they give in UTC.
    pub fn header(&self, opened: Timestamp, out: &mut Vec<u8>) {
        // The separator is written escaped, after a space.
        out.extend_from_slice(b"#separator \\x09\n#set_separator\t,\n");
        out.extend_from_slice(b"#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n");
        stamp("#open", opened, out);
        out.extend_from_slice(b"#fields");
        for (name, _) in self.columns() {
            out.push(b'\t');
            out.extend_from_slice(name.as_bytes());
        }
        out.extend_from_slice(b"\n#types");
        for (_, kind) in self.columns() {
            out.push(b'\t');
            out.extend_from_slice(kind.as_bytes());
        }
        out.push(b'\n');
    }

    /// Appends the last line of a tab-separated log closed at this time.
    pub fn footer(&self, closed: Timestamp, out: &mut Vec<u8>) {
        stamp("#close", closed, out);
    }

    /// Appends a record as a tab-separated line.
    pub fn record(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        let row = Row::of(record);
        let mut line = Line { out };
        text::seconds(line.out, row.start);
        line.next();
        self.uid(record).write(line.out);
        for (end, port) in [&record.initiator, &record.responder]
            .into_iter()
            .zip(row.ports)
        {
            line.next();
            text::addr(line.out, end.addr);
            line.count(Some(port.into()));
        }
        line.next();
        line.out.extend_from_slice(row.protocol.as_bytes());
        line.string(record.service.as_deref());
        line.next();
        match row.duration {
            Some(micros) => text::seconds(line.out, micros),
            None => line.out.push(b'-'),
        }
        row.bytes.into_iter().for_each(|bytes| line.count(bytes));
        line.string(Some(record.state.as_str()));
        for end in [&record.initiator, &record.responder] {
            line.next();
            line.out
                .push(match self.is_local.map(|is_local| is_local(end.addr)) {
                    None => b'-',
                    Some(true) => b'T',
                    Some(false) => b'F',
                });
        }
        line.count(Some(row.missed));
        let history = record.history.as_str();
        line.string(Some(history).filter(|history| !history.is_empty()));
        for end in [&record.initiator, &record.responder] {
            line.count(Some(end.packets));
            line.count(end.ip_bytes);
        }
        line.out.extend_from_slice(b"\t-");
        line.count(Some(record.protocol.into()));
        if self.community_id {
            let id = record.community_id.map(|id| id.text());
            line.string(id.as_ref().and_then(|id| str::from_utf8(id).ok()));
        }
        out.push(b'\n');
    }

    /// Appends a record as a line of JSON: the same names, times as numbers of seconds, and unset
    /// fields omitted.
    pub fn json(&self, record: &FlowRecord, out: &mut Vec<u8>) {
        let row = Row::of(record);
        let mut object = Object::new(out);
        object.key("ts");
        text::seconds(object.out, row.start);
        object.key("uid");
        object.out.push(b'"');
        self.uid(record).write(object.out);
        object.out.push(b'"');
        let ends = [&record.initiator, &record.responder];
        let names = [("id.orig_h", "id.orig_p"), ("id.resp_h", "id.resp_p")];
        for ((end, (addr, port)), number) in ends.into_iter().zip(names).zip(row.ports) {
            object.key(addr);
            object.out.push(b'"');
            text::addr(object.out, end.addr);
            object.out.push(b'"');
            object.number(port, number.into());
        }
        object.text("proto", row.protocol);
        object.known_text("service", record.service.as_deref());
        if let Some(micros) = row.duration {
            object.key("duration");
            text::seconds(object.out, micros);
        }
        object.known("orig_bytes", row.bytes[0]);
        object.known("resp_bytes", row.bytes[1]);
        object.text("conn_state", record.state.as_str());
        if let Some(is_local) = self.is_local {
            object.boolean("local_orig", is_local(record.initiator.addr));
            object.boolean("local_resp", is_local(record.responder.addr));
        }
        object.number("missed_bytes", row.missed);
        let history = record.history.as_str();
        object.known_text(
            "history",
            Some(history).filter(|history| !history.is_empty()),
        );
        object.number("orig_pkts", record.initiator.packets);
        object.known("orig_ip_bytes", record.initiator.ip_bytes);
        object.number("resp_pkts", record.responder.packets);
        object.known("resp_ip_bytes", record.responder.ip_bytes);
        object.number("ip_proto", record.protocol.into());
        if self.community_id {
            object.community_id(record.community_id);
        }
        object.end();
        out.push(b'\n');
    }

    fn columns(&self) -> &'static [(&'static str, &'static str)] {
        let count = COLUMNS.len() - usize::from(!self.community_id);
        &COLUMNS[..count]
    }

    fn uid(&self, record: &FlowRecord) -> Uid {
        Uid::new(self.seed, record.number(), record.start_ns)
    }
}

/// Values common to both forms.
struct Row {
    /// In microseconds, which is Zeek's resolution.
    start: i64,
    duration: Option<i64>,
    ports: [u16; 2],
    protocol: &'static str,
    bytes: [Option<u64>; 2],
    missed: u64,
}

impl Row {
    fn of(record: &FlowRecord) -> Self {
        let end = record.productive_end_ns.unwrap_or(record.end_ns);
        let start = record.start_ns.div_euclid(1000);
        let duration = end.div_euclid(1000).saturating_sub(start);
        let ends = [&record.initiator, &record.responder];
        let is_icmp = matches!(record.protocol, 1 | 58);
        let bytes = ends.map(|end| match end.stream_bytes {
            Some(bytes) => bytes,
            // The bytes after the IP header of a flow without ports include the ICMP header.
            None if is_icmp => end
                .payload_bytes
                .saturating_sub(end.packets.saturating_mul(8)),
            None => end.payload_bytes,
        });
        Self {
            start,
            duration: (duration > 0).then_some(duration),
            ports: match record.icmp {
                Some(kind) if is_icmp => {
                    let icmp_type = kind.icmp_type;
                    let other = icmp_counterpart(record.protocol, icmp_type);
                    [icmp_type.into(), other.unwrap_or(kind.code).into()]
                }
                _ => ends.map(|end| end.port.unwrap_or_default()),
            },
            protocol: match record.protocol {
                1 | 58 => "icmp",
                6 => "tcp",
                17 => "udp",
                _ => "unknown_transport",
            },
            bytes: bytes.map(|bytes| (duration > 0).then_some(bytes)),
            missed: ends
                .iter()
                .filter_map(|end| end.missed_bytes)
                .fold(0, u64::saturating_add),
        }
    }
}

/// A line of values between tabs.
struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl Line<'_> {
    fn next(&mut self) {
        self.out.push(b'\t');
    }

    fn count(&mut self, count: Option<u64>) {
        self.next();
        match count {
            Some(count) => text::number(self.out, count),
            None => self.out.push(b'-'),
        }
    }

    /// A string, escaped so that it is neither a separator nor an unset or empty field.
    fn string(&mut self, string: Option<&str>) {
        self.next();
        let Some(string) = string else {
            self.out.push(b'-');
            return;
        };
        let is_reserved = matches!(string, "-" | "(empty)");
        if string.is_empty() {
            self.out.extend_from_slice(b"(empty)");
        }
        for (place, byte) in string.bytes().enumerate() {
            let is_first = place == 0 && (is_reserved || byte == b'#');
            match byte {
                ..0x20 | 0x7f | b'\\' => escaped(self.out, byte),
                _ if is_first => escaped(self.out, byte),
                _ => self.out.push(byte),
            }
        }
    }
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\x");
    text::hex(out, byte);
}

/// A line with a time.
fn stamp(name: &str, time: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    let date = text::civil(time.as_nanos().div_euclid(1_000_000_000));
    for (place, part) in date.into_iter().enumerate() {
        out.push(if place == 0 { b'\t' } else { b'-' });
        let digits = if place == 0 { 4 } else { 2 };
        text::padded(out, part.unsigned_abs(), digits);
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_explained() {
        let rows = include_str!("zeek/fields.md").lines().skip(2);
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        let names: Vec<_> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        for (name, _) in COLUMNS {
            assert!(names.contains(&name), "{name}");
        }
        assert_eq!(names.len(), COLUMNS.len());
    }
}
