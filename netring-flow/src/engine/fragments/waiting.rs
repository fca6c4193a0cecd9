//! Fragments that arrived before the first of their packet.

use netring_sys::Packet;

use super::oldest::Oldest;
use super::pieces::Pieces;
use crate::TrackerStats;
use crate::extract::{Datagram, Fragment};

/// The packets with a missing first fragment, and the counters to add to its flow when it arrives.
#[derive(Debug)]
pub(super) struct Waiting {
    packets: Oldest<Entry>,
    max: usize,
    /// In nanoseconds.
    timeout: u64,
}

#[derive(Debug)]
struct Entry {
    waited: Waited,
    pieces: Pieces,
}

/// The counters of fragments that waited for their first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waited {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) payload: u64,
    /// Of IP packets; `None` if any length is unknown.
    pub(crate) ip_bytes: Option<u64>,
    pub(crate) cut: u64,
    pub(crate) malformed: u64,
    /// In nanoseconds.
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Waited {
    const fn new(time: i64) -> Self {
        Self {
            packets: 0,
            bytes: 0,
            payload: 0,
            ip_bytes: Some(0),
            cut: 0,
            malformed: 0,
            first: time,
            last: time,
        }
    }

    fn add(&mut self, fragment: &Fragment, packet: &Packet<'_>, ip_len: Option<u32>) {
        let time = packet.timestamp().as_nanos();
        self.packets += 1;
        self.bytes += u64::from(packet.wire_len());
        self.payload += u64::from(fragment.len);
        self.ip_bytes = sum(self.ip_bytes, ip_len.map(u64::from));
        self.cut += u64::from(packet.is_cut());
        self.malformed += u64::from(fragment.malformed);
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    /// Both together.
    pub(crate) fn and(self, other: Option<Self>) -> Self {
        let Some(other) = other else {
            return self;
        };
        Self {
            packets: self.packets + other.packets,
            bytes: self.bytes + other.bytes,
            payload: self.payload + other.payload,
            ip_bytes: sum(self.ip_bytes, other.ip_bytes),
            cut: self.cut + other.cut,
            malformed: self.malformed + other.malformed,
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

impl Waiting {
    pub(super) fn new(max: usize, timeout: u64) -> Self {
        Self {
            packets: Oldest::new(),
            max,
            timeout,
        }
    }

    /// Takes a fragment whose first is missing.
    pub(super) fn add(
        &mut self,
        fragment: &Fragment,
        packet: &Packet<'_>,
        ip_len: Option<u32>,
        stats: &mut TrackerStats,
    ) {
        if self.max == 0 {
            stats.untracked.fragments += 1;
            return;
        }
        let time = packet.timestamp().as_nanos();
        self.expire(time, stats);
        let datagram = fragment.datagram;
        let timeout = self.timeout;
        let known = self.packets.get_mut(&datagram);
        if known.is_some_and(|entry| !entry.is_current(time, timeout)) {
            self.give_up(&datagram, stats);
        }
        if self.packets.get_mut(&datagram).is_none() {
            if self.packets.len() == self.max
                && let Some((oldest, _)) = self.packets.oldest()
            {
                self.give_up(&oldest, stats);
                stats.fragments.forgotten += 1;
            }
            let (waited, pieces) = (Waited::new(time), Pieces::default());
            self.packets.add(datagram, Entry { waited, pieces });
        }
        if let Some(entry) = self.packets.get_mut(&datagram) {
            entry.waited.add(fragment, packet, ip_len);
            entry.pieces.add(fragment).count(&mut stats.fragments);
            stats.untracked.waiting += 1;
        }
    }

    /// Called when the first fragment of a packet arrives: returns the counters that waited for it,
    /// and the parts seen so far.
    pub(super) fn take(
        &mut self,
        datagram: &Datagram,
        time: i64,
        stats: &mut TrackerStats,
    ) -> Option<(Waited, Pieces)> {
        let timeout = self.timeout;
        if !self.packets.get_mut(datagram)?.is_current(time, timeout) {
            self.give_up(datagram, stats);
            return None;
        }
        let entry = self.packets.remove(datagram)?;
        stats.untracked.waiting -= entry.waited.packets;
        Some((entry.waited, entry.pieces))
    }

    /// Gives up packets that have timed out.
    pub(super) fn expire(&mut self, now: i64, stats: &mut TrackerStats) {
        let timeout = self.timeout;
        while let Some((oldest, entry)) = self.packets.oldest()
            && !entry.is_current(now, timeout)
        {
            self.give_up(&oldest, stats);
        }
    }

    /// Gives up all packets.
    pub(super) fn finish(&mut self, stats: &mut TrackerStats) {
        while let Some((oldest, _)) = self.packets.oldest() {
            self.give_up(&oldest, stats);
        }
    }

    fn give_up(&mut self, datagram: &Datagram, stats: &mut TrackerStats) {
        if let Some(entry) = self.packets.remove(datagram) {
            stats.untracked.waiting -= entry.waited.packets;
            stats.untracked.fragments += entry.waited.packets;
        }
    }
}

impl Entry {
    fn is_current(&self, time: i64, timeout: u64) -> bool {
        self.waited.first.abs_diff(time) <= timeout
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a? + b?)
}
