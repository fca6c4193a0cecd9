//! A keyed hash of what makes packets equal.

use std::hash::{BuildHasher, RandomState};

use crate::{LinkType, Packet};

/// Bytes of a block, for each 8 of which there is a key.
const BLOCK: usize = 256;

/// Random keys. They come from the kernel, so a sender cannot construct two packets with the same
/// hash.
#[derive(Debug)]
pub(super) struct Keys {
    block: [u64; BLOCK / 8],
    head: [u64; 2],
    tail: [u64; 2],
    fold: [u64; 4],
}

/// The hash, and the values compared with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) hash: u64,
    /// Independent of `hash`: where to look for it.
    pub(super) place: u64,
    /// The length on the wire, without tags that are ignored.
    pub(super) len: u32,
}

/// The first 12 bytes and the outermost tag in 16 bytes, and the other bytes.
struct Parts<'a> {
    head: [u64; 2],
    body: &'a [u8],
    /// Tags that are in neither, in bytes.
    ignored: u32,
}

impl Keys {
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        let mut n = 0_u64;
        let mut next = || {
            n += 1;
            random.hash_one(n)
        };
        Self {
            block: std::array::from_fn(|_| next()),
            head: std::array::from_fn(|_| next()),
            tail: std::array::from_fn(|_| next()),
            fold: std::array::from_fn(|_| next()),
        }
    }

    #[inline]
    pub(super) fn print(&self, packet: &Packet<'_>, ignores_vlan: bool) -> Print {
        let parts = if packet.link_type() == LinkType::ETHERNET {
            ethernet(packet, ignores_vlan)
        } else {
            other(packet, ignores_vlan)
        };
        let about = (parts.body.len() as u64) << 16 | u64::from(packet.link_type().0);
        let [hash, place] = self.hash(about, parts.head, parts.body);
        Print {
            hash,
            place,
            len: packet.wire_len().saturating_sub(parts.ignored),
        }
    }

    /// NH of UMAC (RFC 4418) with words of 64 bits: two bodies of one length have the same sum with
    /// a probability of 2^-64. The sums of all blocks are folded into two words.
    ///
    /// Not inlined, so that its caller's loop over the packets is short.
    #[inline(never)]
    fn hash(&self, about: u64, head: [u64; 2], body: &[u8]) -> [u64; 2] {
        let mut state = [about; 2];
        let mut sum = product(head, self.head).wrapping_add(product(tail(body), self.tail));
        let mut blocks = body.chunks(BLOCK);
        loop {
            let block = blocks.next().unwrap_or_default();
            let (pairs, _) = block.as_chunks::<16>();
            let (keys, _) = self.block.as_chunks::<2>();
            for (pair, keys) in pairs.iter().zip(keys) {
                sum = sum.wrapping_add(product(words(*pair), *keys));
            }
            let (low, high) = (sum as u64, (sum >> 64) as u64);
            let [a, b, c, d] = self.fold;
            state = [
                folded(low ^ a ^ state[0], high ^ b),
                folded(low ^ c, high ^ d ^ state[1]),
            ];
            if blocks.len() == 0 {
                return state;
            }
            sum = 0;
        }
    }
}

/// The outermost tag counts the same wherever it is stored.
#[inline]
fn ethernet<'a>(packet: &Packet<'a>, ignores_vlan: bool) -> Parts<'a> {
    let Some((addresses, mut body)) = packet.data().split_first_chunk::<12>() else {
        return other(packet, ignores_vlan);
    };
    let beside = packet.vlan().map(|tag| (tag.tpid, tag.tci));
    let mut ignored = 4 * u32::from(beside.is_some());
    let mut outermost = beside;
    if ignores_vlan {
        while let Some((_, rest)) = tag_of(body) {
            body = rest;
            ignored += 4;
        }
        outermost = None;
    } else {
        ignored = 0;
        if outermost.is_none()
            && let Some((tag, rest)) = tag_of(body)
        {
            (outermost, body) = (Some(tag), rest);
        }
    }
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *addresses;
    let tag = outermost.map_or(0, |(tpid, tci)| u64::from(tpid) << 16 | u64::from(tci));
    Parts {
        head: [
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from(u32::from_le_bytes([i, j, k, l])) | tag << 32,
        ],
        body,
        ignored,
    }
}

#[inline]
fn other<'a>(packet: &Packet<'a>, ignores_vlan: bool) -> Parts<'a> {
    let tag = packet.vlan().filter(|_| !ignores_vlan);
    let ignored = 4 * u32::from(ignores_vlan && packet.vlan().is_some());
    Parts {
        head: [
            0,
            tag.map_or(0, |it| u64::from(it.tpid) << 16 | u64::from(it.tci)),
        ],
        body: packet.data(),
        ignored,
    }
}

/// The tag at the start of these bytes, and what comes after it.
#[inline]
fn tag_of(body: &[u8]) -> Option<((u16, u16), &[u8])> {
    let ([a, b, c, d], rest) = body.split_first_chunk()?;
    let tpid = u16::from_be_bytes([*a, *b]);
    matches!(tpid, 0x8100 | 0x88a8 | 0x9100).then(|| ((tpid, u16::from_be_bytes([*c, *d])), rest))
}

/// The last 16 bytes, which may be in a pair as well; zeros pad a short body. The length of the
/// body is part of the hash.
#[inline]
fn tail(body: &[u8]) -> [u64; 2] {
    if let Some(last) = body.last_chunk::<16>() {
        return words(*last);
    }
    let mut last = [0; 16];
    for (to, from) in last.iter_mut().zip(body) {
        *to = *from;
    }
    words(last)
}

#[inline]
fn words(pair: [u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(pair);
    [both as u64, (both >> 64) as u64]
}

#[inline]
fn product(words: [u64; 2], keys: [u64; 2]) -> u128 {
    let [a, b] = [0, 1].map(|n| u128::from(words[n].wrapping_add(keys[n])));
    a * b
}

#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
