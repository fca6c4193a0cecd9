//! The fixed headers of IPv4 and IPv6.

use crate::extract::Skip;

/// Bytes of the IPv4 header without options.
pub(super) const FIXED_V4: usize = 20;
/// Bytes of the fixed IPv6 header.
pub(super) const FIXED_V6: usize = 40;

const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

pub(super) struct V4 {
    pub(super) len: usize,
    pub(super) total_len: usize,
    pub(super) id: u16,
    /// In units of 8 bytes, below the flag that says that more fragments follow; 0 if the packet is
    /// whole.
    pub(super) fragment: u16,
    pub(super) protocol: u8,
    pub(super) source: u32,
    pub(super) destination: u32,
}

impl V4 {
    /// In units of 8 bytes.
    pub(super) const fn fragment_offset(&self) -> u16 {
        self.fragment & FRAGMENT_OFFSET
    }

    pub(super) const fn more_fragments(&self) -> bool {
        self.fragment & MORE_FRAGMENTS != 0
    }
}

#[inline]
pub(super) fn v4(data: &[u8]) -> Result<V4, Skip> {
    /// The first byte of the shortest header, and of the longest.
    const FIRST: std::ops::RangeInclusive<u8> = 0x45..=0x4f;
    let h = match data.first_chunk::<FIXED_V4>() {
        Some(h) if FIRST.contains(&h[0]) => h,
        _ => return Err(not_v4(data)),
    };
    Ok(v4_of(h, usize::from(h[0] & 0xf) * 4))
}

/// The header that starts with these bytes, and has `len`.
#[inline]
pub(super) const fn v4_of(h: &[u8; FIXED_V4], len: usize) -> V4 {
    V4 {
        len,
        total_len: u16::from_be_bytes([h[2], h[3]]) as usize,
        id: u16::from_be_bytes([h[4], h[5]]),
        fragment: u16::from_be_bytes([h[6], h[7]]) & (MORE_FRAGMENTS | FRAGMENT_OFFSET),
        protocol: h[9],
        source: u32::from_be_bytes([h[12], h[13], h[14], h[15]]),
        destination: u32::from_be_bytes([h[16], h[17], h[18], h[19]]),
    }
}

/// Why these bytes do not start with an IPv4 header.
#[cold]
fn not_v4(data: &[u8]) -> Skip {
    match data.first() {
        None => Skip::Short,
        Some(first) if first >> 4 != 4 => Skip::IpVersion,
        Some(first) if first & 0xf < 5 => Skip::IpHeaderLength,
        Some(_) => Skip::Short,
    }
}

pub(super) struct V6 {
    pub(super) payload_len: usize,
    pub(super) protocol: u8,
    pub(super) source: [u64; 2],
    pub(super) destination: [u64; 2],
}

#[inline]
pub(super) fn v6(data: &[u8]) -> Result<V6, Skip> {
    let h = match data.first_chunk::<FIXED_V6>() {
        Some(h) if h[0] >> 4 == 6 => h,
        _ => return Err(not_v6(data)),
    };
    let word = |at: usize| {
        u64::from_be_bytes([
            h[at],
            h[at + 1],
            h[at + 2],
            h[at + 3],
            h[at + 4],
            h[at + 5],
            h[at + 6],
            h[at + 7],
        ])
    };
    Ok(V6 {
        payload_len: u16::from_be_bytes([h[4], h[5]]).into(),
        protocol: h[6],
        source: [word(8), word(16)],
        destination: [word(24), word(32)],
    })
}

/// Why these bytes do not start with an IPv6 header.
#[cold]
fn not_v6(data: &[u8]) -> Skip {
    match data.first() {
        Some(first) if first >> 4 != 6 => Skip::IpVersion,
        _ => Skip::Short,
    }
}
