//! Tunnels nested at random, against what was nested; and the same with bytes changed.

use netring_flow::extract::{Extract, FiveTuple, TunnelKind, Tunnels};
use netring_flow::{FlowTracker, TrackerConfig};
use netring_sys::{Clock, LinkType, Packet, Timestamp};

/// The segment inside all tunnels: IPv4, TCP, and four bytes.
const INNERMOST: [u8; 44] = [
    0x45, 0, 0, 44, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40, 1, 0xbb, 0, 0,
    0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0, b'd', b'a', b't', b'a',
];
const DEPTH: u8 = 6;

/// A byte for the number of tunnels, one for each, and then changes of three bytes: where (two),
/// and to what.
pub(crate) fn run(input: &[u8]) {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let count = usize::from(count % 9).min(rest.len());
    let (kinds, changes) = rest.split_at(count);
    // The last tunnel is the outermost.
    let mut packet = INNERMOST.to_vec();
    for kind in kinds {
        packet = wrap(*kind, packet);
    }
    let extract = FiveTuple::bidirectional()
        .with_tunnels(Tunnels::all().max_depth(DEPTH))
        .with_tunnel_id();
    let read = |bytes: &[u8], wire: usize| {
        let packet =
            Packet::new(bytes, Timestamp::default(), LinkType::RAW_IP).with_wire_len(wire as u32);
        (extract.extract(&packet), extract.window_scale(&packet))
    };
    let (found, _) = read(&packet, packet.len());
    let found = found.expect("what was nested is valid");
    let text = found.key.to_string();
    if count <= usize::from(DEPTH) {
        assert!(
            text.starts_with("tcp 192.0.2.1:40000 192.0.2.2:443"),
            "{text}"
        );
        assert_eq!(found.payload_len, 4);
        let kind = kinds.first().map(|kind| kind_of(*kind));
        assert_eq!(found.key.tunnel(), kind);
    } else {
        assert!(text.contains("10.0.0.1"), "{text}");
    }
    // A snap length in any place, in a packet whose outer header is whole.
    for captured in (40..packet.len()).step_by(7) {
        let (cut, _) = read(&packet[..captured], packet.len());
        assert!(!cut.expect("the outer header is there").malformed);
    }
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % packet.len();
        packet[at] = change[2];
    }
    let mut tracker = FlowTracker::with_config(extract, TrackerConfig::new().max_flows(4))
        .expect("the settings are in range");
    let mut events = Vec::new();
    for captured in (0..=packet.len()).rev().step_by(3) {
        let time = Timestamp::from_nanos(1, Clock::Unknown);
        let cut = Packet::new(&packet[..captured], time, LinkType::RAW_IP)
            .with_wire_len(packet.len() as u32);
        if let Ok(found) = extract.extract(&cut) {
            assert!(found.payload_len as usize <= packet.len());
        }
        tracker.track(&cut, &mut events);
        events.clear();
    }
    let stats = tracker.stats();
    assert_eq!(
        stats.packets,
        stats.tracked + stats.icmp_errors + stats.untracked.total()
    );
}

fn kind_of(kind: u8) -> TunnelKind {
    match kind % 9 {
        0 | 1 => TunnelKind::IpInIp,
        2 | 3 => TunnelKind::Gre,
        4 => TunnelKind::Erspan,
        5 => TunnelKind::Vxlan,
        6 => TunnelKind::Geneve,
        7 => TunnelKind::GtpU,
        _ => TunnelKind::EtherIp,
    }
}

/// A packet in a tunnel of this kind, between 10.0.0.1 and 10.0.0.2.
fn wrap(kind: u8, inner: Vec<u8>) -> Vec<u8> {
    let framed = |inner: &[u8]| {
        let mut frame = vec![2; 12];
        // A tag for some, by the length.
        if inner.len().is_multiple_of(2) {
            frame.extend([0x81, 0, 0, 5]);
        }
        let is_v6 = inner[0] >> 4 == 6;
        frame.extend(if is_v6 { [0x86, 0xdd] } else { [8, 0] });
        frame.extend(inner);
        frame
    };
    let ether_type = if inner[0] >> 4 == 6 {
        [0x86, 0xdd]
    } else {
        [8, 0]
    };
    match kind % 9 {
        0 | 1 => {
            let protocol = if inner[0] >> 4 == 6 { 41 } else { 4 };
            if kind.is_multiple_of(9) {
                v4(protocol, &[], &inner)
            } else {
                v6(protocol, &inner)
            }
        }
        2 => v4(47, &[0, 0, ether_type[0], ether_type[1]], &inner),
        3 => v4(
            47,
            &[0x30, 0, 0x65, 0x58, 0, 0, 0, 9, 0, 0, 0, 1],
            &framed(&inner),
        ),
        4 => v4(
            47,
            &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 3, 0, 0, 0, 0],
            &framed(&inner),
        ),
        5 => udp(4789, &[8, 0, 0, 0, 0, 0, 5, 0], &framed(&inner)),
        6 => udp(
            6081,
            &[1, 0, 0x65, 0x58, 0, 0, 6, 0, 1, 2, 3, 4],
            &framed(&inner),
        ),
        7 => {
            let [high, low] = (inner.len() as u16 + 4).to_be_bytes();
            udp(
                2152,
                &[0x32, 255, high, low, 0, 0, 0, 7, 0, 0, 0, 0],
                &inner,
            )
        }
        _ => v4(97, &[0x30, 0], &framed(&inner)),
    }
}

fn udp(port: u16, header: &[u8], inner: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xc0, 1];
    bytes.extend(port.to_be_bytes());
    bytes.extend((8 + header.len() as u16 + inner.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(header);
    v4(17, &bytes, inner)
}

fn v4(protocol: u8, header: &[u8], inner: &[u8]) -> Vec<u8> {
    let len = 20 + header.len() as u16 + inner.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(header);
    packet.extend(inner);
    packet
}

/// With addresses that have an IPv4 one in them, which the test looks for.
fn v6(protocol: u8, inner: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((inner.len() as u16).to_be_bytes());
    packet.extend([protocol, 64]);
    for last in [1, 2] {
        packet.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]);
    }
    packet.extend(inner);
    packet
}
