//! Putting packets together.

use std::ops::Range;

use netring_sys::{LinkType, Packet};

use super::oldest::Oldest;
use super::partial::{Fault, MAX_LEN, Overlaps, Partial};
use super::rebuild;
use crate::TrackerConfig;
use crate::event::{DefragmentStats, Incomplete};
use crate::extract::{Datagram, Fragment};
use crate::reassembly::OverlapPolicy;

/// The memory of a packet in addition to its bytes: its table and order entries, and its state.
const PER_PACKET: usize = 768;

/// How long the bytes of a complete packet are kept, in nanoseconds: 1 s.
const REPEATED_WITHIN: u64 = 1_000_000_000;

/// Memory per packet, which bounds the number of packets.
const USUAL: usize = 4096;

/// The packets with missing fragments.
#[derive(Debug)]
pub(crate) struct Joiner {
    packets: Oldest<Entry>,
    /// Recently completed packets, to distinguish a repeated fragment from a fragment of another
    /// packet with the same identification.
    complete: Oldest<Complete>,
    max_packets: usize,
    /// For bytes, in addition to the fixed memory of each packet.
    max_bytes: usize,
    bytes: usize,
    overlap: OverlapPolicy,
    /// In nanoseconds.
    timeout: u64,
    /// A buffer for a packet that is reassembled.
    pub(crate) spare: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    partial: Partial,
    /// When the first of its fragments came, in nanoseconds.
    since: i64,
    /// The protocol, if the first fragment has been seen.
    protocol: Option<u8>,
    out_of_window: bool,
    /// The packet was given up: later fragments are not kept.
    is_dead: bool,
}

#[derive(Debug)]
struct Complete {
    partial: Partial,
    /// When its last fragment came, in nanoseconds.
    since: i64,
}

/// The outcome for a fragment.
#[derive(Debug)]
pub(crate) enum Kept {
    /// It is not kept.
    No,
    /// Others of its packet are missing.
    Held,
    /// The packet is whole.
    Whole(Whole),
}

/// A packet that was reassembled.
#[derive(Debug)]
pub(crate) struct Whole {
    /// An IP packet. [`Joiner::spare`] takes the buffer back.
    pub(crate) bytes: Vec<u8>,
    pub(crate) link_type: LinkType,
    /// Its first fragment had a RST or FIN that the receiver would not accept.
    pub(crate) out_of_window: bool,
}

impl Joiner {
    /// `None` if packets are not to be reassembled.
    pub(super) fn new(config: &TrackerConfig, timeout: u64) -> Option<Self> {
        let memory = config.defragment;
        let max_packets = (memory / USUAL).clamp(1, config.max_fragmented.max(1));
        (memory != 0).then(|| Self {
            packets: Oldest::new(),
            complete: Oldest::new(),
            max_packets,
            max_bytes: memory.saturating_sub(max_packets * PER_PACKET),
            bytes: 0,
            overlap: config.fragment_overlap,
            timeout,
            spare: Vec::new(),
        })
    }

    /// Takes a fragment carried by this packet.
    pub(crate) fn add(
        &mut self,
        fragment: &Fragment,
        packet: &Packet<'_>,
        out_of_window: bool,
        stats: &mut DefragmentStats,
    ) -> Kept {
        let time = packet.timestamp().as_nanos();
        self.expire(time, stats);
        if fragment.len == 0 {
            return Kept::No;
        }
        let datagram = &fragment.datagram;
        let timeout = self.timeout;
        if self.is_repeated(fragment, packet) {
            return Kept::Held;
        }
        let known = self.packets.get_mut(datagram);
        if known.is_some_and(|entry| !entry.is_current(time, timeout)) {
            self.give_up(datagram, Incomplete::TimedOut, stats);
            self.packets.remove(datagram);
        }
        match self.packets.get_mut(datagram) {
            Some(entry) if entry.is_dead => return Kept::No,
            Some(_) => {}
            None => self.begin(*datagram, time, stats),
        }
        let is_complete = self.keep(fragment, packet, out_of_window, stats);
        self.account(stats);
        match is_complete {
            Ok(false) => Kept::Held,
            Ok(true) => self
                .whole(datagram, time, stats)
                .map_or(Kept::No, Kept::Whole),
            Err(why) => {
                self.give_up(datagram, why, stats);
                Kept::No
            }
        }
    }

    /// Whether a fragment belongs to a recently completed packet. A first fragment never does: it
    /// begins another packet, which may be a repetition.
    fn is_repeated(&mut self, fragment: &Fragment, packet: &Packet<'_>) -> bool {
        let Some(complete) = self.complete.get_mut(&fragment.datagram) else {
            return false;
        };
        let range = fragment.offset..fragment.offset.saturating_add(fragment.len);
        let bytes = packet.data().get(fragment.start as usize..);
        let bytes = bytes.and_then(|bytes| bytes.get(..range.len()));
        let is_same = bytes.is_some_and(|bytes| complete.partial.has(&range, bytes));
        if fragment.offset != 0 && is_same {
            return true;
        }
        self.forget(&fragment.datagram);
        false
    }

    /// Forgets a packet that was complete.
    fn forget(&mut self, datagram: &Datagram) {
        if let Some(complete) = self.complete.remove(datagram) {
            self.bytes -= complete.partial.memory();
        }
    }

    /// Removes the least valuable packet other than `except`. Returns whether there was one.
    fn displace(&mut self, except: Option<&Datagram>, stats: &mut DefragmentStats) -> bool {
        if let Some((oldest, _)) = self.complete.oldest() {
            self.forget(&oldest);
            return true;
        }
        match self.packets.oldest() {
            Some((oldest, _)) if Some(&oldest) != except => {
                self.give_up(&oldest, Incomplete::Displaced, stats);
                self.packets.remove(&oldest);
                true
            }
            _ => false,
        }
    }

    /// Begins a packet. If there are too many, the oldest makes room.
    fn begin(&mut self, datagram: Datagram, time: i64, stats: &mut DefragmentStats) {
        if self.packets.len() + self.complete.len() == self.max_packets {
            self.displace(None, stats);
        }
        stats.begun += 1;
        stats.open += 1;
        let entry = Entry {
            partial: Partial::default(),
            since: time,
            protocol: None,
            out_of_window: false,
            is_dead: false,
        };
        self.packets.add(datagram, entry);
    }

    /// Keeps the bytes of a fragment, and returns whether they complete the packet.
    fn keep(
        &mut self,
        fragment: &Fragment,
        packet: &Packet<'_>,
        out_of_window: bool,
        stats: &mut DefragmentStats,
    ) -> Result<bool, Incomplete> {
        let (range, overlaps) = self.place(fragment)?;
        let start = fragment.start as usize;
        let bytes = packet.data().get(start..).unwrap_or_default();
        let bytes = bytes.get(..range.len()).ok_or(Incomplete::Cut)?;
        if fragment.malformed {
            return Err(Incomplete::Cut);
        }
        self.make_room(&fragment.datagram, &range, stats)?;
        let Some(entry) = self.packets.get_mut(&fragment.datagram) else {
            return Err(Incomplete::Displaced);
        };
        if fragment.offset == 0 {
            entry.protocol = entry.protocol.or(Some(fragment.protocol));
            entry.out_of_window |= out_of_window;
        }
        let partial = &mut entry.partial;
        let before = partial.memory();
        let added = partial.add(&range, bytes, fragment.more, overlaps);
        self.bytes += partial.memory() - before;
        let is_complete = partial.is_complete();
        added.map(|()| is_complete).map_err(|fault| match fault {
            Fault::Overlaps => Incomplete::Overlapping,
            Fault::Contradiction => Incomplete::Contradictory,
        })
    }

    /// Where the bytes of a fragment belong, and how to handle bytes already there.
    fn place(&self, fragment: &Fragment) -> Result<(Range<u32>, Overlaps), Incomplete> {
        let is_v6 = fragment.datagram.is_v6();
        let end = fragment.offset.saturating_add(fragment.len);
        let header = if is_v6 { 0 } else { rebuild::V4_HEADER };
        if end > MAX_LEN - header {
            return Err(Incomplete::Contradictory);
        }
        let overlaps = if is_v6 {
            Overlaps::Refused
        } else {
            Overlaps::Decided(self.overlap)
        };
        // Only the last may end within a unit of 8 bytes. Linux rejects such a fragment in IPv6,
        // and in IPv4 takes the whole units.
        match fragment.more {
            true if !end.is_multiple_of(8) && is_v6 => Err(Incomplete::Contradictory),
            true if end & !7 == fragment.offset => Err(Incomplete::Contradictory),
            true => Ok((fragment.offset..end & !7, overlaps)),
            false => Ok((fragment.offset..end, overlaps)),
        }
    }

    /// Gives up the oldest packets until there is room for a fragment.
    fn make_room(
        &mut self,
        datagram: &Datagram,
        range: &Range<u32>,
        stats: &mut DefragmentStats,
    ) -> Result<(), Incomplete> {
        let partial = self.packets.get_mut(datagram).map(|entry| &entry.partial);
        let more = partial.map_or(0, |own| own.memory_with(range) - own.memory());
        while self.bytes + more > self.max_bytes {
            if !self.displace(Some(datagram), stats) {
                return Err(Incomplete::Displaced);
            }
        }
        Ok(())
    }

    /// Takes a complete packet out. If fragments contradicted each other, it may be a mixture of
    /// two packets, which no receiver would accept: its checksum decides, if it has one.
    fn whole(
        &mut self,
        datagram: &Datagram,
        time: i64,
        stats: &mut DefragmentStats,
    ) -> Option<Whole> {
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        let entry = self.packets.get_mut(datagram)?;
        let protocol = entry.protocol?;
        let (header, link_type) = rebuild::header(datagram, protocol, &entry.partial, &mut bytes);
        let is_mixed = entry.partial.repeated
            && rebuild::has_wrong_checksum(datagram, protocol, &bytes[header..]);
        let out_of_window = entry.out_of_window;
        if is_mixed {
            self.give_up(datagram, Incomplete::Mixed, stats);
            self.packets.remove(datagram);
            self.spare = bytes;
            return None;
        }
        if let Some(entry) = self.packets.remove(datagram) {
            stats.open -= 1;
            let (partial, since) = (entry.partial, time);
            self.complete.add(*datagram, Complete { partial, since });
        }
        Some(Whole {
            bytes,
            link_type,
            out_of_window,
        })
    }

    /// Gives up a packet. Its later fragments are not kept until its timeout has passed.
    fn give_up(&mut self, datagram: &Datagram, why: Incomplete, stats: &mut DefragmentStats) {
        if let Some(entry) = self.packets.get_mut(datagram)
            && !entry.is_dead
        {
            entry.is_dead = true;
            self.bytes -= entry.partial.memory();
            entry.partial = Partial::default();
            stats.incomplete.count(why);
            stats.open -= 1;
        }
        self.account(stats);
    }

    /// Another packet has the identification of this one.
    pub(super) fn reuse(&mut self, datagram: &Datagram, stats: &mut DefragmentStats) {
        self.give_up(datagram, Incomplete::Reused, stats);
        self.packets.remove(datagram);
        self.forget(datagram);
    }

    /// All fragments of the packet were seen, so this one belongs to another packet.
    pub(super) fn renew(&mut self, datagram: &Datagram) {
        if self
            .packets
            .get_mut(datagram)
            .is_some_and(|entry| entry.is_dead)
        {
            self.packets.remove(datagram);
        }
    }

    /// Gives up packets that have timed out.
    pub(super) fn expire(&mut self, now: i64, stats: &mut DefragmentStats) {
        let timeout = self.timeout;
        while let Some((oldest, entry)) = self.packets.oldest()
            && !entry.is_current(now, timeout)
        {
            self.give_up(&oldest, Incomplete::TimedOut, stats);
            self.packets.remove(&oldest);
        }
        while let Some((oldest, complete)) = self.complete.oldest()
            && complete.since.abs_diff(now) > REPEATED_WITHIN
        {
            self.forget(&oldest);
        }
        self.account(stats);
    }

    /// Gives up all packets.
    pub(super) fn finish(&mut self, stats: &mut DefragmentStats) {
        while let Some((oldest, _)) = self.packets.oldest() {
            self.give_up(&oldest, Incomplete::SourceEnded, stats);
            self.packets.remove(&oldest);
        }
        while let Some((oldest, _)) = self.complete.oldest() {
            self.forget(&oldest);
        }
        self.account(stats);
    }

    fn account(&self, stats: &mut DefragmentStats) {
        stats.memory =
            (self.bytes + (self.packets.len() + self.complete.len()) * PER_PACKET) as u64;
        stats.memory_peak = stats.memory_peak.max(stats.memory);
    }
}

impl Entry {
    fn is_current(&self, time: i64, timeout: u64) -> bool {
        self.since.abs_diff(time) <= timeout
    }
}
