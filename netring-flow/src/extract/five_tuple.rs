//! The built-in extractor.

use netring_sys::Packet;

use super::{Extract, Extracted, FiveTupleKey, Fragment, Skip, Tunnels, WindowScale};
use crate::parse::{self, Rules};

/// Flows by protocol, addresses and ports; both directions are one flow.
///
/// It reads Ethernet, raw IP, BSD loopback, Linux "cooked" captures, PPP, Cisco HDLC, frame relay,
/// IP over InfiniBand, IPNET, PFLOG, NFLOG, and the frames of Juniper routers; VLAN tags in the
/// bytes and in the metadata; MPLS, PPPoE and SNAP; IPv4 with options, IPv6 with extension headers.
/// TCP, UDP and SCTP have ports; a flow of any other protocol has port 0 at both ends. It looks
/// into tunnels on request ([`with_tunnels`](Self::with_tunnels)).
///
/// Every packet with a valid IP header belongs to a flow, except ICMP errors and fragments whose
/// first was not seen. If a packet ends before its ports, or a snap length cut it there, they are
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
    rules: Rules,
}

impl FiveTuple {
    /// Both directions are one flow; VLANs are not in the key; ICMP errors are reported against the
    /// flow they quote; tunnels are not looked into.
    pub const fn bidirectional() -> Self {
        let rules = Rules {
            vlan: false,
            tunnel: false,
            quoted: true,
            whole: false,
            tunnels: Tunnels::none(),
        };
        Self { rules }
    }

    /// Puts the identifiers of up to two VLAN tags in the key, the outermost first. Default: off.
    ///
    /// With tunnels, the tags are those of the innermost frame with an Ethernet header.
    #[must_use]
    pub const fn with_vlan(mut self) -> Self {
        self.rules.vlan = true;
        self
    }

    /// Looks into these tunnels: a packet counts in the flow of the innermost packet, with the
    /// length of the whole frame. Default: [`Tunnels::none`].
    ///
    /// If nothing inside is a readable IP packet (ARP over VXLAN, or a snap length that cut it
    /// off), the packet counts in the outer flow, as without tunnels.
    ///
    /// ```
    /// use netring_flow::extract::{FiveTuple, Tunnels};
    ///
    /// let extract = FiveTuple::bidirectional().with_tunnels(Tunnels::all()).with_tunnel_id();
    /// # let _ = extract;
    /// ```
    #[must_use]
    pub const fn with_tunnels(mut self, tunnels: Tunnels) -> Self {
        self.rules.tunnels = tunnels;
        self
    }

    /// Puts the kind and the identifier of the innermost tunnel in the key, and the session of
    /// PPPoE ([`FiveTupleKey::tunnel`], [`FiveTupleKey::tunnel_id`]). Default: off; equal addresses
    /// in two networks are then one flow.
    ///
    /// GTP-U TEIDs differ by direction, so each direction is then a separate flow.
    #[must_use]
    pub const fn with_tunnel_id(mut self) -> Self {
        self.rules.tunnel = true;
        self
    }

    /// Counts ICMP errors in a flow of their own (protocol, addresses, port 0), like other ICMP
    /// messages. Default: off; they are reported against the flow that they quote, and start none.
    #[must_use]
    pub const fn with_icmp_errors_as_flows(mut self) -> Self {
        self.rules.quoted = false;
        self
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
        parse::packet(packet, &self.rules, false)
    }

    #[inline]
    fn extract_whole(&self, packet: &Packet<'_>) -> Result<Extracted<FiveTupleKey>, Skip> {
        parse::packet(packet, &self.rules, true)
    }

    fn window_scale(&self, packet: &Packet<'_>) -> WindowScale {
        parse::window_scale(packet, self.rules)
    }

    fn urgent_pointer(&self, packet: &Packet<'_>) -> u16 {
        parse::urgent_pointer(packet, self.rules)
    }

    fn ip_len(&self, packet: &Packet<'_>) -> Option<u32> {
        parse::innermost_ip_len(packet, self.rules)
    }

    fn fragments(&self, packet: &Packet<'_>, each: &mut dyn FnMut(Fragment)) {
        parse::fragments(packet, self.rules, each);
    }

    fn read_reassembled(
        &self,
        packet: &Packet<'_>,
        flow: &FiveTupleKey,
    ) -> Result<Extracted<FiveTupleKey>, Skip> {
        let is_of = |found: &Extracted<FiveTupleKey>| found.key.has_ends_of(flow);
        if let Some(found) = self.extract(packet).ok().filter(is_of) {
            return Ok(found);
        }
        // The first fragment may not have reached into the tunnel.
        let found = self.with_tunnels(Tunnels::none()).extract(packet)?;
        is_of(&found).then_some(found).ok_or(Skip::NoKey)
    }
}
