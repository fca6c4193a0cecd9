//! The fixed headers of IPv4 and IPv6.

use crate::extract::Skip;

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
    let first = *data.first().ok_or(Skip::Short)?;
    if first >> 4 != 4 {
        return Err(Skip::IpVersion);
    }
    let len = usize::from(first & 0xf) * 4;
    if len < 20 {
        return Err(Skip::IpHeaderLength);
    }
    let h = data.first_chunk::<20>().ok_or(Skip::Short)?;
    Ok(V4 {
        len,
        total_len: u16::from_be_bytes([h[2], h[3]]).into(),
        id: u16::from_be_bytes([h[4], h[5]]),
        fragment: u16::from_be_bytes([h[6], h[7]]) & (MORE_FRAGMENTS | FRAGMENT_OFFSET),
        protocol: h[9],
        source: u32::from_be_bytes([h[12], h[13], h[14], h[15]]),
        destination: u32::from_be_bytes([h[16], h[17], h[18], h[19]]),
    })
}

pub(super) struct V6 {
    pub(super) payload_len: usize,
    pub(super) protocol: u8,
    pub(super) source: [u64; 2],
    pub(super) destination: [u64; 2],
}

#[inline]
pub(super) fn v6(data: &[u8]) -> Result<V6, Skip> {
    if data.first().ok_or(Skip::Short)? >> 4 != 6 {
        return Err(Skip::IpVersion);
    }
    let h = data.first_chunk::<40>().ok_or(Skip::Short)?;
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
