//! The flows of fragmented packets: a bounded, timed table from the identity of a packet to the
//! flow in which its first fragment counted.
//!
//! Packets are remembered in a ring, so the oldest makes room for the newest, and neither memory
//! nor time grows with the number of first fragments. Nothing is allocated before the first one.
//! Packets with a missing first fragment are kept separately ([`waiting`]), so that a flood of them
//! displaces no flow.

mod join;
mod oldest;
mod partial;
mod pieces;
mod rebuild;
mod waiting;

use std::collections::HashMap;

use netring_sys::Packet;

use super::limits;
use crate::event::FragmentStats;
use crate::extract::{Datagram, Extracted, Fragment, Orientation, Piece, Transport};
use crate::{TrackerConfig, TrackerStats};
use join::Joiner;
pub(crate) use join::Kept;
use pieces::{Pieces, Seen};
pub(crate) use waiting::Waited;
use waiting::Waiting;

/// The packets that may have further fragments.
#[derive(Debug)]
pub(crate) struct Fragments<K> {
    places: HashMap<Datagram, u32>,
    ring: Vec<Entry<K>>,
    /// The place of the next packet once the ring is full: that of the oldest.
    next: usize,
    max: usize,
    /// In nanoseconds.
    timeout: u64,
    waiting: Waiting,
    /// Present if packets are reassembled.
    pub(crate) joiner: Option<Joiner>,
}

#[derive(Debug)]
struct Entry<K> {
    datagram: Datagram,
    key: K,
    orientation: Orientation,
    transport: Transport,
    /// When the first fragment was seen, in nanoseconds.
    time: i64,
    pieces: Pieces,
}

impl<K> Entry<K> {
    fn is_current(&self, time: i64, timeout: u64) -> bool {
        self.time.abs_diff(time) <= timeout
    }
}

impl<K: Clone + Eq> Fragments<K> {
    pub(super) fn new(config: &TrackerConfig) -> Self {
        let timeout = limits::nanos(config.fragment_timeout).cast_unsigned();
        Self {
            places: HashMap::new(),
            ring: Vec::new(),
            next: 0,
            max: config.max_fragmented,
            timeout,
            waiting: Waiting::new(config.max_fragmented, timeout),
            joiner: Joiner::new(config, timeout),
        }
    }

    /// Remembers the flow of a first fragment. Returns the fragments that waited for it, which the
    /// caller must count.
    pub(crate) fn first(
        &mut self,
        fragment: &Fragment,
        found: &Extracted<K>,
        time: i64,
        stats: &mut TrackerStats,
    ) -> Option<Waited> {
        stats.fragments.first += 1;
        stats.fragments.tiny += u64::from(fragment.tiny);
        // An ICMP error counts in no flow, nor do its later fragments.
        if self.max == 0 || found.icmp_error.is_some() {
            return None;
        }
        let (waited, before) = self.waiting.take(&fragment.datagram, time, stats).unzip();
        let stats = &mut stats.fragments;
        let place = self.places.get(&fragment.datagram).copied();
        if let Some(entry) = place.map(|place| &mut self.ring[place as usize])
            && entry.is_current(time, self.timeout)
        {
            let is_complete = entry.pieces.are_complete();
            if entry.key == found.key && !is_complete {
                entry.pieces.add(fragment).count(stats);
                return waited;
            }
            stats.reused += u64::from(!is_complete);
            if let Some(joiner) = &mut self.joiner {
                match is_complete {
                    true => joiner.renew(&fragment.datagram),
                    false => joiner.reuse(&fragment.datagram, &mut stats.defragment),
                }
            }
        }
        let mut pieces = before.unwrap_or_default();
        pieces.add(fragment).count(stats);
        let entry = Entry {
            datagram: fragment.datagram,
            key: found.key.clone(),
            orientation: found.orientation,
            transport: match found.transport {
                Transport::Tcp(_) => Transport::Tcp(None),
                other => other,
            },
            time,
            pieces,
        };
        match place {
            Some(place) => self.ring[place as usize] = entry,
            None => self.insert(entry, stats),
        }
        waited
    }

    fn insert(&mut self, entry: Entry<K>, stats: &mut FragmentStats) {
        let datagram = entry.datagram;
        let place = if self.ring.len() < self.max {
            self.ring.push(entry);
            self.ring.len() - 1
        } else {
            let place = self.next;
            self.next = (place + 1) % self.max;
            let oldest = std::mem::replace(&mut self.ring[place], entry);
            let is_current = oldest.is_current(self.ring[place].time, self.timeout);
            stats.forgotten += u64::from(is_current && !oldest.pieces.are_complete());
            self.places.remove(&oldest.datagram);
            place
        };
        self.places.insert(datagram, place as u32);
    }

    /// A later fragment as a packet of the flow of its first; `None` if the first was not seen; the
    /// fragment then waits and counts as waiting.
    pub(crate) fn later(
        &mut self,
        fragment: &Fragment,
        packet: &Packet<'_>,
        ip_len: impl FnOnce() -> Option<u32>,
        stats: &mut TrackerStats,
    ) -> Option<Extracted<K>> {
        stats.fragments.tiny += u64::from(fragment.tiny);
        let time = packet.timestamp().as_nanos();
        let place = self.places.get(&fragment.datagram).copied();
        let entry = place.map(|place| &mut self.ring[place as usize]);
        let Some(entry) = entry.filter(|entry| entry.is_current(time, self.timeout)) else {
            self.waiting.add(fragment, packet, ip_len(), stats);
            return None;
        };
        entry.pieces.add(fragment).count(&mut stats.fragments);
        stats.fragments.followed += 1;
        let (key, transport) = (entry.key.clone(), entry.transport);
        Some(
            Extracted::new(key, entry.orientation, transport)
                .with_payload(fragment.start, fragment.len)
                .with_malformed(fragment.malformed)
                .with_piece(Piece::Later),
        )
    }

    /// Gives up fragments that waited too long.
    pub(super) fn expire(&mut self, now: i64, stats: &mut TrackerStats) {
        self.waiting.expire(now, stats);
        if let Some(joiner) = &mut self.joiner {
            joiner.expire(now, &mut stats.fragments.defragment);
        }
    }

    /// Gives up waiting fragments because the source has ended.
    pub(super) fn finish(&mut self, stats: &mut TrackerStats) {
        self.waiting.finish(stats);
        if let Some(joiner) = &mut self.joiner {
            joiner.finish(&mut stats.fragments.defragment);
        }
    }
}

impl Seen {
    fn count(self, stats: &mut FragmentStats) {
        match self {
            Self::New => {}
            Self::Again => stats.duplicate += 1,
            Self::Overlaps => stats.overlapping += 1,
        }
    }
}
