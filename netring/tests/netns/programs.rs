//! Runs the short programs for common tasks on a wire with test traffic, and compares their output
//! line by line.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, numbered, tcp4, udp4};

use super::examples::{capturing, packets_and_balance, timed};
use crate::program::{Program, captures, captures_index, send};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// The frame in the other direction, from its destination to its source.
fn reply(mut frame: Vec<u8>) -> Vec<u8> {
    for (a, b, len) in [(26, 30, 4), (34, 36, 2)] {
        (0..len).for_each(|n| frame.swap(a + n, b + n));
    }
    frame
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn top_talkers_sorts_addresses_by_the_bytes_they_sent() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("top_talkers", &["v1", "2"]);
    let mut arp = vec![0; 1000];
    arp[12..14].copy_from_slice(&[8, 6]);
    send(
        &sender,
        &[
            udp4(5000, 53, &[0; 30]),
            tcp4(4000, 80, 1, ACK, &[0; 100]),
            reply(udp4(5000, 53, &[0; 400])),
            arp,
        ],
    );
    let said = program.end();
    said.went_well();
    assert_eq!(
        said.out,
        [
            "         442 bytes from 10.0.0.2",
            "         226 bytes from 10.0.0.1",
            "offered 4, dropped 0",
        ]
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn conn_log_writes_a_line_for_each_flow_and_what_was_lost() {
    let _ns = Netns::enter().unwrap();
    let (mut program, sender) = capturing("conn_log", &["v1"]);
    send(
        &sender,
        &[
            tcp4(4000, 80, 1, SYN, b""),
            udp4(5000, 53, &[0; 30]),
            tcp4(4000, 80, 2, ACK, &[0; 100]),
            reply(udp4(5000, 53, &[0; 40])),
            tcp4(4000, 80, 102, RST, b""),
            tcp4(4001, 80, 1, FIN | ACK, b""),
        ],
    );
    std::thread::sleep(Duration::from_millis(500));
    program.interrupt();
    let said = program.end();
    said.went_well();
    let (balance, flows) = said.out.split_last().unwrap();
    let flow = |line: &String| {
        let (ts, rest) = line.split_once(r#","uid":"C"#).unwrap();
        // Including the digits of nanoseconds that the log omits.
        timed(&format!(
            "{}000 of it",
            ts.strip_prefix(r#"{"ts":"#).unwrap()
        ));
        let (_, rest) = rest.split_once(r#"","#).unwrap();
        // The duration depends on the machine; the kernel stamps each packet with its own time.
        match rest.split_once(r#""duration":"#) {
            Some((before, after)) => {
                let (duration, after) = after.split_once(',').unwrap();
                assert!(duration.parse::<f64>().unwrap() < 1.0, "{line}");
                format!("{before}{after}")
            }
            None => rest.to_owned(),
        }
    };
    let mut flows: Vec<_> = flows.iter().map(flow).collect();
    flows.sort();
    assert_eq!(
        flows,
        [
            r#""id.orig_h":"10.0.0.1","id.orig_p":4000,"id.resp_h":"10.0.0.2","id.resp_p":80,"proto":"tcp","orig_bytes":100,"resp_bytes":0,"conn_state":"RSTOS0","missed_bytes":0,"history":"SDR","orig_pkts":3,"orig_ip_bytes":220,"resp_pkts":0,"resp_ip_bytes":0,"ip_proto":6}"#,
            r#""id.orig_h":"10.0.0.1","id.orig_p":4001,"id.resp_h":"10.0.0.2","id.resp_p":80,"proto":"tcp","conn_state":"SH","missed_bytes":0,"history":"F","orig_pkts":1,"orig_ip_bytes":40,"resp_pkts":0,"resp_ip_bytes":0,"ip_proto":6}"#,
            r#""id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.2","id.resp_p":53,"proto":"udp","orig_bytes":30,"resp_bytes":40,"conn_state":"SF","missed_bytes":0,"history":"Dd","orig_pkts":1,"orig_ip_bytes":58,"resp_pkts":1,"resp_ip_bytes":68,"ip_proto":17}"#,
        ]
    );
    assert_eq!(balance, r#"{"offered":"6","dropped":"0"}"#);
}

/// A thousand connections to as many ports: two events each, of which the slow subscriber loses
/// those that do not fit in its queue of 8 batches.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn scan_detector_reports_the_scan_and_what_the_slow_subscriber_lost() {
    let _ns = Netns::enter().unwrap();
    let (mut program, sender) = capturing("scan_detector", &["v1"]);
    for port in 1..=1000 {
        send(&sender, &[tcp4(4000, port, 1, SYN, b"")]);
        if port % 50 == 0 {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    program.says("10.0.0.1 has tried 100 ports, the last is 10.0.0.2:100");
    std::thread::sleep(Duration::from_millis(300));
    program.interrupt();
    let said = program.end();
    said.went_well();
    assert_eq!(said.out.len(), 2, "{said:?}");
    let figures = said.out[1].strip_prefix("slow: ").unwrap();
    let figures = figures.strip_suffix(" lost").unwrap();
    let (received, lost) = figures.split_once(" events received, ").unwrap();
    let [received, lost] = [received, lost].map(|figure| figure.parse::<u64>().unwrap());
    assert_eq!(received + lost, 2000, "{said:?}");
    // It takes 5 ms per event, and had less than two seconds before the last 8 batches.
    assert!(received < 400 + 9 * 64, "{said:?}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn thread_channel_passes_each_packet_on() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("thread_channel", &["v1", "5"]);
    let lengths = [60, 61, 300, 1513, 1514];
    send(&sender, &lengths.map(|len| numbered(1, len)));
    let said = program.end();
    let (packets, balance) = packets_and_balance(&said);
    assert_eq!(packets, lengths.map(|len| format!("{len} bytes")));
    assert_eq!(balance, "offered 5, dropped 0");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn filter_prints_what_the_kernel_let_through() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("filter", &["v1", "3"]);
    for n in 1..=3 {
        send(
            &sender,
            &[
                udp4(5000, 53, &vec![0; n]),
                udp4(53, 5000, &[0; 30]),
                tcp4(5000, 53, 1, SYN, b""),
                numbered(1, 60),
            ],
        );
    }
    let said = program.end();
    let (packets, balance) = packets_and_balance(&said);
    assert_eq!(packets, ["43 bytes", "44 bytes", "45 bytes"]);
    assert_eq!(balance, "offered 3, dropped 0");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn filter_takes_an_expression_as_text() {
    let _ns = Netns::enter().unwrap();
    let text = "tcp dst port 80 and not src net 192.168.0.0/16";
    let (program, sender) = capturing("filter", &["v1", "2", text]);
    let mut elsewhere = tcp4(4000, 80, 1, SYN, b"");
    elsewhere[26..28].copy_from_slice(&[192, 168]);
    send(
        &sender,
        &[
            elsewhere,
            tcp4(80, 4000, 1, SYN, b"1234567"),
            tcp4(4000, 80, 1, SYN, b"1"),
            udp4(4000, 80, &[0; 30]),
            tcp4(4000, 80, 1, ACK, b"12"),
        ],
    );
    let said = program.end();
    let (packets, balance) = packets_and_balance(&said);
    assert_eq!(packets, ["55 bytes", "56 bytes"]);
    assert_eq!(balance, "offered 2, dropped 0");
    let said = Program::start("filter", &["v1", "1", "tcp and prot 80"]).end();
    assert!(said.out.is_empty(), "{:?}", said.out);
    assert!(
        said.err.contains("filter: column 9: expected a term"),
        "{}",
        said.err
    );
}

/// Both ends of a wire are interfaces of this namespace.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn any_prints_packets_of_all_interfaces_by_their_names() {
    let _ns = Netns::enter().unwrap();
    veth("left", "right").unwrap();
    let mut program = Program::start("any", &["7"]);
    program.until("capture", |pid| captures_index(pid, 0));
    let mut tagged = numbered(1, 60);
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    send(&Sender::on("left").unwrap(), &[numbered(1, 70), tagged]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sent = socket.send_to(&[0; 58], socket.local_addr().unwrap());
    assert_eq!(sent.unwrap(), 58);
    // It joins with its first packet.
    veth("new", "other").unwrap();
    send(&Sender::on("other").unwrap(), &[numbered(1, 90)]);
    let said = program.end();
    said.went_well();
    let (balance, packets) = said.out.split_last().unwrap();
    let mut packets: Vec<_> = packets.iter().map(String::as_str).collect();
    packets.sort_unstable();
    assert_eq!(
        packets,
        [
            "left ETHERNET Outgoing 64 bytes",
            "left ETHERNET Outgoing 70 bytes",
            "lo ETHERNET Host 100 bytes",
            "new ETHERNET OtherHost 90 bytes",
            "other ETHERNET Outgoing 90 bytes",
            "right ETHERNET OtherHost 70 bytes",
            "right ETHERNET OtherHost VLAN 5 64 bytes",
        ][..]
    );
    assert_eq!(balance, "offered 7, dropped 0");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn merged_goes_on_with_an_interface_that_comes_late_and_one_that_comes_back() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut program = Program::start("merged", &["a", "c", "5"]);
    program.until("capture", |pid| captures(pid, "a"));
    let put = |end: &str, frames: &[Vec<u8>]| send(&Sender::on(end).unwrap(), frames);
    put("b", &[numbered(1, 60), numbered(2, 61)]);
    program.says("source 0: 61 bytes");
    veth("c", "d").unwrap();
    program.says("c has joined");
    put("d", &[numbered(3, 62)]);
    program.says("source 1: 62 bytes");
    ip("link del dev a").unwrap();
    program.says("a was removed");
    veth("a", "b").unwrap();
    program.says("a has come back");
    put("b", &[numbered(4, 63), numbered(5, 64)]);
    let said = program.end();
    said.went_well();
    assert_eq!(
        said.out,
        [
            "source 0: 60 bytes",
            "source 0: 61 bytes",
            "c has joined",
            "source 1: 62 bytes",
            "a was removed",
            "a has come back",
            "source 2: 63 bytes",
            "source 2: 64 bytes",
            "5 offered, 5 delivered, 0 dropped; link downs: 1; 1 joined, 1 returned, 1 removed, 0 failed",
        ]
    );
}

/// It runs until Ctrl-C, as the README says.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn first_prints_each_flow_as_it_starts_and_ends() {
    let _ns = Netns::enter().unwrap();
    let (mut program, sender) = capturing("first", &["v1"]);
    send(
        &sender,
        &[
            tcp4(4000, 80, 1, SYN, b""),
            tcp4(4000, 80, 2, RST, b""),
            udp4(5000, 53, &[0; 30]),
        ],
    );
    program.says("tcp 10.0.0.1:4000 10.0.0.2:80 started");
    program.says("udp 10.0.0.1:5000 10.0.0.2:53 started");
    program.says("tcp 10.0.0.1:4000 10.0.0.2:80 ended: 2 packets, 108 bytes");
    program.interrupt();
    let said = program.end();
    assert!(!said.ok && said.err.is_empty(), "{said:?}");
    assert_eq!(said.out.len(), 3, "{said:?}");
}

/// A veth pair has no clock: the program says so, and each packet names the clock of its time.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn hardware_timestamps_says_where_there_are_none() {
    let _ns = Netns::enter().unwrap();
    let (program, sender) = capturing("hardware_timestamps", &["v1", "3"]);
    let lengths = [60, 300, 1514];
    send(&sender, &lengths.map(|len| numbered(1, len)));
    let mut said = program.end();
    assert_eq!(said.out.remove(0), "v1: no hardware timestamps");
    let (packets, balance) = packets_and_balance(&said);
    let facts = packets.iter().map(|line| line.split_once(' ').unwrap());
    for ((clock, len), expected) in facts.zip(lengths) {
        // The kernel stamps a packet early if any program on the machine requested it.
        assert!(["Software", "Socket"].contains(&clock), "{clock}");
        assert_eq!(len, format!("{expected} bytes"));
    }
    assert_eq!((packets.len(), balance), (3, "offered 3, dropped 0"));
}

/// 64 packets of 16 flows: each flow is with one worker, and the sum is exact.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn fanout_workers_shares_the_packets_and_prints_the_sum() {
    let _ns = Netns::enter().unwrap();
    let (mut program, sender) = capturing("fanout_workers", &["v1", "3", "64"]);
    // Printed when all workers capture.
    program.says("capturing with 3 workers");
    let frames = (0..64).map(|n| udp4(4000 + n % 16, 53, &[0; 58]));
    send(&sender, &frames.collect::<Vec<_>>());
    let said = program.end();
    said.went_well();
    let [_, workers @ .., sum] = &said.out[..] else {
        panic!("{said:?}");
    };
    let mut packets = 0;
    for line in workers {
        let (bytes, stats) = line.split_once(" bytes: ").unwrap();
        let own: u64 = bytes.parse::<u64>().unwrap() / 100;
        assert_eq!(own % 4, 0, "a flow has 4 packets: {said:?}");
        assert_eq!(stats, format!("{own} offered, {own} delivered, 0 dropped"));
        packets += own;
    }
    assert_eq!((workers.len(), packets), (3, 64), "{said:?}");
    assert_eq!(sum, "64 offered, 64 delivered, 0 dropped");
}
