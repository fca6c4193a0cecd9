//! Extractors written for flowscope.

use flowscope::extractor::{Extracted as Theirs, FlowExtractor, L4Proto};
use flowscope::{PacketView, Timestamp};
use netring_sys::{LinkType, Packet};

use super::{Extract, Extracted, Orientation, Skip, TcpSegment, Transport};

/// Adapts any `flowscope::FlowExtractor` (of flowscope 0.22).
///
/// flowscope's own extractors read Ethernet frames: packets of other link types are counted as
/// [`Skip::LinkType`]. A VLAN tag that the kernel moved out of the bytes is not visible to the
/// extractor. flowscope reports the payload of TCP only; for other protocols the payload is empty.
///
/// ```
/// use netring_flow::FlowTracker;
/// use netring_flow::extract::Flowscope;
///
/// let tracker = FlowTracker::new(Flowscope(flowscope::extract::IpPair));
/// assert_eq!(tracker.active_flows(), 0);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Flowscope<X>(pub X);

impl<X: FlowExtractor> Extract for Flowscope<X> {
    type Key = X::Key;

    fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<X::Key>, Skip> {
        if packet.link_type() != LinkType::ETHERNET {
            return Err(Skip::LinkType);
        }
        let nanos = packet.timestamp().as_nanos().max(0);
        let time = Timestamp::new(
            u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX),
            (nanos % 1_000_000_000) as u32,
        );
        let theirs = self
            .0
            .extract(PacketView::new(packet.data(), time))
            .ok_or(Skip::NoKey)?;
        Ok(translated(theirs))
    }
}

fn translated<K>(theirs: Theirs<K>) -> Extracted<K> {
    let orientation = match theirs.orientation {
        flowscope::extractor::Orientation::Forward => Orientation::Forward,
        flowscope::extractor::Orientation::Reverse => Orientation::Reverse,
    };
    let segment = theirs.tcp.map(|tcp| TcpSegment {
        flags: tcp.flags.bits(),
        sequence: tcp.seq,
        acknowledgement: tcp.ack,
        window: tcp.window,
    });
    let transport = match theirs.l4 {
        Some(L4Proto::Tcp) => Transport::Tcp(segment),
        Some(L4Proto::Udp) => Transport::Udp,
        _ => Transport::Other,
    };
    let found = Extracted::new(theirs.key, orientation, transport);
    // flowscope reports where the payload of TCP is, and nothing about other protocols.
    let number = |value| u32::try_from(value).unwrap_or(u32::MAX);
    match theirs.tcp {
        Some(tcp) => found.with_payload(number(tcp.payload_offset), number(tcp.payload_len)),
        None => found,
    }
}
