//! conn.log, as a reader by Zeek's rules sees it.

use std::collections::HashMap;
use std::net::IpAddr;

use netring_flow::export::{ConnLog, FlowRecord};
use netring_sys::{Clock, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, from_str, json};

use crate::records::{any_record, full};

/// A log by its own header lines: the rows as values by name; `None` is unset. This is what
/// `zeek-cut` does.
fn read(text: &[u8]) -> Vec<HashMap<String, Option<String>>> {
    let text = std::str::from_utf8(text).unwrap();
    let mut names = Vec::new();
    let mut rows = Vec::new();
    for line in text.split_terminator('\n') {
        if let Some(fields) = line.strip_prefix("#fields\t") {
            names = fields.split('\t').map(str::to_owned).collect();
        } else if !line.starts_with('#') {
            let values: Vec<_> = line.split('\t').collect();
            assert_eq!(values.len(), names.len(), "{line:?}");
            let values = values.into_iter().map(value);
            rows.push(names.iter().cloned().zip(values).collect());
        }
    }
    rows
}

fn value(text: &str) -> Option<String> {
    match text {
        "-" => None,
        "(empty)" => Some(String::new()),
        _ => Some(unescaped(text)),
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [b'\\', b'x', high, low, after @ ..] => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn log(log: ConnLog, records: &[FlowRecord]) -> Vec<u8> {
    let mut text = Vec::new();
    let time = Timestamp::from_nanos(1_700_000_000_000_000_000, Clock::Unknown);
    log.header(time, &mut text);
    for record in records {
        log.record(record, &mut text);
    }
    log.footer(time, &mut text);
    text
}

/// Byte for byte what Zeek writes, but for the time zone and the identifier.
#[test]
fn a_log_is_what_zeek_writes() {
    let text = String::from_utf8(log(ConnLog::new(), &[full()])).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    assert_eq!(
        lines[..8],
        [
            "#separator \\x09\n",
            "#set_separator\t,\n",
            "#empty_field\t(empty)\n",
            "#unset_field\t-\n",
            "#path\tconn\n",
            "#open\t2023-11-14-22-13-20\n",
            "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\tconn_state\tlocal_orig\tlocal_resp\tmissed_bytes\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents\tip_proto\n",
            "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\tbool\tbool\tcount\tstring\tcount\tcount\tcount\tcount\tset[string]\tcount\n",
        ]
    );
    let (uid, rest) = lines[8]
        .strip_prefix("1700000000.123456\t")
        .and_then(|rest| rest.split_once('\t'))
        .unwrap();
    assert_eq!(
        rest,
        "192.0.2.7\t40000\t198.51.100.1\t443\ttcp\ta \"quoted\\x5c one\"\\x0a\t2.376544\t250\t8400\tSF\t-\t-\t3\tShADadTtFf\t10\t860\t8\t8888\t-\t6\n"
    );
    assert!(
        uid.starts_with('C') && (8..=18).contains(&uid.len()),
        "{uid}"
    );
    assert!(
        uid.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{uid}"
    );
    assert_eq!(lines[9..], ["#close\t2023-11-14-22-13-20\n"]);
}

#[test]
fn a_flow_without_duration_has_no_bytes() {
    let mut record = full();
    // Less than a microsecond, which is Zeek's resolution.
    record.start_ns = 1_700_000_000_000_000_001;
    record.productive_end_ns = Some(1_700_000_000_000_000_999);
    let rows = read(&log(ConnLog::new(), std::slice::from_ref(&record)));
    for name in ["duration", "orig_bytes", "resp_bytes"] {
        assert_eq!(rows[0][name], None, "{name}");
    }
    assert_eq!(rows[0]["orig_pkts"].as_deref(), Some("10"));
}

#[test]
fn ends_are_local_by_a_function() {
    let log_of = |with| log(with, &[full()]);
    let local = ConnLog::new().local(|addr| addr == "192.0.2.7".parse::<IpAddr>().unwrap());
    let rows = [read(&log_of(ConnLog::new())), read(&log_of(local))];
    let column = |row: usize, name: &str| rows[row][0][name].clone();
    assert_eq!(
        (column(0, "local_orig"), column(0, "local_resp")),
        (None, None)
    );
    assert_eq!(column(1, "local_orig").as_deref(), Some("T"));
    assert_eq!(column(1, "local_resp").as_deref(), Some("F"));
    let mut line = Vec::new();
    local.json(&full(), &mut line);
    let value: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(
        (&value["local_orig"], &value["local_resp"]),
        (&json!(true), &json!(false))
    );
}

#[test]
fn icmp_has_types_for_ports() {
    for (protocol, icmp_type, code, ports, name) in [
        (1, 8, 0, ["8", "0"], "icmp"),
        (1, 3, 1, ["3", "1"], "icmp"),
        (1, 13, 0, ["13", "14"], "icmp"),
        (58, 128, 0, ["128", "129"], "icmp"),
        (58, 136, 0, ["136", "135"], "icmp"),
        (58, 143, 0, ["143", "0"], "icmp"),
        (17, 8, 0, ["40000", "443"], "udp"),
        (47, 8, 0, ["40000", "443"], "unknown_transport"),
    ] {
        let mut record = full();
        record.protocol = protocol;
        let icmp = record.icmp.as_mut().unwrap();
        (icmp.icmp_type, icmp.code) = (icmp_type, code);
        let rows = read(&log(ConnLog::new(), &[record]));
        for (column, port) in ["id.orig_p", "id.resp_p"].into_iter().zip(ports) {
            assert_eq!(
                rows[0][column].as_deref(),
                Some(port),
                "{protocol} {icmp_type}"
            );
        }
        assert_eq!(rows[0]["proto"].as_deref(), Some(name));
    }
}

#[test]
fn seeds_and_flows_have_their_own_identifiers() {
    let mut other = full();
    other.flow = "8".parse().unwrap();
    let records = [full(), other];
    let uids = |seed| {
        let rows = read(&log(ConnLog::new().seed(seed), &records));
        rows.into_iter().map(|row| row["uid"].clone().unwrap())
    };
    let all: std::collections::HashSet<_> = uids(0).chain(uids(1)).collect();
    assert_eq!(all.len(), 4);
    assert!(uids(1).eq(uids(1)));
}

#[test]
fn json_has_the_same_names() {
    let log = ConnLog::new().community_id(true);
    let mut line = Vec::new();
    log.json(&full(), &mut line);
    let mut value: Value = serde_json::from_slice(&line).unwrap();
    assert!(value["uid"].take().as_str().unwrap().starts_with('C'));
    assert_eq!(
        value,
        json!({
            "ts": 1_700_000_000.123_456,
            "uid": null,
            "id.orig_h": "192.0.2.7",
            "id.orig_p": 40_000,
            "id.resp_h": "198.51.100.1",
            "id.resp_p": 443,
            "proto": "tcp",
            "service": "a \"quoted\\ one\"\n",
            "duration": 2.376_544,
            "orig_bytes": 250,
            "resp_bytes": 8400,
            "conn_state": "SF",
            "missed_bytes": 3,
            "history": "ShADadTtFf",
            "orig_pkts": 10,
            "orig_ip_bytes": 860,
            "resp_pkts": 8,
            "resp_ip_bytes": 8888,
            "ip_proto": 6,
            "community_id": "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        })
    );
}

proptest! {
    #[test]
    fn every_record_is_one_row_that_reads_back(records in prop::collection::vec(any_record(), 0..4)) {
        let text = log(ConnLog::new().community_id(true), &records);
        let rows = read(&text);
        prop_assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            prop_assert_eq!(&row["service"], &record.service);
            let id = record.community_id.map(|id| id.to_string());
            prop_assert_eq!(&row["community_id"], &id);
            let state = Some(record.state.to_string());
            prop_assert_eq!(&row["conn_state"], &state);
            let history = Some(record.history.to_string()).filter(|text| !text.is_empty());
            prop_assert_eq!(&row["history"], &history);
            for (name, end) in [("orig", &record.initiator), ("resp", &record.responder)] {
                let column = |what: &str| row[&format!("{name}_{what}")].clone();
                prop_assert_eq!(column("pkts"), Some(end.packets.to_string()));
                prop_assert_eq!(column("ip_bytes"), end.ip_bytes.map(|it| it.to_string()));
                prop_assert_eq!(&row[&format!("id.{name}_h")], &Some(end.addr.to_string()));
            }
            prop_assert_eq!(&row["ip_proto"], &Some(record.protocol.to_string()));
        }
    }

    #[test]
    fn every_record_is_one_line_of_json(record in any_record()) {
        let mut line = Vec::new();
        ConnLog::new().community_id(true).json(&record, &mut line);
        let line = String::from_utf8(line).unwrap();
        prop_assert_eq!(line.matches(['\n', '\r']).count(), 1);
        let value: Value = from_str(&line).unwrap();
        prop_assert_eq!(value["service"].as_str(), record.service.as_deref());
        let id = record.community_id.map(|id| id.to_string());
        prop_assert_eq!(value["community_id"].as_str(), id.as_deref());
        prop_assert_eq!(value["orig_pkts"].as_u64(), Some(record.initiator.packets));
        prop_assert_eq!(value["resp_ip_bytes"].as_u64(), record.responder.ip_bytes);
    }
}
