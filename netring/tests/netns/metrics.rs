//! Prometheus reads from the example what was sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use xtask::netns::{Netns, ip};
use xtask::wire::numbered;

use super::examples::capturing;
use crate::program::{Program, argument_is_named, send};

const ADDRESS: &str = "127.0.0.1:9000";

/// The example's answer to a scraper: the type of each metric, and the value of each series.
fn scrape() -> (BTreeMap<String, String>, BTreeMap<String, f64>) {
    let mut stream = TcpStream::connect(ADDRESS).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(head, "HTTP/1.0 200 OK");
    let mut types = BTreeMap::new();
    let mut values = BTreeMap::new();
    for line in body.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            values.insert(series.to_owned(), value.parse().unwrap());
        }
    }
    (types, values)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn metrics_serves_what_was_sent() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up").unwrap();
    let (program, sender) = capturing("metrics", &["v1", ADDRESS, "10"]);
    let frames: Vec<_> = (0..1000).map(|n| numbered(n, 100)).collect();
    send(&sender, &frames);
    let end = Instant::now() + Duration::from_secs(9);
    let delivered = "netring_capture_delivered_packets_total{interface=\"v1\"}";
    let (types, values) = loop {
        let (types, values) = scrape();
        if values.get(delivered) == Some(&1000.0) {
            break (types, values);
        }
        assert!(Instant::now() < end, "{values:?}");
        sleep(Duration::from_millis(50));
    };
    let value = |name: &str| {
        let series = format!("netring_capture_{name}{{interface=\"v1\"}}");
        values[&series]
    };
    assert_eq!(value("offered_packets_total"), 1000.0);
    assert_eq!(value("left_out_packets_total"), 0.0);
    assert_eq!(value("dropped_packets_total"), 0.0);
    assert_eq!(value("invalid_packets_total"), 0.0);
    assert_eq!(value("link_downs_total"), 0.0);
    assert_eq!(value("pending_packets"), 0.0);
    let bounds = values.iter();
    let bounds = bounds.filter(|(series, _)| series.starts_with("netring_lower_bound{"));
    // Each of the seven figures is marked as exact.
    assert_eq!(bounds.filter(|(_, value)| **value == 0.0).count(), 7);
    for (name, kind) in types {
        let expected = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        assert_eq!(kind, expected, "{name}");
    }
    let said = program.end();
    said.went_well();
    assert_eq!(said.out, ["1,000 offered, 1,000 delivered, 0 dropped"]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn metrics_says_what_is_wrong_with_its_arguments() {
    let _ns = Netns::enter().unwrap();
    ip("link set lo up").unwrap();
    argument_is_named("metrics", &["lo", ADDRESS], "SECONDS");
    let said = Program::start("metrics", &["lo", "nowhere"]).end();
    assert!(!said.ok && said.out.is_empty(), "{said:?}");
    let said = Program::start("metrics", &["lo", "192.0.2.1:9000"]).end();
    assert!(!said.ok && said.out.is_empty(), "{said:?}");
}
