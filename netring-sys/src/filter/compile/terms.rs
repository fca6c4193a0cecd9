//! The conditions of single terms, in the order in which libpcap tests them.

use super::Dialect;
use super::layers::{IP, IP6, Layers, Variant, ppp};
use super::values::{Bool, Value, Values};
use crate::LinkType;
use crate::filter::expr::tree::{Inside, Layer, LlcFrame, Primitive, Protocol, Side, Transport};
use crate::filter::op::{Comparison, Width};
use crate::kernel::filter::SKF_AD_OFF;

const ARP: u32 = 0x0806;
const RARP: u32 = 0x8035;
const TCP: u32 = 6;
const UDP: u32 = 17;
const SCTP: u32 = 132;

/// Compiles terms one after the other; some move the layers for those that follow.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) values: Values,
    pub(super) layers: Layers,
    pub(super) dialect: Dialect,
    /// Where the headers behind the last term can be, if that depends on the packet.
    pub(super) inside: Vec<Variant>,
}

impl Terms {
    pub(super) fn term(&mut self, primitive: &Primitive) -> Result<Bool, String> {
        match *primitive {
            Primitive::Proto(proto) => self.proto(proto),
            Primitive::Net4 {
                proto,
                dir,
                address,
                mask,
            } => self.net4(proto, dir, address, mask),
            Primitive::Net6 { dir, address, mask } => self.net6(dir, address, mask),
            Primitive::EtherHost { dir, address } => self.ether_host(dir, address),
            Primitive::Ports {
                transport,
                dir,
                first,
                last,
            } => self.ports(transport, dir, first.into(), last.into()),
            Primitive::Number { inside, number } => self.number(inside, number),
            Primitive::Chain { inside, number } => self.chain(inside, number),
            Primitive::Broadcast { ip: true } => self.ip_broadcast(),
            Primitive::Broadcast { ip: false } => self.ether_host(Side::Dst, [0xff; 6]),
            Primitive::Multicast(layer) => self.multicast(layer),
            Primitive::Vlan(tag) => self.vlan(tag),
            Primitive::Mpls(label) => self.mpls(label),
            Primitive::PppoeSession(session) => self.pppoes(session),
            Primitive::Geneve(network) => self.geneve(network),
            Primitive::PppoeDiscovery => self.carries(0x8863),
            Primitive::Llc(frame) => self.llc(frame),
            Primitive::Interface(index) => self.interface(index),
            Primitive::Outbound(is_outbound) => self.outbound(is_outbound),
        }
    }

    pub(super) fn carries(&mut self, number: u32) -> Result<Bool, String> {
        self.layers.carries(&mut self.values, number)
    }

    /// A protocol by its keyword.
    pub(super) fn proto(&mut self, proto: Protocol) -> Result<Bool, String> {
        let number = match proto {
            Protocol::Ether => return Err("`ether` alone says nothing".into()),
            Protocol::Ip => IP,
            Protocol::Ip6 => IP6,
            Protocol::Arp => ARP,
            Protocol::Rarp => RARP,
            Protocol::Tcp => return self.number(Inside::AnyIp, TCP),
            Protocol::Udp => return self.number(Inside::AnyIp, UDP),
            Protocol::Sctp => return self.number(Inside::AnyIp, SCTP),
            Protocol::Pim => return self.number(Inside::AnyIp, 103),
            Protocol::Ah => return self.number(Inside::AnyIp, 51),
            Protocol::Esp => return self.number(Inside::AnyIp, 50),
            Protocol::Icmp => return self.number(Inside::Ip, 1),
            Protocol::Igmp => return self.number(Inside::Ip, 2),
            Protocol::Igrp => return self.number(Inside::Ip, 9),
            Protocol::Vrrp | Protocol::Carp => return self.number(Inside::Ip, 112),
            Protocol::Icmp6 => return self.number(Inside::Ip6, 58),
            Protocol::Clnp => return self.number(Inside::Iso, 0x81),
            Protocol::Esis => return self.number(Inside::Iso, 0x82),
            Protocol::Isis => return self.number(Inside::Iso, 0x83),
            Protocol::L1 => return self.isis(&[0x1a, 0x18, 0x12, 0x0f, 0x11]),
            Protocol::L2 => return self.isis(&[0x1b, 0x19, 0x14, 0x10, 0x11]),
            Protocol::Iih => return self.isis(&[0x11, 0x0f, 0x10]),
            Protocol::Lsp => return self.isis(&[0x12, 0x14]),
            Protocol::Snp => return self.isis(&[0x1b, 0x1a, 0x18, 0x19]),
            Protocol::Csnp => return self.isis(&[0x18, 0x19]),
            Protocol::Psnp => return self.isis(&[0x1a, 0x1b]),
            Protocol::Atalk => 0x809b,
            Protocol::Aarp => 0x80f3,
            Protocol::Decnet => 0x6003,
            Protocol::Lat => 0x6004,
            Protocol::Sca => 0x6007,
            Protocol::Moprc => 0x6002,
            Protocol::Mopdl => 0x6001,
            Protocol::Iso => 0xfe,
            Protocol::Stp => 0x42,
            Protocol::Ipx => 0xe0,
            Protocol::Netbeui => 0xf0,
        };
        self.carries(number)
    }

    pub(super) fn byte(&mut self, at: u32, k: u32) -> Bool {
        let at = self.layers.network() + at;
        self.values.equal(Width::Byte, at, k)
    }

    fn number(&mut self, inside: Inside, number: u32) -> Result<Bool, String> {
        const FRAGMENT: u32 = 44;
        match inside {
            Inside::AnyIp => Ok(Bool::or([
                self.number(Inside::Ip, number)?,
                self.number(Inside::Ip6, number)?,
            ])),
            Inside::Link => self.carries(number),
            Inside::Ip => Ok(Bool::and([self.carries(IP)?, self.byte(9, number)])),
            Inside::Ip6 => {
                let behind = Bool::and([self.byte(6, FRAGMENT), self.byte(40, number)]);
                let next = Bool::or([self.byte(6, number), behind]);
                Ok(Bool::and([self.carries(IP6)?, next]))
            }
            Inside::Iso => {
                // Behind the rest of the LLC header.
                let at = match self.layers.link {
                    LinkType::ETHERNET => 3,
                    LinkType::C_HDLC => 1,
                    _ => 0,
                };
                Ok(Bool::and([self.carries(0xfe)?, self.byte(at, number)]))
            }
        }
    }

    /// IS-IS, of one of these types.
    fn isis(&mut self, types: &[u32]) -> Result<Bool, String> {
        let at = match self.layers.link {
            LinkType::ETHERNET => 7,
            _ => 4,
        };
        let any: Vec<_> = types.iter().map(|kind| self.byte(at, *kind)).collect();
        Ok(Bool::and([self.proto(Protocol::Isis)?, Bool::or(any)]))
    }

    fn net4(
        &mut self,
        proto: Option<Protocol>,
        dir: Side,
        address: u32,
        mask: u32,
    ) -> Result<Bool, String> {
        if !matches!(
            proto,
            None | Some(Protocol::Ip | Protocol::Arp | Protocol::Rarp)
        ) {
            return Err("only `ip`, `arp` and `rarp` have IPv4 addresses".into());
        }
        let mut any = Vec::new();
        for (one, number, src, dst) in [
            (Protocol::Ip, IP, 12, 16),
            (Protocol::Arp, ARP, 14, 24),
            (Protocol::Rarp, RARP, 14, 24),
        ] {
            // Behind MPLS labels there is no ARP.
            let is_meant = match proto {
                Some(proto) => proto == one,
                None => one == Protocol::Ip || self.layers.labels == 0,
            };
            if is_meant {
                let begin = self.layers.network();
                let mut at = |at| self.values.masked(Width::Word, begin + at, mask, address);
                let sides = direction(dir, at(src), at(dst));
                any.push(Bool::and([self.carries(number)?, sides]));
            }
        }
        Ok(Bool::or(any))
    }

    fn net6(&mut self, dir: Side, address: u128, mask: u128) -> Result<Bool, String> {
        let begin = self.layers.network();
        let mut at = |at: u32| {
            let words = [3_u32, 2, 1, 0].map(|n| {
                let word = |bits: u128| (bits >> (96 - 32 * n)) as u32;
                self.values
                    .masked(Width::Word, begin + at + 4 * n, word(mask), word(address))
            });
            Bool::and(words)
        };
        let sides = direction(dir, at(8), at(24));
        Ok(Bool::and([self.carries(IP6)?, sides]))
    }

    fn ether_host(&mut self, dir: Side, address: [u8; 6]) -> Result<Bool, String> {
        self.need_ethernet("link-layer addresses")?;
        let [a, b, c, d, e, f] = address;
        let first = u32::from(u16::from_be_bytes([a, b]));
        let last = u32::from_be_bytes([c, d, e, f]);
        let begin = self.layers.link_header;
        let mut at = |at| {
            Bool::and([
                self.values.equal(Width::Word, begin + at + 2, last),
                self.values.equal(Width::Half, begin + at, first),
            ])
        };
        Ok(direction(dir, at(6), at(0)))
    }

    fn ports(
        &mut self,
        transport: Transport,
        dir: Side,
        first: u32,
        last: u32,
    ) -> Result<Bool, String> {
        let protocols: &[u32] = match transport {
            Transport::Any => &[TCP, UDP, SCTP],
            Transport::Tcp => &[TCP],
            Transport::Udp => &[UDP],
            Transport::Sctp => &[SCTP],
        };
        let begin = self.layers.network();
        let mut at = |at| self.values.add(Value::Abs(Width::Half, begin + 40 + at));
        let [src, dst] = [at(0), at(2)].map(|val| self.between(val, first, last));
        let inside = direction(dir, src, dst);
        let ip6 = Bool::and([self.carries(IP6)?, self.each(6, protocols, inside)]);

        let length = self.values.add(Value::HeaderLength(begin));
        let mut at = |at| self.values.add(Value::Ind(Width::Half, length, begin + at));
        let [src, dst] = [at(0), at(2)].map(|val| self.between(val, first, last));
        let inside = Bool::and([self.is_first_fragment(), direction(dir, src, dst)]);
        let ip = Bool::and([self.carries(IP)?, self.each(9, protocols, inside)]);
        Ok(Bool::or([ip6, ip]))
    }

    /// The condition under each of these protocols. They stay apart, so that what follows can rely
    /// on the one that was found; what is equal behind them is merged at the end.
    fn each(&mut self, at: u32, protocols: &[u32], inside: Bool) -> Bool {
        Bool::or(
            protocols
                .iter()
                .map(|protocol| Bool::and([self.byte(at, *protocol), inside.clone()])),
        )
    }

    fn between(&mut self, val: usize, first: u32, last: u32) -> Bool {
        if first == last {
            return self.values.test(val, Comparison::Eq, first);
        }
        Bool::and([
            self.values.test(val, Comparison::Ge, first),
            self.values.test(val, Comparison::Gt, last).not(),
        ])
    }

    /// Only the first fragment of an IPv4 packet has the header of the transport.
    pub(super) fn is_first_fragment(&mut self) -> Bool {
        let at = self.layers.network() + 6;
        let offset = self.values.add(Value::Abs(Width::Half, at));
        self.values.test(offset, Comparison::Set, 0x1fff).not()
    }

    /// To 255.255.255.255 or 0.0.0.0; the broadcast address of a network needs its mask.
    fn ip_broadcast(&mut self) -> Result<Bool, String> {
        let at = self.layers.network() + 16;
        let zeros = self.values.equal(Width::Word, at, 0);
        let ones = self.values.equal(Width::Word, at, u32::MAX);
        Ok(Bool::and([self.carries(IP)?, Bool::or([zeros, ones])]))
    }

    fn multicast(&mut self, layer: Layer) -> Result<Bool, String> {
        match layer {
            Layer::Link => {
                self.need_ethernet("link-layer addresses")?;
                let first = self
                    .values
                    .add(Value::Abs(Width::Byte, self.layers.link_header));
                Ok(self.values.test(first, Comparison::Set, 1))
            }
            Layer::Ip => {
                let at = self.layers.network() + 16;
                let first = self.values.add(Value::Abs(Width::Byte, at));
                let is_class_d = self.values.test(first, Comparison::Ge, 224);
                Ok(Bool::and([self.carries(IP)?, is_class_d]))
            }
            Layer::Ip6 => Ok(Bool::and([self.carries(IP6)?, self.byte(24, 255)])),
        }
    }

    fn vlan(&mut self, tag: Option<u16>) -> Result<Bool, String> {
        if self.layers.labels > 0 {
            return Err("`vlan` cannot follow `mpls`".into());
        }
        if self.layers.link != LinkType::ETHERNET {
            return Err(self.not_here("VLAN tags"));
        }
        let kinds = [0x8100, 0x88a8, 0x9100];
        let mut any = Vec::new();
        for kind in kinds {
            any.push(self.carries(kind)?);
        }
        let mut all = vec![Bool::or(any)];
        if let Some(tag) = tag {
            at_most("VLAN identifier", tag.into(), 0xfff)?;
            let at = self.layers.payload;
            all.push(self.values.masked(Width::Half, at, 0xfff, tag.into()));
        }
        self.layers.named = None;
        self.layers.link_type = self.layers.payload + 2;
        self.layers.payload += 4;
        Ok(Bool::and(all))
    }

    fn mpls(&mut self, label: Option<u32>) -> Result<Bool, String> {
        let above = if self.layers.labels > 0 {
            // Another label above: this one is not the first, and that one not the last.
            self.values
                .masked(Width::Byte, self.layers.network() - 2, 0x01, 0)
        } else {
            match self.layers.link {
                LinkType::ETHERNET | LinkType::C_HDLC => self.carries(0x8847)?,
                LinkType::PPP => self
                    .values
                    .equal(Width::Half, self.layers.link_type, ppp(0x0281)),
                _ => return Err(self.not_here("MPLS labels")),
            }
        };
        let mut all = vec![above];
        if let Some(label) = label {
            at_most("MPLS label", label, 0xf_ffff)?;
            let at = self.layers.network();
            all.push(
                self.values
                    .masked(Width::Word, at, 0xffff_f000, label << 12),
            );
        }
        self.layers.labels += 4;
        Ok(Bool::and(all))
    }

    fn pppoes(&mut self, session: Option<u16>) -> Result<Bool, String> {
        let mut all = vec![self.carries(0x8864)?];
        let begin = self.layers.network();
        if let Some(session) = session {
            all.push(
                self.values
                    .masked(Width::Word, begin, 0xffff, session.into()),
            );
        }
        self.layers = Layers {
            link: LinkType::PPP,
            link_header: begin + 6,
            link_type: begin + 6,
            payload: begin + 8,
            labels: 0,
            is_bare: false,
            named: None,
        };
        Ok(Bool::and(all))
    }

    fn llc(&mut self, frame: Option<LlcFrame>) -> Result<Bool, String> {
        self.need_ethernet("LLC headers")?;
        let is_ipx = self.values.equal(Width::Half, self.layers.payload, 0xffff);
        let mut all = vec![self.layers.is_length(&mut self.values), is_ipx.not()];
        let control = self.layers.payload + 2;
        // The bits of the control field that tell the kinds apart; of unnumbered frames all but
        // the poll bit.
        let bits = match frame {
            None => None,
            Some(LlcFrame::Information) => Some((0x01, 0x00)),
            Some(LlcFrame::Supervisory) => Some((0x03, 0x01)),
            Some(LlcFrame::Unnumbered) => Some((0x03, 0x03)),
            Some(LlcFrame::ReceiveReady) => Some((0x0f, 0x01)),
            Some(LlcFrame::ReceiveNotReady) => Some((0x0f, 0x05)),
            Some(LlcFrame::Reject) => Some((0x0f, 0x09)),
            Some(LlcFrame::UnnumberedInformation) => Some((0xef, 0x03)),
            Some(LlcFrame::UnnumberedAcknowledgement) => Some((0xef, 0x63)),
            Some(LlcFrame::Disconnect) => Some((0xef, 0x43)),
            Some(LlcFrame::DisconnectedMode) => Some((0xef, 0x0f)),
            Some(LlcFrame::SetBalancedMode) => Some((0xef, 0x6f)),
            Some(LlcFrame::Test) => Some((0xef, 0xe3)),
            Some(LlcFrame::ExchangeIdentification) => Some((0xef, 0xaf)),
            Some(LlcFrame::FrameReject) => Some((0xef, 0x87)),
        };
        if let Some((mask, kind)) = bits {
            all.push(self.values.masked(Width::Byte, control, mask, kind));
        }
        Ok(Bool::and(all))
    }

    fn interface(&mut self, index: u32) -> Result<Bool, String> {
        match (self.dialect, self.layers.link) {
            (_, LinkType::LINUX_SLL2) => Ok(self.values.equal(Width::Word, 4, index)),
            (Dialect::Bytes, _) => Err("the index of the interface is not in the bytes of a \
                                        packet: a packet socket knows it, and so do files of \
                                        the link type LINUX_SLL2"
                .into()),
            (Dialect::Live, _) => {
                let known = self.values.add(Value::Ancillary(SKF_AD_OFF + 8));
                Ok(self.values.test(known, Comparison::Eq, index))
            }
        }
    }

    fn outbound(&mut self, is_outbound: bool) -> Result<Bool, String> {
        const OUTGOING: u32 = 4;
        let test = match (self.dialect, self.layers.link) {
            (_, LinkType::LINUX_SLL) => self.values.equal(Width::Half, 0, OUTGOING),
            (_, LinkType::LINUX_SLL2) => self.values.equal(Width::Byte, 10, OUTGOING),
            (Dialect::Bytes, _) => {
                return Err(
                    "the direction is not in the bytes of a packet: a packet socket \
                            knows it, and so do files of the link types LINUX_SLL and LINUX_SLL2"
                        .into(),
                );
            }
            (Dialect::Live, _) => {
                let kind = self.values.add(Value::Ancillary(SKF_AD_OFF + 4));
                self.values.test(kind, Comparison::Eq, OUTGOING)
            }
        };
        Ok(if is_outbound { test } else { test.not() })
    }

    fn need_ethernet(&self, what: &str) -> Result<(), String> {
        if self.layers.link == LinkType::ETHERNET && !self.layers.is_bare {
            Ok(())
        } else {
            Err(self.not_here(what))
        }
    }

    pub(super) fn not_here(&self, what: &str) -> String {
        format!(
            "{what} are not in packets of the link type {:?}",
            self.layers.link
        )
    }
}

pub(super) fn at_most(what: &str, number: u32, most: u32) -> Result<(), String> {
    if number > most {
        return Err(format!("{number} is not a {what}; they are 0 to {most}"));
    }
    Ok(())
}

fn direction(dir: Side, src: Bool, dst: Bool) -> Bool {
    match dir {
        Side::Src => src,
        Side::Dst => dst,
        Side::Either => Bool::or([src, dst]),
        Side::Both => Bool::and([src, dst]),
    }
}
