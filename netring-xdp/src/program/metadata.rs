//! The driver's metadata of a packet, written before it by the program (kernel 6.3; VLAN tags 6.8).
//!
//! ```text
//!  packet - 24      - 16    - 12    - 8    - 6     - 4     packet
//!        │ timestamp │ hash  │ kind  │ TPID │ TCI   │ mark  │ Ethernet …
//! ```
//! All fields are in the host's byte order except the TPID, which is as on the wire. The mark says
//! which of them are present.

use std::sync::OnceLock;

use aya_obj::btf::{Btf, BtfKind};
use netring_sys::{Clock, Error, Timestamp, VlanTag};

use super::asm::{Assembler, Cond, Helper, Label, Reg, Size};

/// The driver's metadata of a packet.
///
/// An AF_XDP socket reports where a packet is, but not whether something precedes it; the mark in
/// the last 4 bytes does. It must be cleared before a chunk goes into the fill ring
/// ([`Metadata::MARK`] bytes before the place where a packet will start). Otherwise a packet
/// without metadata would show that of the previous packet in its chunk. This crate's captures and
/// sockets do that if they read it ([`CaptureBuilder::metadata`](crate::CaptureBuilder::metadata),
/// [`SocketBuilder::metadata`](crate::SocketBuilder::metadata)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// When the card received the packet, by the card's clock.
    pub timestamp: Option<Timestamp>,
    /// The card's hash of the packet's flow.
    pub hash: Option<u32>,
    /// The tag that the card moved out of the packet's bytes.
    pub vlan: Option<VlanTag>,
}

const MARK: u32 = 0x6e72_4d00;
const HAS_TIMESTAMP: i32 = 1;
const HAS_HASH: i32 = 2;
const HAS_VLAN: i32 = 4;

impl Metadata {
    /// How many bytes before the packet it occupies.
    pub const LEN: usize = 24;
    /// How many of these are the mark, immediately before the packet.
    pub const MARK: usize = 4;

    /// Reads the [`LEN`](Self::LEN) bytes before a packet. Returns `None` if the program wrote
    /// nothing there.
    #[inline]
    pub fn read(before: &[u8; Self::LEN]) -> Option<Self> {
        let (
            [n0, n1, n2, n3, n4, n5, n6, n7, h0, h1, h2, h3, ..],
            [.., p0, p1, c0, c1, m0, m1, m2, m3],
        ) = (*before, *before);
        let mark = u32::from_ne_bytes([m0, m1, m2, m3]);
        if mark & !0xff != MARK {
            return None;
        }
        let has = |bit: i32| mark & bit as u32 != 0;
        let nanos = u64::from_ne_bytes([n0, n1, n2, n3, n4, n5, n6, n7]);
        // A driver that has no timestamp for this packet may report 0.
        let nanos = i64::try_from(nanos)
            .ok()
            .filter(|&nanos| has(HAS_TIMESTAMP) && nanos != 0);
        Some(Self {
            timestamp: nanos.map(|nanos| Timestamp::from_nanos(nanos, Clock::Hardware)),
            hash: has(HAS_HASH).then(|| u32::from_ne_bytes([h0, h1, h2, h3])),
            vlan: has(HAS_VLAN).then(|| VlanTag {
                tpid: u16::from_be_bytes([p0, p1]),
                tci: u16::from_ne_bytes([c0, c1]),
            }),
        })
    }
}

/// The metadata to ask the driver for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetadataFields {
    pub(crate) timestamp: bool,
    pub(crate) hash: bool,
    pub(crate) vlan: bool,
}

impl MetadataFields {
    pub(crate) const ALL: Self = Self {
        timestamp: true,
        hash: true,
        vlan: true,
    };
}

/// The kernel's functions that ask the driver, by their IDs in the running kernel; `None` for one
/// that it lacks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kfuncs {
    timestamp: Option<i32>,
    hash: Option<i32>,
    vlan: Option<i32>,
}

impl Kfuncs {
    /// The functions for these fields.
    pub(super) fn of_this_kernel(wanted: MetadataFields) -> Result<Self, Error> {
        /// The kernel's types are megabytes, and stay the same while it runs.
        static FOUND: OnceLock<Kfuncs> = OnceLock::new();
        let all = match FOUND.get() {
            Some(found) => *found,
            None => {
                let found = Self::look_up()?;
                *FOUND.get_or_init(|| found)
            }
        };
        let found = Self {
            timestamp: all.timestamp.filter(|_| wanted.timestamp),
            hash: all.hash.filter(|_| wanted.hash),
            vlan: all.vlan.filter(|_| wanted.vlan),
        };
        if found.timestamp.is_none() && found.hash.is_none() && found.vlan.is_none() {
            return Err(cannot_ask());
        }
        Ok(found)
    }

    fn look_up() -> Result<Self, Error> {
        let types = Btf::from_sys_fs().map_err(|error| Error::Source {
            what: "metadata needs the kernel's type information (CONFIG_DEBUG_INFO_BTF)".into(),
            source: Box::new(error),
        })?;
        let number = |name| {
            let id = types.id_by_type_name_kind(name, BtfKind::Func).ok()?;
            i32::try_from(id).ok()
        };
        Ok(Self {
            timestamp: number("bpf_xdp_metadata_rx_timestamp"),
            hash: number("bpf_xdp_metadata_rx_hash"),
            vlan: number("bpf_xdp_metadata_rx_vlan_tag"),
        })
    }

    /// The function that returns the tag outside the bytes.
    pub(super) const fn vlan(self) -> Option<i32> {
        self.vlan
    }

    /// Checks that the driver can be asked for all of these fields.
    pub(super) fn check(self, wanted: MetadataFields) -> Result<(), Error> {
        let has = |wanted: bool, kfunc: Option<i32>| !wanted || kfunc.is_some();
        if has(wanted.timestamp, self.timestamp)
            && has(wanted.hash, self.hash)
            && has(wanted.vlan, self.vlan)
        {
            return Ok(());
        }
        Err(cannot_ask())
    }
}

fn cannot_ask() -> Error {
    Error::Config {
        setting: "metadata",
        why:
            "the running kernel cannot ask drivers about packets; kernel 6.3 or newer can, and 6.8 \
              for VLAN tags"
                .into(),
    }
}

/// Adds the part of the program that writes it. The context is in `r1`, and stays in `r9`; `r6` is
/// not touched.
pub(super) fn write(asm: &mut Assembler, kfuncs: Kfuncs) {
    const LEN: i16 = Metadata::LEN as i16;
    /// Offsets in `struct xdp_md`.
    const DATA: i16 = 0;
    const DATA_META: i16 = 8;
    let none = asm.label();
    asm.mov(Reg::R9, Reg::R1);
    asm.mov(Reg::R2, -i32::from(LEN));
    asm.call(Helper::AdjustMeta);
    asm.jump_if(Cond::Ne, Reg::R0, 0, none);

    // It is built on the stack, at its own offsets from the end.
    for at in [-24, -16, -8] {
        asm.store(Size::Double, Reg::R10, at, 0);
    }
    asm.mov(Reg::R8, MARK as i32);
    ask(asm, kfuncs.timestamp, &[-24], HAS_TIMESTAMP);
    ask(asm, kfuncs.hash, &[-16, -12], HAS_HASH);
    ask(asm, kfuncs.vlan, &[-8, -6], HAS_VLAN);
    asm.store(Size::Word, Reg::R10, -4, Reg::R8);

    asm.load(Size::Word, Reg::R1, Reg::R9, DATA_META);
    asm.load(Size::Word, Reg::R2, Reg::R9, DATA);
    asm.mov(Reg::R3, Reg::R1);
    asm.add(Reg::R3, i32::from(LEN));
    asm.jump_if(Cond::Gt, Reg::R3, Reg::R2, none);
    for at in [0, 8, 16] {
        asm.load(Size::Double, Reg::R3, Reg::R10, at - LEN);
        asm.store(Size::Double, Reg::R1, at, Reg::R3);
    }
    asm.bind(none);
}

/// Makes the kernel write to these places on the stack, and notes in the mark whether it did.
fn ask(asm: &mut Assembler, kfunc: Option<i32>, places: &[i16], bit: i32) {
    let Some(kfunc) = kfunc else {
        return;
    };
    let without: Label = asm.label();
    asm.mov(Reg::R1, Reg::R9);
    for (register, place) in [Reg::R2, Reg::R3].into_iter().zip(places) {
        asm.mov(register, Reg::R10);
        asm.add(register, i32::from(*place));
    }
    asm.call_kfunc(kfunc);
    asm.jump_if(Cond::Ne, Reg::R0, 0, without);
    asm.add(Reg::R8, bit);
    asm.bind(without);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(mark: u32) -> [u8; Metadata::LEN] {
        let mut bytes = [0; Metadata::LEN];
        bytes[..8].copy_from_slice(&1_700_000_000_123_456_789_u64.to_ne_bytes());
        bytes[8..12].copy_from_slice(&0xdead_beef_u32.to_ne_bytes());
        bytes[16..18].copy_from_slice(&0x88a8_u16.to_be_bytes());
        bytes[18..20].copy_from_slice(&0x2005_u16.to_ne_bytes());
        bytes[20..].copy_from_slice(&mark.to_ne_bytes());
        bytes
    }

    #[test]
    fn what_the_mark_says_is_there_is_read() {
        let all = Metadata {
            timestamp: Some(Timestamp::from_nanos(
                1_700_000_000_123_456_789,
                Clock::Hardware,
            )),
            hash: Some(0xdead_beef),
            vlan: Some(VlanTag {
                tpid: 0x88a8,
                tci: 0x2005,
            }),
        };
        assert_eq!(Metadata::read(&before(MARK | 7)), Some(all));
        assert_eq!(Metadata::read(&before(MARK)), Some(Metadata::default()));
        let hash = Metadata {
            hash: all.hash,
            ..Metadata::default()
        };
        assert_eq!(Metadata::read(&before(MARK | 2)), Some(hash));
    }

    #[test]
    fn without_the_mark_nothing_is_there() {
        for mark in [0, 7, !MARK, MARK << 8, u32::MAX] {
            assert_eq!(Metadata::read(&before(mark)), None, "{mark:#x}");
        }
        assert_eq!(Metadata::read(&[0xff; Metadata::LEN]), None);
    }

    #[test]
    fn a_stamp_of_zero_is_none() {
        let mut bytes = before(MARK | 1);
        bytes[..8].fill(0);
        assert_eq!(Metadata::read(&bytes), Some(Metadata::default()));
    }
}
