//! Records of any packets in all formats: each reads back as its format demands.

use std::collections::HashMap;

use netring_flow::export::{ConnLog, Eve, FlowRecord, FlowRecorder, Ipfix, JsonLines};
use netring_flow::extract::{FiveTuple, Tunnels};
use netring_flow::{FlowTracker, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, Timestamp};
use serde_json::Value;

const LINKS: [u16; 4] = [1, 101, 113, 276];

/// Each packet: two bits for the link type, six for the time that passed (two's complement, so that
/// it goes back as well), a byte for its length, its bytes.
pub(crate) fn run(input: &[u8]) {
    let extract = FiveTuple::bidirectional().with_vlan();
    let extract = extract.with_tunnels(Tunnels::all()).with_tunnel_id();
    let mut tracker = FlowTracker::with_config(extract, TrackerConfig::new().max_flows(8))
        .expect("the settings are in range");
    let mut recorder = FlowRecorder::new().community_id(0);
    let mut formats = Formats::default();
    let (mut rest, mut now) = (input, 1_700_000_000_000_000_000_i64);
    while let Some((&[how, len], tail)) = rest.split_first_chunk() {
        let (data, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        now = match how >> 2 {
            0x20 => i64::MIN,
            0x1f => i64::MAX,
            passed => now.saturating_add(i64::from((passed << 2).cast_signed()) * 500_000_000),
        };
        let time = Timestamp::from_nanos(now, Clock::Unknown);
        let packet = Packet::new(data, time, LinkType(LINKS[usize::from(how & 3)]));
        tracker.track(&packet, &mut recorder);
        recorder.drain().for_each(|record| formats.check(&record));
    }
    while tracker.finish(&mut recorder) {}
    recorder.drain().for_each(|record| formats.check(&record));
    formats.flush();
    let stats = tracker.stats();
    assert_eq!(formats.ended, stats.ended.total());
    assert_eq!(formats.packets, stats.tracked);
}

/// The encoders, and what was read back.
struct Formats {
    ipfix: Ipfix,
    fields: usize,
    ended: u64,
    packets: u64,
    /// Records in IPFIX messages.
    sent: u32,
    lengths: HashMap<usize, usize>,
}

impl Default for Formats {
    fn default() -> Self {
        let mut header = Vec::new();
        ConnLog::new()
            .community_id(true)
            .header(Timestamp::EPOCH, &mut header);
        let header = String::from_utf8(header).expect("UTF-8");
        let fields = header.lines().find(|line| line.starts_with("#fields\t"));
        Self {
            ipfix: Ipfix::new(),
            fields: fields.expect("names").split('\t').count() - 1,
            ended: 0,
            packets: 0,
            sent: 0,
            lengths: HashMap::new(),
        }
    }
}

impl Formats {
    fn check(&mut self, record: &FlowRecord) {
        if record.reason.is_some() {
            self.ended += 1;
            self.packets += record.initiator.packets + record.responder.packets;
        }
        let mut text = Vec::new();
        JsonLines::new().record(record, &mut text);
        let line = object(&text);
        assert_eq!(line["initiator"]["packets"], record.initiator.packets);
        let mut text = Vec::new();
        Eve::new().flow(record, &mut text);
        let event = object(&text);
        assert_eq!(event["flow"]["pkts_toclient"], record.responder.packets);
        let mut text = Vec::new();
        Eve::new().netflow(record, &mut text);
        for event in text.split_inclusive(|byte| *byte == b'\n') {
            assert_eq!(object(event)["event_type"], "netflow");
        }
        let log = ConnLog::new().community_id(true);
        let mut text = Vec::new();
        log.json(record, &mut text);
        // What is unset is left out.
        let history = object(&text)["history"].as_str().map(str::to_owned);
        assert_eq!(history.unwrap_or_default(), record.history.as_str());
        let mut text = Vec::new();
        log.record(record, &mut text);
        let row = String::from_utf8(text).expect("UTF-8");
        let row = row.strip_suffix('\n').expect("a line");
        assert!(!row.contains('\n'), "{row}");
        let values: Vec<_> = row.split('\t').collect();
        assert_eq!(values.len(), self.fields, "{row}");
        assert!(values.iter().all(|value| !value.is_empty()), "{row}");
        let mut messages = Vec::new();
        self.ipfix
            .record(record, |message| messages.push(message.to_vec()));
        messages.iter().for_each(|message| self.message(message));
    }

    fn flush(&mut self) {
        let mut messages = Vec::new();
        self.ipfix.flush(|message| messages.push(message.to_vec()));
        messages.iter().for_each(|message| self.message(message));
        assert_eq!(self.ipfix.sequence(), self.sent);
    }

    /// An IPFIX message: its header, and whole sets of templates or records.
    fn message(&mut self, message: &[u8]) {
        assert_eq!((be16(message), be16(&message[2..])), (10, message.len()));
        assert_eq!(message[8..12], self.sent.to_be_bytes());
        let mut rest = &message[16..];
        while !rest.is_empty() {
            let (id, len) = (be16(rest), be16(&rest[2..]));
            assert!(len > 4 && len.is_multiple_of(4));
            let (set, after) = rest.split_at(len);
            if id == 2 {
                self.templates(&set[4..]);
            } else {
                // What is left is padding.
                self.sent += ((len - 4) / self.lengths[&id]) as u32;
            }
            rest = after;
        }
    }

    /// The length of a record by each template.
    fn templates(&mut self, mut set: &[u8]) {
        while let Some((header, fields)) = set.split_first_chunk::<4>() {
            let (mut len, mut at) = (0, 0);
            for _ in 0..be16(&header[2..]) {
                len += be16(&fields[at + 2..]);
                at += if fields[at] & 0x80 == 0 { 4 } else { 8 };
            }
            self.lengths.insert(be16(header), len);
            set = &fields[at..];
        }
    }
}

fn be16(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

fn object(line: &[u8]) -> Value {
    let (end, line) = line.split_last().expect("a line");
    assert_eq!(*end, b'\n');
    assert!(!line.contains(&b'\n'));
    let value: Value = serde_json::from_slice(line).expect("valid JSON");
    assert!(value.is_object());
    value
}
