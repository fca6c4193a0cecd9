//! Metadata of a packet, as filters load it.

use super::op::Ancillary;
use crate::{Direction, LinkType, Packet};

/// Whether packets carry this value at all; a single packet may still not know it.
pub(super) const fn is_carried(fact: Ancillary) -> bool {
    match fact {
        Ancillary::Protocol
        | Ancillary::PacketType
        | Ancillary::Interface
        | Ancillary::Queue
        | Ancillary::RxHash
        | Ancillary::XorX
        | Ancillary::VlanTag
        | Ancillary::VlanTagPresent
        | Ancillary::VlanTpid => true,
        Ancillary::NetlinkAttribute
        | Ancillary::NestedAttribute
        | Ancillary::Mark
        | Ancillary::HardwareType
        | Ancillary::Cpu
        | Ancillary::PayloadOffset
        | Ancillary::Random => false,
    }
}

/// The value that the kernel would load for this packet; `None` if the source does not know it.
pub(super) fn value(fact: Ancillary, packet: &Packet<'_>) -> Option<u32> {
    match fact {
        Ancillary::Protocol => protocol(packet),
        // The `PACKET_*` numbers of `linux/if_packet.h`.
        Ancillary::PacketType => packet.direction().map(|direction| match direction {
            Direction::Host => 0,
            Direction::Broadcast => 1,
            Direction::Multicast => 2,
            Direction::OtherHost => 3,
            Direction::Outgoing => 4,
        }),
        // 0 means a source without interfaces.
        Ancillary::Interface => Some(packet.interface()).filter(|index| *index != 0),
        Ancillary::Queue => packet.queue().map(|queue| queue.saturating_add(1)),
        Ancillary::RxHash => packet.rx_hash(),
        Ancillary::VlanTag => Some(packet.vlan().map_or(0, |tag| tag.tci.into())),
        Ancillary::VlanTagPresent => Some(packet.vlan().is_some().into()),
        Ancillary::VlanTpid => Some(packet.vlan().map_or(0, |tag| tag.tpid.into())),
        _ => None,
    }
}

/// The offset of the network header in bytes, as the kernel sets it on reception: after the link
/// header, whatever follows.
pub(super) fn network_header(packet: &Packet<'_>) -> Option<u32> {
    Some(match packet.link_type() {
        LinkType::ETHERNET => 14,
        LinkType::NULL | LinkType::LOOP | LinkType::C_HDLC => 4,
        LinkType::LINUX_SLL => 16,
        LinkType::LINUX_SLL2 => 20,
        link_type if is_ip(link_type) => 0,
        _ => return None,
    })
}

/// The packet's EtherType, as `eth_type_trans` reads it.
// [`eth_type_trans`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethernet/eth.c#L155
fn protocol(packet: &Packet<'_>) -> Option<u32> {
    const ETH_P_802_3: u32 = 0x0001;
    const ETH_P_802_2: u32 = 0x0004;
    let half = |at: usize| {
        let bytes = packet.data().get(at..at + 2)?;
        Some(u32::from(bytes[0]) << 8 | u32::from(bytes[1]))
    };
    match packet.link_type() {
        LinkType::ETHERNET => match half(12)? {
            ether_type @ 0x600.. => Some(ether_type),
            // A length: raw IPX begins with 0xffff, anything else with an LLC header.
            _ if half(14) == Some(0xffff) => Some(ETH_P_802_3),
            _ => Some(ETH_P_802_2),
        },
        LinkType::LINUX_SLL => half(14),
        LinkType::LINUX_SLL2 => half(0),
        link_type if is_ip(link_type) => match packet.data().first()? >> 4 {
            4 => Some(0x0800),
            6 => Some(0x86dd),
            _ => None,
        },
        _ => None,
    }
}

const fn is_ip(link_type: LinkType) -> bool {
    matches!(
        link_type,
        LinkType::RAW_IP
            | LinkType::DLT_RAW
            | LinkType::DLT_RAW_OPENBSD
            | LinkType::IPV4
            | LinkType::IPV6
    )
}
