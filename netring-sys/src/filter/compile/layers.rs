//! Where the headers of a packet begin, and how its link layer names what it carries.

use super::values::{Bool, Val, Values};
use crate::LinkType;
use crate::filter::op::{Comparison, Width};

pub(super) const IP: u32 = 0x0800;
pub(super) const IP6: u32 = 0x86dd;
/// LLC addresses stand in the place of EtherTypes, and so do lengths up to this.
const MAX_LENGTH: u32 = 1500;
const ISO: u32 = 0xfe;
const IPX: u32 = 0xe0;
const NETBEUI: u32 = 0xf0;
const STP: u32 = 0x42;

/// The headers that the terms so far have descended into. As in libpcap, `vlan`, `mpls`,
/// `pppoes` and `geneve` move them for everything that follows in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layers {
    /// The link type, or that of the headers inside of PPPoE.
    pub(super) link: LinkType,
    pub(super) link_header: u32,
    /// The field that names the protocol.
    pub(super) link_type: u32,
    /// The first byte behind the link header.
    pub(super) payload: u32,
    /// The bytes of MPLS labels before the network header.
    pub(super) labels: u32,
    /// Whether there is no link header, as directly behind the header of a tunnel.
    pub(super) is_bare: bool,
    /// The EtherType, if it does not precede the payload.
    pub(super) named: Option<Val>,
}

impl Layers {
    /// The layers of a link type; `None` for one that filters cannot be compiled for.
    pub(super) fn of(link: LinkType) -> Option<Self> {
        let (link_type, payload) = match link {
            LinkType::ETHERNET => (12, 14),
            LinkType::RAW_IP
            | LinkType::DLT_RAW
            | LinkType::DLT_RAW_OPENBSD
            | LinkType::IPV4
            | LinkType::IPV6 => (0, 0),
            LinkType::NULL | LinkType::LOOP => (0, 4),
            LinkType::LINUX_SLL => (14, 16),
            LinkType::LINUX_SLL2 => (0, 20),
            LinkType::PPP | LinkType::PPP_HDLC | LinkType::C_HDLC => (2, 4),
            LinkType::PPP_ETHER => (6, 8),
            _ => return None,
        };
        Some(Self {
            link,
            link_header: 0,
            link_type,
            payload,
            labels: 0,
            is_bare: false,
            named: None,
        })
    }

    /// The network header.
    pub(super) const fn network(&self) -> u32 {
        self.payload + self.labels
    }

    /// Whether the packet carries this EtherType (or LLC address, up to 1500).
    pub(super) fn carries(&self, values: &mut Values, number: u32) -> Result<Bool, String> {
        if self.labels > 0 {
            return self.labelled(values, number);
        }
        if let Some(named) = self.named {
            return Ok(values.test(named, Comparison::Eq, number));
        }
        Ok(match self.link {
            LinkType::ETHERNET => self.ethernet(values, number),
            LinkType::RAW_IP | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD => match number {
                IP => values.masked(Width::Byte, 0, 0xf0, 0x40),
                IP6 => values.masked(Width::Byte, 0, 0xf0, 0x60),
                _ => Bool::Is(false),
            },
            LinkType::IPV4 => Bool::Is(number == IP),
            LinkType::IPV6 => Bool::Is(number == IP6),
            LinkType::NULL | LinkType::LOOP => self.loopback(values, number),
            LinkType::LINUX_SLL => self.cooked(values, number),
            LinkType::PPP | LinkType::PPP_HDLC | LinkType::PPP_ETHER => {
                values.equal(Width::Half, self.link_type, ppp(number))
            }
            LinkType::C_HDLC if number == ISO => values.equal(Width::Half, self.link_type, 0xfefe),
            _ => values.equal(Width::Half, self.link_type, number),
        })
    }

    fn ethernet(&self, values: &mut Values, number: u32) -> Bool {
        let field = |values: &mut Values, k| values.equal(Width::Half, self.link_type, k);
        match number {
            ISO | NETBEUI => {
                let both = values.equal(Width::Half, self.payload, number << 8 | number);
                Bool::and([self.is_length(values), both])
            }
            IPX => {
                let llc = Bool::or([
                    values.equal(Width::Byte, self.payload, IPX),
                    values.equal(Width::Half, self.payload, 0xffff),
                    self.snap(values, 0, 0x8137),
                ]);
                let llc = Bool::and([self.is_length(values), llc]);
                Bool::or([field(values, 0x8137), llc])
            }
            0x809b | 0x80f3 => {
                let organization = if number == 0x809b { 0x08_0007 } else { 0 };
                let snap = self.snap(values, organization, number);
                let snap = Bool::and([self.is_length(values), snap]);
                Bool::or([field(values, number), snap])
            }
            0..=MAX_LENGTH => {
                let address = values.equal(Width::Byte, self.link_type + 2, number);
                Bool::and([self.is_length(values), address])
            }
            _ => field(values, number),
        }
    }

    /// Whether the field of the EtherType contains a length, so that an LLC header follows.
    pub(super) fn is_length(&self, values: &mut Values) -> Bool {
        let field = values.add(super::values::Value::Abs(Width::Half, self.link_type));
        values.test(field, Comparison::Gt, MAX_LENGTH).not()
    }

    fn snap(&self, values: &mut Values, organization: u32, number: u32) -> Bool {
        let last = (organization & 0xffff) << 16 | number;
        let first = 0xaaaa_0300 | organization >> 16;
        Bool::and([
            values.equal(Width::Word, self.payload + 4, last),
            values.equal(Width::Word, self.payload, first),
        ])
    }

    /// Linux cooked: an EtherType, or a number of its own for frames with an LLC header.
    fn cooked(&self, values: &mut Values, number: u32) -> Bool {
        const LLC: u32 = 0x0004;
        const IPX_RAW: u32 = 0x0001;
        let field = |values: &mut Values, k| values.equal(Width::Half, self.link_type, k);
        match number {
            ISO | NETBEUI => Bool::and([
                field(values, LLC),
                values.equal(Width::Half, self.payload, number << 8 | number),
            ]),
            IPX => {
                let llc = Bool::or([
                    values.equal(Width::Byte, self.payload, IPX),
                    self.snap(values, 0, 0x8137),
                ]);
                let llc = Bool::and([field(values, LLC), llc]);
                Bool::or([field(values, 0x8137), field(values, IPX_RAW), llc])
            }
            0x809b | 0x80f3 => {
                let organization = if number == 0x809b { 0x08_0007 } else { 0 };
                let snap = self.snap(values, organization, number);
                let snap = Bool::and([field(values, LLC), snap]);
                Bool::or([field(values, number), snap])
            }
            0..=MAX_LENGTH => Bool::and([
                field(values, LLC),
                values.equal(Width::Byte, self.payload, number),
            ]),
            _ => field(values, number),
        }
    }

    /// An address family of the system that captured: in network order (LOOP), or in the order of
    /// that system (NULL), which is not known.
    fn loopback(&self, values: &mut Values, number: u32) -> Bool {
        let families: &[u32] = match number {
            IP => &[2],
            IP6 => &[24, 28, 30],
            _ => return Bool::Is(false),
        };
        let is_null = self.link == LinkType::NULL;
        let mut any = Vec::new();
        for family in families {
            if is_null {
                any.push(values.equal(Width::Word, 0, family.swap_bytes()));
            } else {
                any.push(values.equal(Width::Word, 0, *family));
            }
        }
        Bool::or(any)
    }

    /// Behind MPLS labels no field names the protocol: the last label is followed by IP.
    fn labelled(&self, values: &mut Values, number: u32) -> Result<Bool, String> {
        let version = match number {
            IP => 0x40,
            IP6 => 0x60,
            _ => return Err("behind `mpls` only IPv4 and IPv6 can be recognized".into()),
        };
        let last = values.masked(Width::Byte, self.network() - 2, 0x01, 0x01);
        let version = values.masked(Width::Byte, self.network(), 0xf0, version);
        Ok(Bool::and([last, version]))
    }
}

/// The number of PPP for an EtherType.
pub(super) const fn ppp(number: u32) -> u32 {
    match number {
        IP => 0x0021,
        IP6 => 0x0057,
        0x6003 => 0x0027,
        0x809b => 0x0029,
        0x0600 => 0x0025,
        ISO => 0x0023,
        STP => 0x0031,
        IPX => 0x002b,
        _ => number,
    }
}

/// One place of the headers, and the packets that have them there.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub(super) guard: Bool,
    /// What the offsets of the layers count from, if that is not the start of the packet.
    pub(super) base: Option<Val>,
    pub(super) layers: Layers,
}

impl Variant {
    /// For all packets.
    pub(super) const fn only(layers: Layers) -> Self {
        Self {
            guard: Bool::Is(true),
            base: None,
            layers,
        }
    }
}
