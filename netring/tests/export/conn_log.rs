//! conn.log beside Zeek's own: the lines that Zeek's test suite expects of its captures.

use netring::flow::export::ConnLog;

use crate::common::records;

/// The columns of `expected`, without `ts`, `uid`, `service`, `local_orig` and `local_resp`, which
/// depend on the time of the run or on Zeek's scripts.
fn check(capture: &str, expected: &[&str]) {
    assert_eq!(lines(capture), expected, "{capture}");
}

fn lines(capture: &str) -> Vec<String> {
    let mut text = Vec::new();
    for record in records(capture) {
        ConnLog::new().record(&record, &mut text);
    }
    let text = String::from_utf8(text).unwrap();
    text.lines()
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            assert_eq!(fields.len(), 22, "{line}");
            let kept = [2, 3, 4, 5, 6, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19];
            kept.map(|column| fields[column]).join(" ")
        })
        .collect()
}

#[test]
fn lines_equal_those_of_zeek() {
    check(
        "tcp_miss_end_data.pcap",
        &[
            "192.168.122.230 60648 77.238.160.184 80 tcp 10.048360 538 2902 SF 2902 ShADafgF 5 750 4 172",
        ],
    );
    check(
        "tcp_missing-syn.pcap",
        &[
            "141.42.64.125 56730 125.190.109.199 80 tcp 1.550793 98 9417 SF 0 ^hADdFaf 11 670 10 9945",
        ],
    );
    check(
        "mysql_tls-12-amazon-rds.pcap",
        &[
            "82.239.87.25 58132 79.107.90.25 3306 tcp 2.043921 724 3255 SF 0 ShAdDaFf 14 1460 11 3835",
        ],
    );
    check(
        "tunnels_socks.pcap",
        &["127.0.0.1 62270 127.0.0.1 1080 tcp 0.008138 152 3950 SF 0 ShAaDdfF 9 632 9 4430"],
    );
    check(
        "ldap_ldap-starttls.pcap",
        &["127.0.0.1 45936 127.0.1.1 389 tcp 0.016922 683 3002 RSTO 0 ShADadFR 14 1407 14 3738"],
    );
    check(
        "ldap_ldap-who-am-i.pcap",
        &["127.0.0.1 48122 127.0.1.1 389 tcp 0.001192 83 59 SF 0 ShADadFf 8 507 5 327"],
    );
    check(
        "tunnels_geneve.pcap",
        &[
            "20.0.0.1 50901 20.0.0.2 6081 udp 1.999995 342 0 S0 0 D 3 426 0 0",
            "20.0.0.2 0 20.0.0.1 6081 udp 1.999999 318 0 S0 0 D 3 402 0 0",
        ],
    );
    check(
        "tunnels_vxlan.pcap",
        &[
            "192.168.56.11 39924 192.168.56.12 4789 udp - - - S0 0 D 1 78 0 0",
            "192.168.56.12 40908 192.168.56.11 4789 udp - - - S0 0 D 1 78 0 0",
            "192.168.56.11 48134 192.168.56.12 4789 udp 3.004434 424 0 S0 0 D 4 536 0 0",
            "192.168.56.12 38071 192.168.56.11 4789 udp 3.004278 424 0 S0 0 D 4 536 0 0",
        ],
    );
}

/// 34 flows of a browser and its neighbours. The line with `^h` is a lone SYN-ACK: Zeek's test runs
/// without its list of server ports, and therefore takes the sender for the originator.
#[test]
fn lines_of_many_flows_equal_those_of_zeek() {
    let mut lines = lines("wikipedia.pcap");
    lines.sort();
    let expected = include_str!("data/wikipedia.txt").lines();
    assert_eq!(lines, expected.collect::<Vec<_>>());
}
