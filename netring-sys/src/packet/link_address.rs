//! Addresses of the link layer.

use std::fmt;
use std::num::NonZeroU8;

/// A hardware address, as the kernel reports it beside a packet (`sll_addr`): of 1 to 8 bytes, or
/// the first 8 bytes of a longer one.
///
/// ```
/// use netring_sys::LinkAddress;
///
/// let address = LinkAddress::new(&[2, 0, 0, 0, 0, 1]).unwrap();
/// assert_eq!(address.as_bytes(), [2, 0, 0, 0, 0, 1]);
/// assert_eq!(address.to_string(), "02:00:00:00:00:01");
/// assert_eq!(LinkAddress::new(&[]), None);
/// ```
#[doc(alias = "sll_addr")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LinkAddress {
    len: NonZeroU8,
    bytes: [u8; Self::MAX],
}

impl LinkAddress {
    /// The most bytes of an address.
    pub const MAX: usize = 8;

    /// Creates an address from its bytes, of which the first eight are kept; `None` if there are
    /// none.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let kept = &bytes[..bytes.len().min(Self::MAX)];
        let mut padded = [0; Self::MAX];
        padded[..kept.len()].copy_from_slice(kept);
        Self::from_padded(kept.len() as u8, padded)
    }

    /// Creates an address from the kernel's form, its length and eight bytes (`sll_halen` and
    /// `sll_addr`). `None` if the length is 0.
    #[inline]
    pub const fn from_padded(len: u8, bytes: [u8; Self::MAX]) -> Option<Self> {
        match NonZeroU8::new(len) {
            Some(len) => Some(Self { len, bytes }),
            None => None,
        }
    }

    /// The bytes of the address.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len.get()).min(Self::MAX)]
    }
}

/// Two hexadecimal digits for each byte, with colons between them.
impl fmt::Display for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.as_bytes().iter().enumerate() {
            let colon = if n == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for LinkAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_is_longer_than_an_address_shows_eight_bytes() {
        for len in [8, 9, 20, 255] {
            let address = LinkAddress::from_padded(len, [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
            assert_eq!(address.as_bytes(), [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(address.to_string(), "01:02:03:04:05:06:07:08");
        }
        assert_eq!(LinkAddress::new(&[9; 20]).unwrap().as_bytes(), [9; 8]);
        assert_eq!(LinkAddress::from_padded(0, [1; 8]), None);
        assert_eq!(size_of::<Option<LinkAddress>>(), 9);
    }
}
