//! Arriving data, and its delivery.

use netring_sys::Timestamp;

use super::{Direction, FIN, Incoming, Output};
use crate::reassembly::held::Arriving;
use crate::reassembly::{OverlapPolicy, ReassemblyConfig};

impl Direction {
    /// Takes a segment with data. `hold` keeps what could be delivered.
    pub(in crate::reassembly) fn receive(
        &mut self,
        incoming: &Incoming<'_>,
        config: &ReassemblyConfig,
        hold: bool,
        out: &mut impl Output,
    ) {
        self.go_back(incoming.sequence);
        let len = incoming.bytes.len();
        let Some((skip, start)) = self.locate(incoming.sequence, incoming.wire_len) else {
            out.stats().duplicate += len as u64;
            self.compare(incoming, len, out);
            return;
        };
        let known = (skip as usize).min(len);
        out.stats().duplicate += known as u64;
        self.compare(incoming, known, out);
        // Data at the place of a FIN: its receiver did not accept the FIN, or it will refuse this.
        self.flags &= !FIN;
        let arriving = Arriving {
            start,
            bytes: &incoming.bytes[known..],
            cut: incoming.wire_len - skip.max(len as u32),
            time: incoming.time,
        };
        let end = arriving.end() + u64::from(arriving.cut);
        let held = self.extra.as_ref().and_then(|extra| extra.held.first());
        if start == self.position && !hold && held.is_none_or(|held| held >= end) {
            self.deliver(arriving.bytes, arriving.time, config, out);
            self.skip(arriving.cut, arriving.time, out);
            self.drain(incoming.time, config, out);
        } else if !arriving.bytes.is_empty() {
            self.hold(&arriving, config.overlap, out);
            if !hold {
                self.drain(incoming.time, config, out);
            }
        }
    }

    /// Holds a segment.
    fn hold(&mut self, arriving: &Arriving<'_>, policy: OverlapPolicy, out: &mut impl Output) {
        let position = self.position;
        let extra = self.extra();
        let (start, end) = (arriving.start, arriving.end());
        // A keep-alive has one byte of any content, which was sent before.
        let probes = arriving.bytes.len() == 1 && extra.held.end() == Some(end);
        if probes && extra.held.covers(start..end) {
            out.stats().duplicate += 1;
            return;
        }
        if extra.held.is_empty() {
            extra.hole_begins(position, arriving.time);
        }
        extra.newest = arriving.time.as_nanos();
        let inserted = extra.held.insert(arriving, policy);
        out.stats().duplicate += inserted.duplicate as u64;
        if let Some(range) = inserted.differs {
            out.inconsistent(range, arriving.time);
        }
    }

    /// Delivers what is held without a hole before it.
    pub(in crate::reassembly) fn drain(
        &mut self,
        now: Timestamp,
        config: &ReassemblyConfig,
        out: &mut impl Output,
    ) {
        while let Some(extra) = &mut self.extra
            && let Some(node) = extra.held.take(self.position)
        {
            self.deliver(&node.bytes, node.time, config, out);
            self.skip(node.cut, node.time, out);
        }
        let position = self.position;
        let Some(extra) = &mut self.extra else {
            return;
        };
        if extra.since_position != position {
            extra.hole_begins(position, now);
        }
        if extra.fin == Some(position) {
            self.flags |= FIN;
        }
        if extra.fin.is_some_and(|fin| fin <= position) {
            extra.fin = None;
        }
    }

    /// Delivers the bytes at the position.
    fn deliver(
        &mut self,
        bytes: &[u8],
        time: Timestamp,
        config: &ReassemblyConfig,
        out: &mut impl Output,
    ) {
        let start = self.position;
        self.advance(bytes.len() as u64);
        if config.compare_delivered != 0 && out.stats().memory < config.max_held / 2 {
            let delivered = &mut self.extra().delivered;
            delivered.push(start, bytes, config.compare_delivered);
        }
        let mut at = start;
        let piece = |from: u64, to: u64| &bytes[(from - start) as usize..(to - start) as usize];
        if let Some(extra) = &mut self.extra {
            if u64::from(extra.doubtful.end.wrapping_sub(extra.doubtful.start)) <= config.max_hole {
                extra.doubtful = 0..0;
            }
            extra.urgent.retain(|&place| place >= start);
            while let Some(&place) = extra.urgent.first()
                && place < self.position
            {
                extra.urgent.remove(0);
                out.stats().discarded.urgent += 1;
                if at < place {
                    out.data(at, time, piece(at, place));
                }
                at = place + 1;
            }
        }
        if at < self.position {
            out.data(at, time, piece(at, self.position));
        }
    }

    /// Reports bytes at the position that a snap length cut off, unless other segments have them.
    fn skip(&mut self, cut: u32, time: Timestamp, out: &mut impl Output) {
        if cut != 0 {
            let end = self.position + u64::from(cut);
            let held = self.extra.as_ref().and_then(|extra| extra.held.first());
            self.miss(held.map_or(end, |held| held.min(end)), time, out);
        }
    }

    /// Reports that the bytes up to a place are missing.
    pub(super) fn miss(&mut self, until: u64, time: Timestamp, out: &mut impl Output) {
        let (at, missing) = (self.position, until - self.position);
        if missing != 0 {
            self.advance(missing);
            out.gap(at, time, missing);
        }
    }

    /// Compares the first bytes of a segment, which are behind the position, with what was
    /// delivered.
    fn compare(&self, incoming: &Incoming<'_>, known: usize, out: &mut impl Output) {
        let behind = u64::from(self.next.wrapping_sub(incoming.sequence));
        // A keep-alive has one byte of any content.
        let probes = incoming.wire_len == 1 && behind == 1;
        if let Some(extra) = &self.extra
            && !probes
            && let Some(start) = self.position.checked_sub(behind)
            && let Some(range) = extra.delivered.differing(start, &incoming.bytes[..known])
        {
            out.inconsistent(range, incoming.time);
        }
    }

    /// The bytes that are held from the position on, as many as `most`.
    pub(in crate::reassembly) fn first_bytes(&self, most: usize, into: &mut Vec<u8>) {
        into.clear();
        let Some(extra) = &self.extra else {
            return;
        };
        let mut at = self.position;
        while into.len() < most
            && let Some(node) = extra.held.starting_at(at)
        {
            into.extend_from_slice(&node.bytes);
            at += node.bytes.len() as u64;
            if node.cut != 0 {
                break;
            }
        }
        into.truncate(most);
    }
}
