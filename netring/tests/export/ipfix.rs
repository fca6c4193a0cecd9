//! IPFIX files (RFC 5655), as tshark reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use netring::flow::export::{FlowRecord, Ipfix, IpfixBuilder, MplsRecord, TunnelRecord};
use netring::flow::extract::{FiveTuple, TunnelKind, Tunnels};

use crate::common::{records, records_with};

/// The fields that are compared: the source is the initiator, and reverse elements come first where
/// both are shown.
const FIELDS: [&str; 12] = [
    "cflow.sequence",
    "cflow.srcaddr",
    "cflow.srcport",
    "cflow.dstaddr",
    "cflow.dstport",
    "cflow.protocol",
    "cflow.packets",
    "cflow.octets",
    "cflow.tcpflags",
    "cflow.flow_end_reason",
    "cflow.biflow_direction",
    "cflow.srcaddrv6",
];

struct File(PathBuf);

impl File {
    /// A file of messages with one record each.
    fn new(name: &str, records: &[FlowRecord], settings: IpfixBuilder) -> Self {
        let mut ipfix = settings.build().unwrap();
        let mut bytes = Vec::new();
        for record in records {
            ipfix.record(record, |message| bytes.extend_from_slice(message));
            ipfix.flush(|message| bytes.extend_from_slice(message));
        }
        let path = format!("netring-{name}-{}.ipfix", std::process::id());
        let path = std::env::temp_dir().join(path);
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = fs::remove_file(&self.0);
    }
}

/// The output of tshark; `None` if it is not installed, which a run that requires everything does
/// not permit.
fn tshark(file: &Path, args: &[&str]) -> Option<String> {
    let output = match Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(args)
        .output()
    {
        Ok(output) => output,
        Err(why) => {
            let required = std::env::var_os("NETRING_REQUIRE_ROOT").is_some();
            assert!(!required, "tshark: {why} (Debian: apt-get install tshark)");
            return None;
        }
    };
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Compares the figures of each message, and checks that tshark finds nothing malformed or
/// remarkable.
fn check(file: &File, expected: &[&str]) {
    let mut args = vec!["-T", "fields", "-E", "separator=/s", "-E", "aggregator=;"];
    args.extend(FIELDS.iter().flat_map(|field| ["-e", *field]));
    let Some(text) = tshark(&file.0, &args) else {
        return;
    };
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines, expected);
    let remarks = tshark(&file.0, &["-Y", "_ws.malformed or _ws.expert"]);
    assert_eq!(remarks.as_deref(), Some(""));
}

fn some_flows() -> Vec<FlowRecord> {
    let mut flows = records("ldap_ldap-starttls.pcap");
    flows.extend(records("tunnels_vxlan.pcap").drain(2..3));
    flows.extend(records("mysql_tls-12-amazon-rds.pcap"));
    flows
}

/// The figures are those of Zeek's test suite; see `conn_log`.
#[test]
fn a_biflow_is_one_record_with_both_directions() {
    let file = File::new("biflow", &some_flows(), Ipfix::builder());
    check(
        &file,
        &[
            "0 127.0.0.1 45936 127.0.1.1 389 6 14;14 1407;3738 0x1a;0x1f 3 1 ",
            "1 192.168.56.11 48134 192.168.56.12 4789 17 4;0 536;0 0x00;0x00 4 1 ",
            "2 82.239.87.25 58132 79.107.90.25 3306 6 14;11 1460;3835 0x1b;0x1b 3 1 ",
        ],
    );
}

#[test]
fn uniflows_are_a_record_for_each_direction() {
    let file = File::new("uniflow", &some_flows(), Ipfix::builder().uniflow(true));
    check(
        &file,
        &[
            "0 127.0.0.1;127.0.1.1 45936;389 127.0.1.1;127.0.0.1 389;45936 6;6 14;14 1407;3738 0x1f;0x1a 3;3  ",
            "2 192.168.56.11 48134 192.168.56.12 4789 17 4 536 0x00 4  ",
            "3 82.239.87.25;79.107.90.25 58132;3306 79.107.90.25;82.239.87.25 3306;58132 6;6 14;11 1460;3835 0x1b;0x1b 3;3  ",
        ],
    );
}

/// The identifier of a VXLAN segment, as its element says it: 1 in the upper byte.
#[test]
fn a_tunnel_has_its_segment() {
    let tunnels = Tunnels::all();
    let extract = FiveTuple::bidirectional().with_tunnels(tunnels);
    let mut flows = records_with(extract.with_tunnel_id(), "tunnels_vxlan.pcap");
    // The others carry ARP.
    flows.retain(|flow| flow.tunnel.is_some());
    assert_eq!(flows.len(), 1);
    let tunnel = flows[0].tunnel.unwrap();
    assert_eq!((tunnel.kind, tunnel.id), (TunnelKind::Vxlan, Some(123)));
    let file = File::new("segment", &flows[..1], Ipfix::builder());
    let id = ["-T", "fields", "-e", "cflow.layer2_segment_id"];
    let Some(text) = tshark(&file.0, &id) else {
        return;
    };
    assert_eq!(text, format!("{}\n", 1_u64 << 56 | 123));
    let remarks = tshark(&file.0, &["-Y", "_ws.malformed or _ws.expert"]);
    assert_eq!(remarks.as_deref(), Some(""));
}

/// What tshark shows of the elements that identify tunnels; it does not know that of GTP-U yet.
#[test]
fn other_tunnels_have_their_elements() {
    let mut flows = vec![records("ldap_ldap-starttls.pcap").swap_remove(0); 3];
    for (flow, (kind, id)) in flows.iter_mut().zip([
        (TunnelKind::Gre, Some(0xfe00_0001)),
        (TunnelKind::GtpU, Some(0xfe00_0002)),
        (TunnelKind::Geneve, Some(3)),
    ]) {
        flow.tunnel = Some(TunnelRecord { kind, id });
    }
    for (end, label) in [(0, 0xf_1234), (1, 41)] {
        let flow = &mut flows[2];
        let ends = [&mut flow.initiator, &mut flow.responder];
        let entry = MplsRecord {
            label,
            class: 5 - end as u8,
            bottom: end == 0,
        };
        ends.into_iter().nth(end).unwrap().mpls = Some(entry);
    }
    let file = File::new("tunnels", &flows, Ipfix::builder());
    let mut args = vec!["-T", "fields", "-E", "separator=/s"];
    // Those of MPLS are of the responder, then of the initiator.
    for field in [
        "cflow.gre_key",
        "cflow.layer2_segment_id",
        "cflow.mpls_label",
        "cflow.mpls_exp",
        "cflow.mpls_bos",
    ] {
        args.extend(["-e", field]);
    }
    let Some(text) = tshark(&file.0, &args) else {
        return;
    };
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "4261412865 0 0,0 0,0 0,0",
            "0 0 0,0 0,0 0,0",
            "0 0 41,987700 4,5 0,1",
        ]
    );
    let remarks = tshark(&file.0, &["-Y", "_ws.malformed or _ws.expert"]);
    assert_eq!(remarks.as_deref(), Some(""));
    let all = tshark(&file.0, &["-V"]).unwrap();
    let of_gtp = |line: &str| {
        Some(
            line.split_once("Type 507: Value (hex bytes): ")?
                .1
                .to_owned(),
        )
    };
    let of_gtp: Vec<_> = all.lines().filter_map(of_gtp).collect();
    assert_eq!(of_gtp, ["00 00 00 00", "fe 00 00 02", "00 00 00 00"]);
}

#[test]
fn ipv6_has_a_template_of_its_own() {
    let mut flows = some_flows();
    for flow in &mut flows {
        flow.initiator.addr = "2001:db8::5".parse().unwrap();
        flow.responder.addr = "2001:db8::6".parse().unwrap();
    }
    let file = File::new("ipv6", &flows[1..2], Ipfix::builder());
    check(
        &file,
        &["0  48134  4789 17 4;0 536;0 0x00;0x00 4 1 2001:db8::5"],
    );
}
