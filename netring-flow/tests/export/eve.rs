//! Suricata's events.

use netring_flow::export::{Eve, FlowRecord, RecordKind};
use proptest::prelude::*;
use serde_json::{Value, from_str, json};

use crate::records::{any_record, full, hostile};

fn events(eve: &Eve, record: &FlowRecord, netflow: bool) -> Vec<Value> {
    let mut out = Vec::new();
    match netflow {
        true => eve.netflow(record, &mut out),
        false => eve.flow(record, &mut out),
    }
    let text = String::from_utf8(out).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| from_str(line).unwrap()).collect()
}

#[test]
fn a_flow_is_an_event() {
    let written = events(&Eve::new().in_iface("eth0"), &full(), false);
    assert_eq!(
        written,
        [json!({
            "timestamp": "2023-11-14T22:13:29.000000+0000",
            "flow_id": 3_298_534_883_335_u64,
            "in_iface": "eth0",
            "event_type": "flow",
            "vlan": [5, 6],
            "tunnel": {"kind": "vxlan", "id": 99},
            "src_ip": "192.0.2.7",
            "src_port": 40_000,
            "dest_ip": "198.51.100.1",
            "dest_port": 443,
            "ip_v": 4,
            "proto": "TCP",
            "icmp_type": 8,
            "icmp_code": 1,
            "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "app_proto": "a \"quoted\\ one\"\n",
            "flow": {
                "pkts_toserver": 10,
                "pkts_toclient": 8,
                "bytes_toserver": 1000,
                "bytes_toclient": 9000,
                "start": "2023-11-14T22:13:20.123456+0000",
                "end": "2023-11-14T22:13:23.000000+0000",
                "age": 3,
                "state": "closed",
                "reason": "tcp_reuse",
                "alerted": false,
            },
            "tcp": {
                "tcp_flags": "1b",
                "tcp_flags_ts": "1b",
                "tcp_flags_tc": "1b",
                "syn": true,
                "fin": true,
                "psh": true,
                "ack": true,
                "ts_gap": true,
            },
        })]
    );
}

#[test]
fn a_netflow_is_an_event_for_each_direction() {
    let mut record = full();
    let written = events(&Eve::new(), &record, true);
    assert_eq!(written.len(), 2);
    let there = json!({
        "pkts": 10,
        "bytes": 1000,
        "start": "2023-11-14T22:13:20.123456+0000",
        "end": "2023-11-14T22:13:23.000000+0000",
        "age": 3,
    });
    assert_eq!(written[0]["netflow"], there);
    assert_eq!(written[0]["src_port"], json!(40_000));
    assert_eq!(written[1]["netflow"]["bytes"], json!(9000));
    assert_eq!(written[1]["src_ip"], json!("198.51.100.1"));
    assert_eq!(written[1]["dest_port"], json!(40_000));
    assert_eq!(written[1]["tcp"]["tcp_flags"], json!("1b"));
    record.responder.packets = 0;
    assert_eq!(events(&Eve::new(), &record, true).len(), 1);
}

#[test]
fn states_and_reasons_are_those_of_suricata() {
    for (state, protocol, reason, expected) in [
        ("S0", 6, "idle", ["new", "timeout"]),
        ("S1", 6, "source-ended", ["established", "shutdown"]),
        ("SF", 6, "finished", ["closed", "timeout"]),
        ("RSTR", 6, "reset", ["closed", "timeout"]),
        ("SF", 17, "table-full", ["established", "forced"]),
        ("OTH", 47, "emergency", ["established", "forced"]),
    ] {
        let mut record = full();
        record.state = state.parse().unwrap();
        record.protocol = protocol;
        record.reason = Some(reason.parse().unwrap());
        let written = &events(&Eve::new(), &record, false)[0];
        assert_eq!(written["flow"]["state"], json!(expected[0]), "{state}");
        assert_eq!(written["flow"]["reason"], json!(expected[1]), "{reason}");
        assert_eq!(written.get("tcp").is_some(), protocol == 6);
    }
    let mut record = full();
    (record.protocol, record.kind) = (47, RecordKind::Active);
    let written = &events(&Eve::new(), &record, false)[0];
    assert_eq!(written["proto"], json!("047"));
    assert_eq!(written["flow"]["reason"], json!("forced"));
}

proptest! {
    #[test]
    fn every_record_is_valid_json(record in any_record(), interface in hostile()) {
        let eve = Eve::new().in_iface(interface.clone());
        let flow = events(&eve, &record, false);
        prop_assert_eq!(flow.len(), 1);
        prop_assert_eq!(flow[0]["in_iface"].as_str(), Some(&interface[..]));
        prop_assert_eq!(flow[0]["flow"]["pkts_toclient"].as_u64(), Some(record.responder.packets));
        let sent = [record.initiator.packets, record.responder.packets];
        let directions = sent.into_iter().filter(|packets| *packets != 0).count();
        prop_assert_eq!(events(&eve, &record, true).len(), directions);
    }
}
