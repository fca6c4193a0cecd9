//! VLAN tags.

use std::fmt;
use std::str::FromStr;

use crate::ParseError;

/// An 802.1Q tag that the kernel or the card removed from the bytes.
///
/// A tag with a TCI of 0 is valid (priority-tagged traffic), so packets carry an `Option` of it.
///
/// ```
/// use netring_sys::VlanTag;
///
/// let tag: VlanTag = "802.1ad id 5 priority 7".parse()?;
/// assert_eq!((tag.tpid, tag.id(), tag.priority()), (0x88a8, 5, 7));
/// assert_eq!(tag.to_string(), "802.1ad id 5 priority 7");
/// # Ok::<(), netring_sys::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VlanTag {
    /// The tag protocol identifier, in host order: 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    pub tpid: u16,
    /// The tag control information, in host order: priority (3 bits), drop eligible indicator (1),
    /// VLAN identifier (12).
    pub tci: u16,
}

/// The drop eligible indicator in the tag control information.
const DROP_ELIGIBLE: u16 = 1 << 12;

impl VlanTag {
    /// The length of a tag on the wire, in bytes.
    pub(crate) const BYTES: u32 = 4;

    /// The VLAN identifier, 0 to 4095.
    #[inline]
    pub const fn id(self) -> u16 {
        self.tci & 0x0fff
    }

    /// The priority code point, 0 to 7.
    #[inline]
    pub const fn priority(self) -> u8 {
        (self.tci >> 13) as u8
    }

    /// The drop eligible indicator: a congested switch drops the frame before others.
    #[inline]
    pub const fn is_drop_eligible(self) -> bool {
        self.tci & DROP_ELIGIBLE != 0
    }
}

/// The protocol and the identifier, then the priority and the drop eligible indicator if they are
/// not 0: `802.1Q id 5 priority 7 dei`.
impl fmt::Display for VlanTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tpid {
            0x8100 => f.write_str("802.1Q")?,
            0x88a8 => f.write_str("802.1ad")?,
            other => write!(f, "{other:#06x}")?,
        }
        write!(f, " id {}", self.id())?;
        if self.priority() != 0 {
            write!(f, " priority {}", self.priority())?;
        }
        if self.is_drop_eligible() {
            f.write_str(" dei")?;
        }
        Ok(())
    }
}

/// Reads what the tag is displayed as.
impl FromStr for VlanTag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text).ok_or_else(|| ParseError::new(text, "VLAN tag", "802.1Q id 5 priority 7"))
    }
}

fn parse(text: &str) -> Option<VlanTag> {
    let mut words = text.split_ascii_whitespace().peekable();
    let tpid = match words.next()? {
        "802.1Q" => 0x8100,
        "802.1ad" => 0x88a8,
        other => u16::from_str_radix(other.strip_prefix("0x")?, 16).ok()?,
    };
    words.next_if_eq(&"id")?;
    let mut tci: u16 = words.next()?.parse().ok().filter(|id| *id < 4096)?;
    if words.next_if_eq(&"priority").is_some() {
        let priority: u16 = words
            .next()?
            .parse()
            .ok()
            .filter(|priority| *priority < 8)?;
        tci |= priority << 13;
    }
    if words.next_if_eq(&"dei").is_some() {
        tci |= DROP_ELIGIBLE;
    }
    words.next().is_none().then_some(VlanTag { tpid, tci })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_is_read_as_it_is_displayed() {
        for tpid in [0x8100, 0x88a8, 0x9100, 0] {
            for tci in 0..=u16::MAX {
                let tag = VlanTag { tpid, tci };
                assert_eq!(tag.to_string().parse(), Ok(tag));
            }
        }
    }

    #[test]
    fn what_is_not_a_tag_is_refused() {
        for text in [
            "",
            "802.1Q",
            "802.1Q 5",
            "802.1Q id 4096",
            "802.1Q id 5 priority 8",
            "802.1Q id 5 dei priority 1",
            "802.1Q id 5 more",
            "33024 id 5",
            "0x18100 id 5",
        ] {
            assert!(text.parse::<VlanTag>().is_err(), "{text}");
        }
    }
}
