//! Hostile streams and datagrams for flowscope's parsers: none panics or loops, and what sessions
//! report is in order.

use std::collections::HashMap;
use std::fmt::Debug;

use flowscope::dns::{DnsTcpParser, DnsUdpParser};
use flowscope::http::HttpParser;
use flowscope::tls::TlsParser;
use netring_flow::extract::FiveTuple;
use netring_flow::reassembly::{ReassemblyConfig, Subscription};
use netring_flow::session::{DatagramParser, Parser, SessionEvent, SessionTracker, StreamParser};
use netring_flow::{FlowTracker, flowscope};
use netring_sys::{Clock, LinkType, Packet, Timestamp};

/// The first byte chooses the parser. See [`streams`] for the rest.
pub(crate) fn run(input: &[u8]) {
    let Some((&which, rest)) = input.split_first() else {
        return;
    };
    match which & 3 {
        0 => streams(rest, 6, || StreamParser::new(HttpParser::default())),
        1 => streams(rest, 6, || StreamParser::new(TlsParser::default())),
        2 => streams(rest, 6, || StreamParser::new(DnsTcpParser::default())),
        _ => streams(
            rest,
            17,
            || DatagramParser(DnsUdpParser::with_correlation()),
        ),
    }
}

/// Each packet: two bits for sender and flow, one each for a FIN, a RST, and a packet that was not
/// captured, the rest for the time that passed; a byte for the length; the content.
fn streams<P: Parser<Message: Debug>>(
    input: &[u8],
    protocol: u8,
    mut parser: impl FnMut() -> P + Send + 'static,
) {
    let sessions = SessionTracker::new(
        FlowTracker::new(FiveTuple::bidirectional()),
        ReassemblyConfig::new(),
        Subscription::all(),
        move |_| Some(parser()),
    );
    let mut sessions = sessions.expect("the settings are in range");
    let (mut order, mut events, mut rest) = (Order::default(), Vec::new(), input);
    let (mut now, mut sent) = (1_700_000_000_000_000_000_i64, 0);
    // The next number of each direction of both flows.
    let mut next = [[1_u32; 2]; 2];
    while let Some((&[what, len], tail)) = rest.split_first_chunk() {
        let (content, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        now += i64::from(what >> 5) * 1_500_000_000;
        let (flow, sender) = (usize::from(what >> 1 & 1), usize::from(what & 1));
        let number = next[flow][sender];
        next[flow][sender] = number.wrapping_add(content.len() as u32 + u32::from(what >> 2 & 1));
        if what & 0x10 != 0 {
            continue;
        }
        let flags = 0x10 | what >> 2 & 1 | what >> 1 & 4;
        let ack = next[flow][1 - sender];
        let packet = packet(
            protocol,
            flow as u8,
            sender as u8,
            flags,
            [number, ack],
            content,
        );
        let time = Timestamp::from_nanos(now, Clock::Unknown);
        sessions.track(&Packet::new(&packet, time, LinkType::IPV4), &mut events);
        sessions.expire(time, &mut events);
        sent += content.len();
        order.take(&mut events);
        assert!(sessions.active_sessions() <= 2);
    }
    while sessions.finish(&mut events) {}
    order.take(&mut events);
    assert!(!order.active.values().any(|active| *active));
    // A message has a byte at least.
    assert!(order.messages <= sent + 2 * order.active.len());
    let stats = sessions.stats();
    assert_eq!((stats.held, stats.memory), (0, 0));
}

fn packet(
    protocol: u8,
    flow: u8,
    sender: u8,
    flags: u8,
    numbers: [u32; 2],
    content: &[u8],
) -> Vec<u8> {
    let ends = [1, 2].map(|end| [10, 0, flow, end]);
    let ports = [[0x9c, 0x40], [0, 53]];
    let (from, to) = (usize::from(sender), usize::from(1 - sender));
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend([ends[from], ends[to]].concat());
    packet.extend([ports[from], ports[to]].concat());
    if protocol == 6 {
        packet.extend(numbers.map(u32::to_be_bytes).concat());
        packet.extend([0x50, flags, 255, 255, 0, 0, 0, 0]);
    } else {
        packet.extend((8 + content.len() as u16).to_be_bytes());
        packet.extend([0, 0]);
    }
    packet.extend(content);
    let total = packet.len() as u16;
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet
}

/// Checks the order of what sessions report.
#[derive(Default)]
struct Order {
    /// Whether the session of a flow has started and not ended.
    active: HashMap<u64, bool>,
    messages: usize,
}

impl Order {
    fn take<K, M: Debug>(&mut self, events: &mut Vec<SessionEvent<K, M>>) {
        for event in events.drain(..) {
            let active = self.active.entry(event.flow().get()).or_default();
            match event {
                SessionEvent::Started { .. } => {
                    assert!(!*active);
                    *active = true;
                }
                SessionEvent::Message { message, .. } => {
                    assert!(*active && !format!("{message:?}").is_empty());
                    self.messages += 1;
                }
                SessionEvent::Gap { missing, .. } => assert!(*active && missing != 0),
                SessionEvent::Ended { .. } => {
                    assert!(*active);
                    *active = false;
                }
                _ => {}
            }
        }
    }
}
