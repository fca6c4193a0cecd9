//! Which tunnels an extractor looks into.

/// A kind of tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[repr(u8)]
#[non_exhaustive]
pub enum TunnelKind {
    /// GRE with any of its options (RFC 2784, 2890, 1701) over IP, Ethernet (NVGRE too), MPLS or
    /// PPP, and that of PPTP (RFC 2637). Its identifier is the key, which in NVGRE has the VSID in
    /// the upper 24 bits; PPTP has none, because its call identifiers differ by direction.
    Gre = 1,
    /// Mirrored frames in GRE: ERSPAN type I, II and III. Its identifier is the session; type I
    /// has none.
    Erspan = 2,
    /// VXLAN (RFC 7348) and VXLAN-GPE. Its identifier is the VNI.
    Vxlan = 3,
    /// Geneve (RFC 8926). Its identifier is the VNI.
    Geneve = 4,
    /// User data of GTP version 1. Its identifier is the TEID, which differs by direction.
    GtpU = 5,
    /// IPv4 or IPv6 in IPv4 or IPv6 (RFC 2003, 4213, 2473). It has no identifier.
    IpInIp = 6,
    /// Ethernet in IP (RFC 3378). It has no identifier.
    EtherIp = 7,
    /// IPv6 in UDP (RFC 4380). It has no identifier.
    Teredo = 8,
    /// MPLS in IP or GRE, and Ethernet behind an MPLS pseudowire's control word (RFC 4448). Labels
    /// differ by direction and hop, so they do not serve as identifiers. IP directly after the
    /// labels of a frame is always read.
    Mpls = 9,
    /// A PPPoE session, which is always looked into. Its identifier is the session.
    Pppoe = 10,
}

impl TunnelKind {
    pub(crate) const ALL: [(Self, &str); 10] = [
        (Self::Gre, "gre"),
        (Self::Erspan, "erspan"),
        (Self::Vxlan, "vxlan"),
        (Self::Geneve, "geneve"),
        (Self::GtpU, "gtp-u"),
        (Self::IpInIp, "ip-in-ip"),
        (Self::EtherIp, "ether-ip"),
        (Self::Teredo, "teredo"),
        (Self::Mpls, "mpls"),
        (Self::Pppoe, "pppoe"),
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }

    /// The displayed name.
    pub(crate) const fn name(self) -> &'static str {
        Self::ALL[self as usize - 1].1
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let (kind, _) = Self::ALL.get(usize::from(number).checked_sub(1)?)?;
        Some(*kind)
    }
}

/// The name in the text of a key: `vxlan`.
impl std::fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Which tunnels [`FiveTuple::with_tunnels`](super::FiveTuple::with_tunnels) looks into: any number
/// of kinds, up to a depth.
///
/// ```
/// use netring_flow::extract::{FiveTuple, TunnelKind, Tunnels};
///
/// let overlay = Tunnels::none().with(TunnelKind::Vxlan).with(TunnelKind::Geneve);
/// let extract = FiveTuple::bidirectional().with_tunnels(overlay.port(TunnelKind::Vxlan, 8472));
/// # let _ = extract;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnels {
    kinds: u16,
    max_depth: u8,
    ports: Ports,
}

/// The UDP ports by which tunnels are recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ports {
    vxlan: u16,
    vxlan_gpe: u16,
    geneve: u16,
    gtp_u: u16,
    teredo: u16,
}

/// The kinds that UDP carries.
const IN_UDP: u16 = TunnelKind::Vxlan.bit()
    | TunnelKind::Geneve.bit()
    | TunnelKind::GtpU.bit()
    | TunnelKind::Teredo.bit();

impl Tunnels {
    /// Looks into no tunnels: a tunnel's packets are a flow between its ends.
    pub const fn none() -> Self {
        Self {
            kinds: 0,
            max_depth: 4,
            ports: Ports {
                vxlan: 4789,
                vxlan_gpe: 4790,
                geneve: 6081,
                gtp_u: 2152,
                teredo: 3544,
            },
        }
    }

    /// Looks into all kinds.
    pub const fn all() -> Self {
        let mut tunnels = Self::none();
        tunnels.kinds = !0;
        tunnels
    }

    /// Adds this kind.
    #[must_use]
    pub const fn with(mut self, kind: TunnelKind) -> Self {
        self.kinds |= kind.bit();
        self
    }

    /// Removes this kind.
    #[must_use]
    pub const fn without(mut self, kind: TunnelKind) -> Self {
        self.kinds &= !kind.bit();
        self
    }

    /// Sets the maximum depth of nested tunnels, of all kinds together. Default: 4.
    ///
    /// A packet with more tunnels counts in the flow of the innermost one that was reached, and in
    /// [`TrackerStats::too_deep`](crate::TrackerStats::too_deep). Whatever the depth, no more than
    /// 32 headers are read.
    #[must_use]
    pub const fn max_depth(mut self, tunnels: u8) -> Self {
        self.max_depth = tunnels;
        self
    }

    /// Sets the UDP port of a kind. Defaults, assigned by IANA: 4789 for VXLAN, 6081 for Geneve,
    /// 2152 for GTP-U, 3544 for Teredo. VXLAN is also recognized on 4790 (VXLAN-GPE). For other
    /// kinds, which have no port, this has no effect.
    #[must_use]
    pub const fn port(mut self, kind: TunnelKind, port: u16) -> Self {
        match kind {
            TunnelKind::Vxlan => self.ports.vxlan = port,
            TunnelKind::Geneve => self.ports.geneve = port,
            TunnelKind::GtpU => self.ports.gtp_u = port,
            TunnelKind::Teredo => self.ports.teredo = port,
            _ => {}
        }
        self
    }

    #[inline]
    pub(crate) const fn depth(&self) -> u8 {
        self.max_depth
    }

    #[inline]
    pub(crate) const fn is_none(&self) -> bool {
        self.kinds == 0
    }

    #[inline]
    pub(crate) const fn has(&self, kind: TunnelKind) -> bool {
        self.kinds & kind.bit() != 0
    }

    #[inline]
    const fn are_in_udp(&self) -> bool {
        self.kinds & IN_UDP != 0
    }

    /// The kind of tunnel between two UDP ports. The destination decides if both are known.
    #[inline(always)]
    pub(crate) const fn of_ports(&self, source: u16, destination: u16) -> Option<TunnelKind> {
        if !self.are_in_udp() {
            return None;
        }
        match self.of_port(destination) {
            Some(kind) => Some(kind),
            None => self.of_port(source),
        }
    }

    /// The same, not inlined: in front of a loop over the ports, the compiler would copy them all.
    #[inline(never)]
    pub(crate) const fn find(&self, source: u16, destination: u16) -> Option<TunnelKind> {
        self.of_ports(source, destination)
    }

    #[inline(always)]
    const fn of_port(&self, port: u16) -> Option<TunnelKind> {
        let ports = &self.ports;
        let kind = if port == ports.vxlan || port == ports.vxlan_gpe {
            TunnelKind::Vxlan
        } else if port == ports.geneve {
            TunnelKind::Geneve
        } else if port == ports.gtp_u {
            TunnelKind::GtpU
        } else if port == ports.teredo {
            TunnelKind::Teredo
        } else {
            return None;
        };
        if self.has(kind) { Some(kind) } else { None }
    }
}

/// [`Tunnels::none`].
impl Default for Tunnels {
    fn default() -> Self {
        Self::none()
    }
}
