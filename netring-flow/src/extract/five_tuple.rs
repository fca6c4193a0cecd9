//! The built-in extractor.

use netring_sys::Packet;

use super::{Extract, Extracted, FiveTupleKey, Fragment, Skip, WindowScale};
use crate::parse::{self, Rules};

/// Flows by protocol, addresses and ports; both directions are one flow.
///
/// It reads Ethernet, raw IP, BSD loopback, Linux "cooked" captures, PPP, Cisco HDLC, PFLOG and
/// NFLOG; VLAN tags in the bytes and beside them; MPLS, PPPoE and SNAP; IPv4 with options, IPv6
/// with extension headers. TCP, UDP and SCTP have ports; a flow of any other protocol has port 0 at
/// both ends. The contents of tunnels are not inspected.
///
/// Every packet with a valid IP header belongs to a flow, except ICMP errors and fragments whose
/// first was not seen.
/// If it ends before its ports, or a snap length cut it there, they are
/// [unknown](FiveTupleKey::ports_known); if an IPv6 header chain ends early, the protocol is the
/// last one known. IPv4 total length 0, and IPv6 payload length 0 if anything can follow, mean the
/// length of the frame, as in segments that a network card has yet to split (TSO, BIG TCP).
///
/// ```
/// use netring_flow::extract::{Extract, FiveTuple};
/// use netring_sys::Packet;
///
/// fn print(packet: &Packet<'_>) {
///     match FiveTuple::bidirectional().extract(packet) {
///         Ok(found) => println!("{} by {}", found.key, found.key.source(found.orientation)),
///         Err(skip) => println!("no flow: {skip:?}"),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FiveTuple {
    vlan: bool,
    icmp_errors_as_flows: bool,
}

impl FiveTuple {
    /// Both directions are one flow; VLANs are not in the key; ICMP errors are reported against the
    /// flow they quote.
    pub const fn bidirectional() -> Self {
        Self {
            vlan: false,
            icmp_errors_as_flows: false,
        }
    }

    /// Puts the identifiers of up to two VLAN tags in the key, the outermost first. Default: off.
    #[must_use]
    pub const fn with_vlan(mut self) -> Self {
        self.vlan = true;
        self
    }

    /// Counts ICMP errors in a flow of their own (protocol, addresses, port 0), like other ICMP
    /// messages. Default: off; they are reported against the flow that they quote, and start none.
    #[must_use]
    pub const fn with_icmp_errors_as_flows(mut self) -> Self {
        self.icmp_errors_as_flows = true;
        self
    }

    #[inline]
    const fn rules(self) -> Rules {
        Rules {
            vlan: self.vlan,
            quoted: !self.icmp_errors_as_flows,
            whole: false,
        }
    }
}

impl Default for FiveTuple {
    fn default() -> Self {
        Self::bidirectional()
    }
}

impl Extract for FiveTuple {
    type Key = FiveTupleKey;

    #[inline]
    fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
        parse::packet(packet, self.rules())
    }

    #[inline]
    fn extract_whole(&self, packet: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
        let rules = Rules {
            whole: true,
            ..self.rules()
        };
        parse::packet(packet, rules)
    }

    fn window_scale(&self, packet: &Packet<'_>) -> WindowScale {
        parse::window_scale(packet)
    }

    fn fragments(&self, packet: &Packet<'_>, each: &mut dyn FnMut(Fragment)) {
        parse::fragments(packet, self.rules(), each);
    }
}
