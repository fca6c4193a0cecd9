//! Repetitions by bytes and time.

use std::time::Duration;

use crate::{Error, Packet};

use super::batch::Marks;
use super::print::{Keys, Print};
use super::table::Table;

/// The maximum number of remembered packets: 16,777,216, which take 768 MiB.
const MOST: usize = 1 << 24;

/// Packets that are hashed before they are looked up. The packets of a block stream through the
/// caches while nothing is read in between; looking up each at once costs twice as much.
const GROUP: usize = 512;

/// What makes a packet a repetition of one before it: equal bytes, and a short time between them.
///
/// Packets are equal if they have the same bytes, length on the wire, link type and outermost VLAN
/// tag, wherever it is stored. Interface, direction and queue do not matter. A frame changed in
/// transit, such as by a router that decremented its TTL, is another packet; if only its tags
/// changed, use [`ignore_vlan`](Self::ignore_vlan). A checksum that the card fills in
/// ([`Checksum::Partial`](crate::Checksum::Partial)) is different in a copy from beyond the card.
///
/// A packet that is lent opens a window. Within it, the next packet that is equal is left out, or
/// the next few for [more copies](Self::copies). Once they are there, or once the window is over,
/// an equal packet is lent, and opens a window of its own. So if a source delivers each packet
/// exactly twice, exactly half is lent, even if the host itself repeats packets within the window:
/// three of six equal packets that are three retransmissions. If a source does not deliver each
/// packet twice, a genuine repetition within the window is left out.
///
/// Time is that of the packets, in either direction, since merged captures are not in order. If a
/// source has no times, they are all within the window.
///
/// Bytes are compared by a hash of 64 bits with random keys. Two different packets of one length
/// are taken for equal with a probability of 2<sup>-64</sup>, but only if they are also in one
/// chain of the table, which has one packet on average or less. At ten million packets a second
/// that is one packet in tens of thousands of years.
///
/// The defaults are a window of 5 ms, two copies, and 32,768 packets: six million different packets
/// a second fit. Memory is 48 bytes for each packet (1.5 MiB) and 16 KiB, taken once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    window: Duration,
    copies: u32,
    packets: usize,
    ignores_vlan: bool,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            window: Duration::from_millis(5),
            copies: 2,
            packets: 1 << 15,
            ignores_vlan: false,
        }
    }
}

impl Content {
    /// The longest time between a packet and its repetition, to the nanosecond, inclusive. Default:
    /// 5 ms. Zero leaves out packets of the same time only; [`Duration::MAX`] is no limit.
    #[must_use]
    pub const fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// How often the source delivers each packet, from 2; [`u32::MAX`] leaves out all repetitions
    /// within the window. Default: 2.
    #[must_use]
    pub const fn copies(mut self, copies: u32) -> Self {
        self.copies = copies;
        self
    }

    /// How many lent packets are remembered, 1 to 16,777,216, rounded up to a power of two.
    /// Default: 32,768. Packets that are forgotten within their window are
    /// [counted](super::Dedup::forgotten).
    #[must_use]
    pub const fn packets(mut self, packets: usize) -> Self {
        self.packets = packets;
        self
    }

    /// Whether packets that differ only in their VLAN tags are equal: the tag in the metadata, and
    /// all tags after the addresses of an Ethernet header (types 0x8100, 0x88a8 and 0x9100).
    /// Default: no.
    #[must_use]
    pub const fn ignore_vlan(mut self, ignore: bool) -> Self {
        self.ignores_vlan = ignore;
        self
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |setting, why: String| Err(Error::Config { setting, why });
        if self.copies < 2 {
            let copies = self.copies;
            return refuse(
                "copies",
                format!("{copies} means no repetition; the minimum is 2"),
            );
        }
        if !(1..=MOST).contains(&self.packets) {
            let packets = self.packets;
            return refuse(
                "packets",
                format!("{packets} is out of range (1 to {MOST})"),
            );
        }
        Ok(())
    }
}

/// The settings at work.
#[derive(Debug)]
pub(super) struct Remembered {
    keys: Keys,
    table: Table,
    /// Hashes and times of the packets at hand.
    group: Box<[(Print, i64)]>,
    ignores_vlan: bool,
}

impl Remembered {
    pub(super) fn new(content: Content) -> Result<Self, Error> {
        content.check()?;
        let window = u64::try_from(content.window.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self {
            keys: Keys::random(),
            table: Table::new(content.packets, window, content.copies - 1),
            group: vec![(Print::default(), 0); GROUP].into(),
            ignores_vlan: content.ignores_vlan,
        })
    }

    /// Marks the packets that repeat one that was lent; the others are remembered.
    pub(super) fn mark<'a>(
        &mut self,
        packets: impl Iterator<Item = Packet<'a>>,
        marks: &mut Marks,
    ) {
        let mut len = 0;
        packets.for_each(|packet| {
            let print = self.keys.print(&packet, self.ignores_vlan);
            self.group[len] = (print, packet.timestamp().as_nanos());
            len += 1;
            if len == GROUP {
                self.table.mark(&self.group, marks);
                len = 0;
            }
        });
        self.table.mark(&self.group[..len], marks);
    }

    pub(super) const fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }
}
