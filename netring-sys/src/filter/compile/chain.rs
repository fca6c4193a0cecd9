//! `protochain`: a protocol behind any extension headers. libpcap compiles a loop, which the kernel
//! refuses; here each header has instructions of its own.

use super::layers::{IP, IP6};
use super::terms::Terms;
use super::values::{Bool, Hop, Value};
use crate::filter::expr::tree::Inside;
use crate::filter::op::{Comparison, Width};

/// How many headers a protocol can be behind: RFC 8200 has six kinds of them, of which one may be
/// there twice.
const MOST: usize = 8;

/// The authentication header.
pub(super) const AH: u32 = 51;

/// Hop-by-hop options, routing, fragment and destination options, which have one form.
const EXTENSIONS: [u32; 4] = [0, 43, 44, 60];

impl Terms {
    /// As in libpcap, IPv4 has authentication headers only, and a header is looked at in later
    /// fragments too.
    pub(super) fn chain(&mut self, inside: Inside, number: u32) -> Result<Bool, String> {
        let begin = self.layers.network();
        match inside {
            Inside::AnyIp => Ok(Bool::or([
                self.chain(Inside::Ip, number)?,
                self.chain(Inside::Ip6, number)?,
            ])),
            Inside::Ip => {
                let length = self.values.add(Value::HeaderLength(begin));
                let hop = Hop {
                    kind: self.values.add(Value::Abs(Width::Byte, begin + 9)),
                    place: self.values.behind_base(length),
                    begin,
                    has_extensions: false,
                };
                Ok(Bool::and([self.carries(IP)?, self.any_of(hop, number)]))
            }
            Inside::Ip6 => {
                let start = self.values.number(0);
                let hop = Hop {
                    kind: self.values.add(Value::Abs(Width::Byte, begin + 6)),
                    place: self.values.base.unwrap_or(start),
                    begin: begin + 40,
                    has_extensions: true,
                };
                Ok(Bool::and([self.carries(IP6)?, self.any_of(hop, number)]))
            }
            Inside::Link | Inside::Iso => Err("only `ip` and `ip6` have chains of headers".into()),
        }
    }

    /// Whether one header has this number, from the first one to the last one that counts.
    fn any_of(&mut self, mut hop: Hop, number: u32) -> Bool {
        let mut levels = Vec::new();
        for _ in 0..MOST {
            let mut is = |k| self.values.test(hop.kind, Comparison::Eq, k);
            let mut goes_on: Vec<_> = match hop.has_extensions {
                true => EXTENSIONS.into_iter().map(&mut is).collect(),
                false => Vec::new(),
            };
            goes_on.push(is(AH));
            levels.push((is(number), Bool::or(goes_on)));
            hop = self.values.next_hop(hop);
        }
        let last = self.values.test(hop.kind, Comparison::Eq, number);
        levels
            .into_iter()
            .rev()
            .fold(last, |behind, (is, goes_on)| {
                Bool::or([is, Bool::and([goes_on, behind])])
            })
    }
}
