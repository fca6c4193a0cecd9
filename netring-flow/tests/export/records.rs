//! Random records, and one whose encodings are pinned.

use std::net::{IpAddr, SocketAddr};

use netring_flow::export::{
    ConnState, FlowRecord, IcmpKind, Letters, MplsRecord, RecordKind, SideRecord, TunnelRecord,
};
use netring_flow::extract::TunnelKind;
use netring_flow::{EndReason, FlowId};
use proptest::prelude::*;

/// A record in which every field is known.
pub(crate) fn full() -> FlowRecord {
    let mut record = FlowRecord::new(
        "7".parse().unwrap(),
        6,
        "192.0.2.7:40000".parse().unwrap(),
        "198.51.100.1:443".parse().unwrap(),
    );
    record.time_ns = 1_700_000_009_000_000_001;
    record.vlan = Some(5);
    record.inner_vlan = Some(6);
    record.worker = Some(3);
    record.tunnel = Some(TunnelRecord {
        kind: TunnelKind::Vxlan,
        id: Some(99),
    });
    record.start_ns = 1_700_000_000_123_456_789;
    record.end_ns = 1_700_000_003_000_000_000;
    record.productive_end_ns = Some(1_700_000_002_500_000_999);
    record.reason = Some(EndReason::PortReuse);
    record.state = ConnState::Sf;
    record.history = "ShADadTtFf".parse().unwrap();
    record.established = true;
    record.cut = true;
    record.icmp = Some(IcmpKind {
        icmp_type: 8,
        code: 1,
    });
    record.rtt_ns = Some(1_500_000);
    record.service = Some("a \"quoted\\ one\"\n".into());
    record.community_id = Some("1:LQU9qZlK+B5F3KDmev6m5PMibrg=".parse().unwrap());
    let first = &mut record.initiator;
    (first.packets, first.bytes, first.ip_bytes) = (10, 1000, Some(860));
    (first.payload_bytes, first.stream_bytes, first.missed_bytes) = (300, Some(250), Some(3));
    first.first_ns = Some(1_700_000_000_123_456_789);
    first.last_ns = Some(1_700_000_003_000_000_000);
    (first.tcp_flags, first.syn, first.fin, first.rst) = (0x1b, 1, 1, 0);
    (first.retransmitted, first.out_of_order, first.zero_windows) = (2, 1, Some(4));
    first.mpls = Some(MplsRecord {
        label: 0xf_1234,
        class: 5,
        bottom: true,
    });
    let second = &mut record.responder;
    (second.packets, second.bytes, second.ip_bytes) = (8, 9000, Some(8888));
    (
        second.payload_bytes,
        second.stream_bytes,
        second.missed_bytes,
    ) = (8500, Some(8400), Some(0));
    second.first_ns = Some(1_700_000_000_124_000_000);
    second.last_ns = Some(1_700_000_002_900_000_000);
    (second.tcp_flags, second.syn, second.fin, second.rst) = (0x1b, 1, 1, 1);
    (
        second.retransmitted,
        second.out_of_order,
        second.zero_windows,
    ) = (0, 0, Some(0));
    record
}

fn address(is_v6: bool) -> impl Strategy<Value = IpAddr> {
    any::<[u8; 16]>().prop_map(move |bytes| match is_v6 {
        true => IpAddr::from(bytes),
        false => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
    })
}

type Counts = (
    [u64; 8],
    [Option<u64>; 4],
    [Option<i64>; 2],
    u8,
    Option<u16>,
    Option<(u32, u8, bool)>,
);

fn counts() -> impl Strategy<Value = Counts> {
    any::<Counts>()
}

fn fill(side: &mut SideRecord, (numbers, known, times, flags, port, mpls): Counts) {
    [
        side.packets,
        side.bytes,
        side.payload_bytes,
        side.syn,
        side.fin,
        side.rst,
        side.retransmitted,
        side.out_of_order,
    ] = numbers;
    [
        side.ip_bytes,
        side.stream_bytes,
        side.missed_bytes,
        side.zero_windows,
    ] = known;
    [side.first_ns, side.last_ns] = times;
    (side.tcp_flags, side.port) = (flags, port);
    side.mpls = mpls.map(|(label, class, bottom)| MplsRecord {
        label,
        class,
        bottom,
    });
}

fn reason() -> impl Strategy<Value = Option<EndReason>> {
    let names = ["finished", "reset", "idle", "table-full", "source-ended"];
    prop::option::of(prop::sample::select(
        names.map(|it| it.parse().unwrap()).to_vec(),
    ))
}

fn kind() -> impl Strategy<Value = TunnelKind> {
    prop::sample::select(vec![
        TunnelKind::Gre,
        TunnelKind::Vxlan,
        TunnelKind::GtpU,
        TunnelKind::IpInIp,
    ])
}

fn state() -> impl Strategy<Value = ConnState> {
    let names = ["S0", "SF", "REJ", "RSTOS0", "OTH"];
    prop::sample::select(names.map(|it| it.parse().unwrap()).to_vec())
}

fn letters() -> impl Strategy<Value = Letters> {
    "\\^?[SHADFRTGWsh]{0,46}".prop_map(|text| text.parse().unwrap())
}

/// Strings that hurt: any characters, and those that formats reserve.
pub(crate) fn hostile() -> impl Strategy<Value = String> {
    let reserved = [
        "-",
        "(empty)",
        "",
        "#close\t-",
        "a\tb\nc\r\\x09",
        "\u{2028}\0",
    ];
    prop_oneof![
        ".*",
        "[\\t\\n\\r\\\\\"#,()\\-x0-9]{0,20}",
        prop::sample::select(reserved.map(String::from).to_vec()),
    ]
}

/// Any record.
pub(crate) fn any_record() -> impl Strategy<Value = FlowRecord> {
    let ends = any::<[bool; 2]>().prop_flat_map(|[a, b]| (address(a), address(b)));
    let whole = (any::<[i64; 3]>(), any::<Option<i64>>(), any::<[bool; 4]>());
    let ids = (
        any::<(u8, Option<u16>, Option<u16>, Option<u16>, Option<u64>)>(),
        prop::option::of((kind(), any::<Option<u32>>())),
    );
    let names = (prop::option::of(hostile()), any::<Option<u16>>());
    let icmp = any::<Option<(u8, u8)>>();
    let outcome = (reason(), state(), letters(), icmp);
    (
        1..u64::MAX,
        ends,
        whole,
        ids,
        names,
        outcome,
        counts(),
        counts(),
    )
        .prop_map(
            |(flow, (from, to), (times, end, flags), ids, names, outcome, first, second)| {
                let flow: FlowId = flow.to_string().parse().unwrap();
                let end_of = |addr| SocketAddr::new(addr, 0);
                let mut record = FlowRecord::new(flow, ids.0.0, end_of(from), end_of(to));
                [record.time_ns, record.start_ns, record.end_ns] = times;
                record.productive_end_ns = end;
                let active;
                [record.established, record.cut, record.malformed, active] = flags;
                if active {
                    record.kind = RecordKind::Active;
                }
                (
                    _,
                    record.vlan,
                    record.inner_vlan,
                    record.worker,
                    record.rtt_ns,
                ) = ids.0;
                record.tunnel = ids.1.map(|(kind, id)| TunnelRecord { kind, id });
                record.service = names.0;
                let icmp;
                (record.reason, record.state, record.history, icmp) = outcome;
                record.icmp = icmp.map(|(icmp_type, code)| IcmpKind { icmp_type, code });
                fill(&mut record.initiator, first);
                fill(&mut record.responder, second);
                if let Some(seed) = names.1 {
                    record.set_community_id(seed);
                }
                record
            },
        )
}
