//! Lines of JSON, as serde reads them.

use netring_flow::export::{FlowRecord, JsonLines};
use proptest::prelude::*;
use serde_json::{Value, from_str, json, to_value};

use crate::records::{any_record, full};

fn line(record: &FlowRecord) -> String {
    let mut out = Vec::new();
    JsonLines::new().record(record, &mut out);
    String::from_utf8(out).unwrap()
}

/// The schema: a change here breaks those who read records.
#[test]
fn the_schema_of_a_record_is_what_is_documented() {
    let written: Value = from_str(&line(&full())).unwrap();
    assert_eq!(
        written,
        json!({
            "schema": 1,
            "kind": "end",
            "worker": 3,
            "flow": 7,
            "time_ns": 1_700_000_009_000_000_001_i64,
            "protocol": 6,
            "vlan": 5,
            "inner_vlan": 6,
            "tunnel": {"kind": "vxlan", "id": 99},
            "start_ns": 1_700_000_000_123_456_789_i64,
            "end_ns": 1_700_000_003_000_000_000_i64,
            "productive_end_ns": 1_700_000_002_500_000_999_i64,
            "reason": "port-reuse",
            "state": "SF",
            "history": "ShADadTtFf",
            "established": true,
            "cut": true,
            "malformed": false,
            "icmp": {"type": 8, "code": 1},
            "rtt_ns": 1_500_000,
            "service": "a \"quoted\\ one\"\n",
            "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "initiator": {
                "addr": "192.0.2.7",
                "port": 40_000,
                "packets": 10,
                "bytes": 1000,
                "ip_bytes": 860,
                "payload_bytes": 300,
                "stream_bytes": 250,
                "missed_bytes": 3,
                "first_ns": 1_700_000_000_123_456_789_i64,
                "last_ns": 1_700_000_003_000_000_000_i64,
                "tcp_flags": 0x1b,
                "syn": 1,
                "fin": 1,
                "rst": 0,
                "retransmitted": 2,
                "out_of_order": 1,
                "zero_windows": 4,
                "mpls": {"label": 0xf_1234, "class": 5, "bottom": true},
            },
            "responder": {
                "addr": "198.51.100.1",
                "port": 443,
                "packets": 8,
                "bytes": 9000,
                "ip_bytes": 8888,
                "payload_bytes": 8500,
                "stream_bytes": 8400,
                "missed_bytes": 0,
                "first_ns": 1_700_000_000_124_000_000_i64,
                "last_ns": 1_700_000_002_900_000_000_i64,
                "tcp_flags": 0x1b,
                "syn": 1,
                "fin": 1,
                "rst": 1,
                "retransmitted": 0,
                "out_of_order": 0,
                "zero_windows": 0,
            },
        })
    );
}

#[test]
fn each_field_is_documented() {
    let schema = include_str!("../../src/export/record/schema.md");
    let written: Value = from_str(&line(&full())).unwrap();
    let ends = ["initiator", "responder"].map(|end| written[end].as_object().unwrap().keys());
    let names = written
        .as_object()
        .unwrap()
        .keys()
        .chain(ends.into_iter().flatten());
    for name in names {
        let is_named = |row: &str| row.starts_with("| `") && row.contains(&format!("`{name}`"));
        assert!(schema.lines().any(is_named), "{name}");
    }
}

#[test]
fn what_is_unknown_is_absent() {
    let end = "[2001:db8::1]:5".parse().unwrap();
    let record = FlowRecord::new("1".parse().unwrap(), 58, end, end);
    let mut written: Value = from_str(&line(&record)).unwrap();
    let mut keys: Vec<_> = written.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "cut",
            "end_ns",
            "established",
            "flow",
            "history",
            "initiator",
            "kind",
            "malformed",
            "protocol",
            "responder",
            "schema",
            "start_ns",
            "state",
            "time_ns",
        ]
    );
    // Fields that are added later do not disturb a reader.
    written["added_later"] = json!(5);
    written["initiator"]["added_later"] = json!("x");
    assert_eq!(
        serde_json::from_value::<FlowRecord>(written).unwrap(),
        record
    );
}

#[test]
fn what_is_no_record_is_refused() {
    let written: Value = from_str(&line(&full())).unwrap();
    for (field, value) in [
        ("reason", json!("because")),
        ("state", json!("sf")),
        ("history", json!("S\n")),
        ("flow", json!(0)),
        ("initiator", json!(null)),
        ("kind", json!("begin")),
    ] {
        let mut broken = written.clone();
        broken[field] = value;
        assert!(
            serde_json::from_value::<FlowRecord>(broken).is_err(),
            "{field}"
        );
    }
}

proptest! {
    #[test]
    fn every_record_is_one_line_that_reads_back_equal(record in any_record()) {
        let line = line(&record);
        prop_assert_eq!(line.matches(['\n', '\r']).count(), 1);
        prop_assert!(line.ends_with('\n'));
        let value: Value = from_str(&line).unwrap();
        prop_assert_eq!(&value, &to_value(&record).unwrap());
        prop_assert_eq!(from_str::<FlowRecord>(&line).unwrap(), record);
    }
}
