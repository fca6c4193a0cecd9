//! The information elements of a record, in the order of the template.

use std::net::IpAddr;

use super::super::{FlowRecord, SideRecord};
use super::{SET_HEADER, TEMPLATE_SET, end_reason, millis};
use crate::extract::TunnelKind;

/// The enterprise number of reverse elements (RFC 5103).
const REVERSE: u32 = 29_305;

/// The kind of overlay in the upper byte of a segment's identifier. The registry's only other kind,
/// NVGRE, is not distinguished from GRE here, and GRE's key has its own element.
const VXLAN: u64 = 1;

/// A field of a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    element: Element,
    /// A reverse element: it describes the responder's traffic.
    reverse: bool,
}

/// Element numbers by name.
#[derive(Clone, Copy, Debug)]
enum Element {
    OctetDeltaCount = 1,
    PacketDeltaCount = 2,
    ProtocolIdentifier = 4,
    TcpControlBits = 6,
    SourceTransportPort = 7,
    SourceIPv4Address = 8,
    DestinationTransportPort = 11,
    DestinationIPv4Address = 12,
    SourceIPv6Address = 27,
    DestinationIPv6Address = 28,
    IcmpTypeCodeIPv4 = 32,
    VlanId = 58,
    MplsTopLabelStackSection = 70,
    FlowEndReason = 136,
    IcmpTypeCodeIPv6 = 139,
    FlowId = 148,
    FlowStartMilliseconds = 152,
    FlowEndMilliseconds = 153,
    BiflowDirection = 239,
    Dot1qCustomerVlanId = 245,
    GreKey = 296,
    Layer2SegmentId = 351,
    Layer2OctetDeltaCount = 352,
    GtpuTeid = 507,
}

use Element as E;

const fn forward(element: Element) -> Field {
    Field {
        element,
        reverse: false,
    }
}

const fn reverse(element: Element) -> Field {
    Field {
        element,
        reverse: true,
    }
}

/// A template.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) id: u16,
    fields: [Field; FIELDS],
}

const FIELDS: usize = 28;
/// Reverse elements whose value some collectors take for the forward one: before it they do no
/// harm. Records of one end do not have them, nor the last ones.
const FIRST: usize = 4;
const LAST: usize = 4;

const fn template(id: u16, [source, destination, icmp]: [Element; 3]) -> Template {
    Template {
        id,
        fields: [
            reverse(E::TcpControlBits),
            reverse(E::FlowStartMilliseconds),
            reverse(E::FlowEndMilliseconds),
            reverse(E::MplsTopLabelStackSection),
            forward(source),
            forward(destination),
            forward(E::SourceTransportPort),
            forward(E::DestinationTransportPort),
            forward(E::ProtocolIdentifier),
            forward(E::TcpControlBits),
            forward(icmp),
            forward(E::VlanId),
            forward(E::Dot1qCustomerVlanId),
            forward(E::MplsTopLabelStackSection),
            forward(E::Layer2SegmentId),
            forward(E::GreKey),
            forward(E::GtpuTeid),
            forward(E::FlowId),
            forward(E::FlowEndReason),
            forward(E::FlowStartMilliseconds),
            forward(E::FlowEndMilliseconds),
            forward(E::OctetDeltaCount),
            forward(E::PacketDeltaCount),
            forward(E::Layer2OctetDeltaCount),
            forward(E::BiflowDirection),
            reverse(E::OctetDeltaCount),
            reverse(E::PacketDeltaCount),
            reverse(E::Layer2OctetDeltaCount),
        ],
    }
}

/// The templates for IPv4 and IPv6.
pub(super) const TEMPLATES: [Template; 2] = [
    template(
        256,
        [
            E::SourceIPv4Address,
            E::DestinationIPv4Address,
            E::IcmpTypeCodeIPv4,
        ],
    ),
    template(
        257,
        [
            E::SourceIPv6Address,
            E::DestinationIPv6Address,
            E::IcmpTypeCodeIPv6,
        ],
    ),
];

impl Template {
    /// The template of a record: the IPv4 one if both addresses are IPv4.
    pub(super) const fn of(record: &FlowRecord) -> &'static Self {
        match (record.initiator.addr, record.responder.addr) {
            (IpAddr::V4(_), IpAddr::V4(_)) => &TEMPLATES[0],
            _ => &TEMPLATES[1],
        }
    }

    /// Its fields; with `uniflow`, only those of one end.
    pub(super) fn fields(&self, uniflow: bool) -> &[Field] {
        if uniflow {
            &self.fields[FIRST..FIELDS - LAST]
        } else {
            &self.fields
        }
    }
}

/// Bytes of a record.
pub(super) fn record_len(fields: &[Field]) -> usize {
    fields.iter().map(|field| field.element.len()).sum()
}

/// Bytes of the longest record.
pub(super) fn longest_record(uniflow: bool) -> usize {
    let lengths = TEMPLATES.iter().map(|it| record_len(it.fields(uniflow)));
    lengths.max().unwrap_or_default()
}

/// Bytes of the set with both templates.
pub(super) fn templates_len(uniflow: bool) -> usize {
    let mut set = Vec::new();
    write_templates(&TEMPLATES, uniflow, &mut set);
    set.len()
}

/// Appends a set with these templates.
pub(super) fn write_templates(templates: &[Template], uniflow: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&TEMPLATE_SET.to_be_bytes());
    out.extend_from_slice(&[0; SET_HEADER - 2]);
    for template in templates {
        let fields = template.fields(uniflow);
        out.extend_from_slice(&template.id.to_be_bytes());
        out.extend_from_slice(&(fields.len() as u16).to_be_bytes());
        for field in fields {
            // The upper bit means that an enterprise number follows.
            let number = field.element as u16 | if field.reverse { 1 << 15 } else { 0 };
            out.extend_from_slice(&number.to_be_bytes());
            out.extend_from_slice(&(field.element.len() as u16).to_be_bytes());
            if field.reverse {
                out.extend_from_slice(&REVERSE.to_be_bytes());
            }
        }
    }
    let len = (out.len() - start) as u16;
    out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
}

impl Element {
    /// Bytes of a value.
    const fn len(self) -> usize {
        match self {
            // One byte of flags: a collector read 0 from a two-byte field.
            Self::TcpControlBits
            | Self::ProtocolIdentifier
            | Self::FlowEndReason
            | Self::BiflowDirection => 1,
            Self::SourceTransportPort
            | Self::DestinationTransportPort
            | Self::IcmpTypeCodeIPv4
            | Self::IcmpTypeCodeIPv6
            | Self::VlanId
            | Self::Dot1qCustomerVlanId => 2,
            Self::MplsTopLabelStackSection => 3,
            Self::SourceIPv4Address
            | Self::DestinationIPv4Address
            | Self::GreKey
            | Self::GtpuTeid => 4,
            Self::OctetDeltaCount
            | Self::PacketDeltaCount
            | Self::FlowId
            | Self::FlowStartMilliseconds
            | Self::FlowEndMilliseconds
            | Self::Layer2SegmentId
            | Self::Layer2OctetDeltaCount => 8,
            Self::SourceIPv6Address | Self::DestinationIPv6Address => 16,
        }
    }
}

impl Field {
    /// Appends the value. If `swapped`, the responder is the source.
    pub(super) fn write(self, record: &FlowRecord, swapped: bool, out: &mut Vec<u8>) {
        let ends = [&record.initiator, &record.responder];
        let (from, to) = (ends[usize::from(swapped)], ends[usize::from(!swapped)]);
        let side = if self.reverse { to } else { from };
        let value = match self.element {
            E::SourceIPv4Address | E::SourceIPv6Address => return self.address(out, from),
            E::DestinationIPv4Address | E::DestinationIPv6Address => return self.address(out, to),
            E::OctetDeltaCount => side.ip_bytes.unwrap_or(side.bytes),
            E::PacketDeltaCount => side.packets,
            E::Layer2OctetDeltaCount => side.bytes,
            E::ProtocolIdentifier => record.protocol.into(),
            E::TcpControlBits => side.tcp_flags.into(),
            E::SourceTransportPort => from.port.unwrap_or_default().into(),
            E::DestinationTransportPort => to.port.unwrap_or_default().into(),
            E::IcmpTypeCodeIPv4 | E::IcmpTypeCodeIPv6 => record.icmp.map_or(0, |kind| {
                u64::from(kind.icmp_type) << 8 | u64::from(kind.code)
            }),
            E::VlanId => record.vlan.unwrap_or_default().into(),
            E::Dot1qCustomerVlanId => record.inner_vlan.unwrap_or_default().into(),
            E::FlowId => record.number(),
            E::MplsTopLabelStackSection => side.mpls.map_or(0, |mpls| mpls.bits().into()),
            E::Layer2SegmentId => {
                tunnel_id(record, TunnelKind::Vxlan).map_or(0, |vni| VXLAN << 56 | vni)
            }
            E::GreKey => tunnel_id(record, TunnelKind::Gre).unwrap_or_default(),
            E::GtpuTeid => tunnel_id(record, TunnelKind::GtpU).unwrap_or_default(),
            E::FlowEndReason => end_reason(record).into(),
            E::FlowStartMilliseconds => millis(side.first_ns.unwrap_or(record.start_ns)),
            E::FlowEndMilliseconds => millis(side.last_ns.unwrap_or(record.end_ns)),
            E::BiflowDirection => 1,
        };
        let bytes = value.to_be_bytes();
        out.extend_from_slice(&bytes[bytes.len() - self.element.len()..]);
    }

    /// Appends an address of the element's length; an IPv4 address is mapped if the other is IPv6.
    fn address(self, out: &mut Vec<u8>, end: &SideRecord) {
        match (self.element.len(), end.addr) {
            (4, IpAddr::V4(addr)) => out.extend_from_slice(&addr.octets()),
            (_, IpAddr::V4(addr)) => out.extend_from_slice(&addr.to_ipv6_mapped().octets()),
            (_, IpAddr::V6(addr)) => out.extend_from_slice(&addr.octets()),
        }
    }
}

/// The identifier of the tunnel if it is of this kind.
fn tunnel_id(record: &FlowRecord, kind: TunnelKind) -> Option<u64> {
    let tunnel = record.tunnel.filter(|tunnel| tunnel.kind == kind)?;
    tunnel.id.map(Into::into)
}
