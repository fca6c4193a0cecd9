//! The form in which serde writes a key: its parts by name.

use std::net::SocketAddr;

use netring_sys::ParseError;
use serde::{Deserialize, Serialize};

use super::FiveTupleKey;
use crate::extract::TunnelKind;

#[derive(Serialize, Deserialize)]
pub(super) struct Parts {
    protocol: u8,
    a: SocketAddr,
    b: SocketAddr,
    /// False if the packets end before their ports, which are then 0.
    ports_known: bool,
    /// 0 stands for none.
    vlan: u16,
    inner_vlan: u16,
    #[serde(default)]
    tunnel: Option<TunnelKind>,
    /// 0 stands for none.
    #[serde(default)]
    tunnel_id: u32,
}

impl From<FiveTupleKey> for Parts {
    fn from(key: FiveTupleKey) -> Self {
        Self {
            protocol: key.protocol(),
            a: key.a(),
            b: key.b(),
            ports_known: key.ports_known(),
            vlan: key.vlan(),
            inner_vlan: key.inner_vlan(),
            tunnel: key.tunnel(),
            tunnel_id: key.tunnel_id(),
        }
    }
}

/// The ends may be in either order.
impl TryFrom<Parts> for FiveTupleKey {
    type Error = ParseError;

    fn try_from(parts: Parts) -> Result<Self, ParseError> {
        let (a, b) = (parts.a, parts.b);
        let is_portless = a.port() == 0 && b.port() == 0;
        if a.is_ipv4() != b.is_ipv4() || !parts.ports_known && !is_portless {
            let example = "two ends of the same IP version, with port 0 if the ports are unknown";
            return Err(ParseError::new(&format!("{a} {b}"), "flow key", example));
        }
        let (mut key, _) = Self::new(parts.protocol, a, b);
        let id = parts.tunnel.map_or(0, |_| parts.tunnel_id);
        key.tags = u64::from(id) << 32 | u64::from(parts.vlan) << 16 | u64::from(parts.inner_vlan);
        if let Some(kind) = parts.tunnel {
            key = key.in_tunnel(kind);
        }
        Ok(key.with_unknown_ports(!parts.ports_known))
    }
}
