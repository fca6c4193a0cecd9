//! The MPLS label of a flow's packets.

/// An entry of an MPLS label stack (RFC 3032).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MplsRecord {
    /// The label, of 20 bits.
    pub label: u32,
    /// The traffic class (formerly EXP), of three bits.
    pub class: u8,
    /// It is the only entry: the bottom of the stack.
    pub bottom: bool,
}

impl MplsRecord {
    /// The first three bytes of an entry; the fourth is the TTL.
    pub(in super::super) const fn from_bits(bits: u32) -> Self {
        Self {
            label: bits >> 4 & 0xf_ffff,
            class: (bits >> 1 & 7) as u8,
            bottom: bits & 1 != 0,
        }
    }

    /// The opposite of [`from_bits`](Self::from_bits). Excess bits are cut off.
    pub(in super::super) const fn bits(self) -> u32 {
        (self.label & 0xf_ffff) << 4 | (self.class as u32 & 7) << 1 | self.bottom as u32
    }
}
