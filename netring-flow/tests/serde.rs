//! Keys, events and statistics are written as JSON and read back.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use etherparse::PacketBuilder;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::{FlowEvent, FlowTracker, History, LiveFlow, TrackerStats};
use netring_sys::{Clock, LinkType, Packet, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_str, json, to_string, to_value};

fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let text = to_string(value).unwrap();
    assert_eq!(from_str::<T>(&text).unwrap(), *value, "{text}");
}

fn key(text: &str) -> FiveTupleKey {
    text.parse().unwrap()
}

#[test]
fn a_key_has_its_parts_by_name() {
    let written = to_value(key("tcp 192.0.2.1:80 192.0.2.9:40000 vlan 5")).unwrap();
    assert_eq!(
        written,
        json!({
            "protocol": 6,
            "a": "192.0.2.1:80",
            "b": "192.0.2.9:40000",
            "ports_known": true,
            "vlan": 5,
            "inner_vlan": 0,
            "tunnel": null,
            "tunnel_id": 0,
        })
    );
    for text in [
        "tcp 192.0.2.1:80 192.0.2.9:40000 vlan 5 inner vlan 6",
        "tcp 192.0.2.1:80 192.0.2.9:40000 vlan 5 in gtp-u 77",
        "tcp 192.0.2.1:80 192.0.2.9:40000 in ip-in-ip",
        "udp [2001:db8::1]:53 [2001:db8::2]:5000",
        "sctp 192.0.2.1:- 192.0.2.9:-",
        "proto 47 [::1]:0 [::2]:0",
    ] {
        there_and_back(&key(text));
    }
}

#[test]
fn a_key_that_cannot_be_is_refused() {
    let written = to_value(key("tcp 192.0.2.1:80 192.0.2.9:40000")).unwrap();
    for (part, value) in [
        ("ports_known", json!(false)),
        ("a", json!("[::1]:80")),
        ("b", json!("nowhere")),
        ("protocol", json!(256)),
    ] {
        let mut broken = written.clone();
        broken[part] = value;
        assert!(
            serde_json::from_value::<FiveTupleKey>(broken).is_err(),
            "{part}"
        );
    }
}

fn tracked() -> (FlowTracker<FiveTuple>, Vec<FlowEvent<FiveTupleKey>>) {
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    let (client, server) = ([192, 0, 2, 9], [192, 0, 2, 1]);
    let segment = |by_client: bool, sequence| {
        let ip = match by_client {
            true => PacketBuilder::ipv4(client, server, 64).tcp(40_000, 80, sequence, 1000),
            false => PacketBuilder::ipv4(server, client, 64).tcp(80, 40_000, sequence, 1000),
        };
        let bytes = |builder: etherparse::PacketBuilderStep<etherparse::TcpHeader>| {
            let mut bytes = Vec::new();
            builder.write(&mut bytes, b"").unwrap();
            bytes
        };
        (ip, bytes)
    };
    let mut frames = Vec::new();
    let (syn, bytes) = segment(true, 5);
    frames.push(bytes(syn.syn()));
    let (answer, bytes) = segment(false, 8);
    frames.push(bytes(answer.syn().ack(6)));
    let (ack, bytes) = segment(true, 6);
    frames.push(bytes(ack.ack(9)));
    // Not in the window, then in it.
    let (rst, bytes) = segment(false, 900_000);
    frames.push(bytes(rst.rst()));
    let (rst, bytes) = segment(false, 9);
    frames.push(bytes(rst.rst()));
    for (frame, nanos) in frames.iter().zip(1_700_000_000_000_000_001..) {
        let time = Timestamp::from_nanos(nanos, Clock::Hardware);
        tracker.track(&Packet::new(frame, time, LinkType::IPV4), &mut events);
    }
    (tracker, events)
}

#[test]
fn every_event_of_a_connection() {
    let (mut tracker, mut events) = tracked();
    let live: Vec<_> = tracker.flows().collect();
    assert_eq!(live.len(), 1);
    there_and_back::<LiveFlow<FiveTupleKey>>(&live[0]);
    while tracker.finish(&mut events) {}
    let names: Vec<_> = events
        .iter()
        .map(|event| match to_value(event).unwrap() {
            Value::Object(event) => event.keys().next().unwrap().clone(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(
        names,
        ["Started", "Established", "Anomaly", "Closed", "Ended"]
    );
    for event in &events {
        there_and_back(event);
    }
    let ended = to_value(&events[4]).unwrap();
    assert_eq!(ended["Ended"]["flow"], json!(1));
    assert_eq!(ended["Ended"]["reason"], json!("Reset"));
    assert_eq!(ended["Ended"]["history"], json!("ShAr"));
    assert_eq!(ended["Ended"]["stats"]["forward"]["packets"], json!(3));
    assert_eq!(
        to_value(&events[3]).unwrap()["Closed"]["time"],
        json!({"nanos": 1_700_000_000_000_000_005_i64, "clock": "Hardware"})
    );
    there_and_back::<TrackerStats>(&tracker.stats());
    assert_eq!(
        to_value(tracker.stats()).unwrap()["ended"]["reset"],
        json!(1)
    );
}

#[test]
fn a_history_is_its_text() {
    let history: History = "^hSaD".parse().unwrap();
    assert_eq!(to_value(history).unwrap(), json!("^hSaD"));
    there_and_back(&history);
    assert!(from_str::<History>("\"SS\"").is_err());
}
