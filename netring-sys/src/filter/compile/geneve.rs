//! Geneve: a tunnel in UDP whose header has options, so that all behind it has no fixed place.

use super::layers::{IP, IP6, Layers, Variant};
use super::terms::{Terms, at_most};
use super::values::{Bool, Val, Value};
use crate::LinkType;
use crate::filter::expr::tree::Binary;
use crate::filter::op::{Comparison, Width};

const PORT: u32 = 6081;
const UDP: u32 = 17;
/// The protocol of a packet that has an Ethernet header; others are EtherTypes.
const ETHERNET: u32 = 0x6558;
/// The UDP header.
const HEADER: u32 = 8;

impl Terms {
    /// As in libpcap, of version 0, in IPv4 or IPv6 without extension headers.
    pub(super) fn geneve(&mut self, network: Option<u32>) -> Result<Bool, String> {
        if let Some(network) = network {
            at_most("Geneve network identifier", network, 0xff_ffff)?;
        }
        let begin = self.layers.network();
        let is_udp = self.byte(9, UDP);
        let ip4 = Bool::and([self.carries(IP)?, is_udp, self.is_first_fragment()]);
        let length = self.values.add(Value::HeaderLength(begin));
        let is_udp = self.byte(6, UDP);
        let ip6 = Bool::and([self.carries(IP6)?, is_udp]);
        let mut any = Vec::new();
        for (ip, length, begin) in [(ip4, Some(length), begin), (ip6, None, begin + 40)] {
            let mut load = |width, at| match length {
                Some(length) => self.values.add(Value::Ind(width, length, begin + at)),
                None => self.values.add(Value::Abs(width, begin + at)),
            };
            let [port, first, protocol] = [
                load(Width::Half, 2),
                load(Width::Byte, HEADER),
                load(Width::Half, HEADER + 2),
            ];
            let identifier = load(Width::Word, HEADER + 4);
            let mut all = vec![
                ip,
                self.values.test(port, Comparison::Eq, PORT),
                self.values.masked_value(first, 0xc0, 0),
            ];
            if let Some(network) = network {
                let is_it = self
                    .values
                    .masked_value(identifier, 0xffff_ff00, network << 8);
                all.push(is_it);
            }
            let guard = Bool::and(all);
            let base = Some(self.behind_options(first, length));
            let is_ethernet = self.values.test(protocol, Comparison::Eq, ETHERNET);
            self.inside.push(Variant {
                guard: Bool::and([guard.clone(), is_ethernet.clone()]),
                base,
                layers: ethernet(begin + HEADER + 8),
            });
            self.inside.push(Variant {
                guard: Bool::and([guard.clone(), is_ethernet.not()]),
                base,
                layers: bare(begin + HEADER + 8, protocol),
            });
            any.push(guard);
        }
        Ok(Bool::or(any))
    }

    /// What the offsets behind the options count from: all before them that varies, and their
    /// length, by the first byte of the header.
    fn behind_options(&mut self, first: Val, length: Option<Val>) -> Val {
        let [mask, two] = [0x3f, 2].map(|k| self.values.number(k));
        let words = self.values.add(Value::Binary(Binary::And, first, mask));
        let options = self.values.add(Value::Binary(Binary::Shl, words, two));
        let before = match length {
            Some(length) => Some(self.values.behind_base(length)),
            None => self.values.base,
        };
        match before {
            Some(before) => self.values.add(Value::Binary(Binary::Add, options, before)),
            None => options,
        }
    }
}

const fn ethernet(begin: u32) -> Layers {
    Layers {
        link: LinkType::ETHERNET,
        link_header: begin,
        link_type: begin + 12,
        payload: begin + 14,
        labels: 0,
        is_bare: false,
        named: None,
    }
}

/// Behind the options, without a link header.
const fn bare(begin: u32, protocol: Val) -> Layers {
    Layers {
        link: LinkType::ETHERNET,
        link_header: begin,
        link_type: begin,
        payload: begin,
        labels: 0,
        is_bare: true,
        named: Some(protocol),
    }
}
