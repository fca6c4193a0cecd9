//! The tunnel that carried a flow.

use crate::extract::{FiveTupleKey, TunnelKind};

/// The innermost tunnel that carried a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TunnelRecord {
    /// Its kind.
    pub kind: TunnelKind,
    /// Its identifier, such as a VNI or a TEID; `None` if it has none.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Option::is_none")
    )]
    pub id: Option<u32>,
}

impl TunnelRecord {
    /// The tunnel in a key.
    pub(super) fn of(key: &FiveTupleKey) -> Option<Self> {
        let (kind, id) = (key.tunnel()?, key.tunnel_id());
        // GRE without a key and ERSPAN type I also have 0.
        let has_id = match kind {
            TunnelKind::Vxlan | TunnelKind::Geneve | TunnelKind::GtpU | TunnelKind::Pppoe => true,
            _ => id != 0,
        };
        Some(Self {
            kind,
            id: has_id.then_some(id),
        })
    }
}
