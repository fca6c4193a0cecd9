//! The bytes of one incomplete packet.

use std::ops::Range;

use crate::reassembly::OverlapPolicy;

/// The largest payload of an IP packet.
pub(super) const MAX_LEN: u32 = 65_535;

/// Bytes of a fragmented packet. If two fragments have bytes for the same place, a policy decides,
/// and the losing bytes are discarded: memory grows only with the bytes of the packet.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// The fragments seen, in order of arrival.
    bytes: Vec<u8>,
    /// By start; they do not overlap.
    runs: Vec<Run>,
    covered: u32,
    /// The end of the fragment that reaches furthest.
    reach: u32,
    /// Where the packet ends, once its last fragment has been seen.
    end: Option<u32>,
    /// Two fragments with the same bounds had different bytes.
    pub(super) repeated: bool,
}

/// A part of a fragment.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u16,
    end: u16,
    /// Where it is in the bytes.
    at: u32,
    /// The bounds of the fragment.
    owner: (u16, u16),
}

/// How to handle bytes that overlap earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlaps {
    /// The policy decides.
    Decided(OverlapPolicy),
    /// The packet is given up, unless the fragment is a mere repetition (RFC 5722).
    Refused,
}

/// Why a packet cannot be reassembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Fragments overlap.
    Overlaps,
    /// Two ends, bytes beyond the end, or more bytes than a packet can have.
    Contradiction,
}

impl Partial {
    /// Memory in bytes.
    pub(super) const fn memory(&self) -> usize {
        memory(self.bytes.capacity(), self.runs.capacity())
    }

    /// The most memory it can take after adding a fragment.
    pub(super) fn memory_with(&self, range: &Range<u32>) -> usize {
        let (bytes, runs) = self.capacities(range);
        memory(bytes, runs)
    }

    /// Adds a fragment with the bytes of `range`, which is not empty.
    pub(super) fn add(
        &mut self,
        range: &Range<u32>,
        bytes: &[u8],
        more: bool,
        overlaps: Overlaps,
    ) -> Result<(), Fault> {
        let end = if more { self.end } else { Some(range.end) };
        let reach = self.reach.max(range.end);
        if range.end > MAX_LEN
            || end.is_some_and(|end| reach > end)
            || self.end.is_some_and(|known| Some(known) != end)
        {
            return Err(Fault::Contradiction);
        }
        let (bytes_needed, runs_needed) = self.capacities(range);
        self.bytes.reserve_exact(bytes_needed - self.bytes.len());
        self.runs.reserve_exact(runs_needed - self.runs.len());
        let first = self.first_from(range.start);
        match (self.runs.get(first), overlaps) {
            (Some(run), Overlaps::Refused) if u32::from(run.start) < range.end => {
                let is_same = run.owner == bounds(range) && self.bytes_of(run) == bytes;
                return is_same.then_some(()).ok_or(Fault::Overlaps);
            }
            (Some(run), Overlaps::Decided(policy)) if u32::from(run.start) < range.end => {
                self.merge(first, range, bytes, policy);
            }
            _ => {
                let run = self.append(range, bytes, bounds(range));
                self.runs.insert(first, run);
            }
        }
        (self.end, self.reach) = (end, reach);
        Ok(())
    }

    /// Whether all of the packet is there.
    pub(super) fn is_complete(&self) -> bool {
        self.end == Some(self.covered)
    }

    /// Whether it has these bytes at this place.
    pub(super) fn has(&self, range: &Range<u32>, bytes: &[u8]) -> bool {
        let mut at = range.start;
        for run in &self.runs[self.first_from(range.start)..] {
            if at >= range.end || u32::from(run.start) > at {
                break;
            }
            let to = range.end.min(run.end.into());
            let own = &self.bytes_of(run)[(at - u32::from(run.start)) as usize..];
            let others = &bytes[(at - range.start) as usize..(to - range.start) as usize];
            if !own.starts_with(others) {
                return false;
            }
            at = to;
        }
        at >= range.end
    }

    /// Appends the bytes in their order.
    pub(super) fn copy_to(&self, whole: &mut Vec<u8>) {
        for run in &self.runs {
            whole.extend_from_slice(self.bytes_of(run));
        }
    }

    /// Adds a fragment that overlaps earlier runs, starting with `first`.
    fn merge(&mut self, first: usize, range: &Range<u32>, bytes: &[u8], policy: OverlapPolicy) {
        let mut merged = Vec::new();
        let (mut at, mut next) = (range.start, first);
        let part =
            |from: u32, to: u32| &bytes[(from - range.start) as usize..(to - range.start) as usize];
        while at < range.end {
            let run = self.runs.get(next).copied();
            let Some(run) = run.filter(|run| u32::from(run.start) <= at) else {
                // A hole.
                let to = run.map_or(range.end, |run| range.end.min(run.start.into()));
                let hole = at..to;
                merged.push(self.append(&hole, part(at, to), bounds(range)));
                at = to;
                continue;
            };
            let to = range.end.min(run.end.into());
            self.decide(run, at..to, part(at, to), range, policy, &mut merged);
            (at, next) = (to, next + 1);
        }
        self.runs.splice(first..next, merged);
    }

    /// Decides between the bytes of a run and those of a fragment in their common range.
    fn decide(
        &mut self,
        run: Run,
        common: Range<u32>,
        new: &[u8],
        fragment: &Range<u32>,
        policy: OverlapPolicy,
        merged: &mut Vec<Run>,
    ) {
        let (start, end) = (common.start as u16, common.end as u16);
        let at = run.at + u32::from(start - run.start);
        let old = &mut self.bytes[at as usize..at as usize + new.len()];
        self.repeated |= run.owner == bounds(fragment) && old != new;
        let owner = u32::from(run.owner.0)..u32::from(run.owner.1);
        if !policy.replaces_fragment(fragment, &owner) {
            merged.push(run);
            return;
        }
        old.copy_from_slice(new);
        if run.start < start {
            merged.push(Run { end: start, ..run });
        }
        merged.push(Run {
            start,
            end,
            at,
            owner: bounds(fragment),
        });
        if end < run.end {
            merged.push(Run {
                start: end,
                at: at + u32::from(end - start),
                ..run
            });
        }
    }

    fn append(&mut self, range: &Range<u32>, bytes: &[u8], owner: (u16, u16)) -> Run {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        self.covered += range.end - range.start;
        let (start, end) = bounds(range);
        Run {
            start,
            end,
            at,
            owner,
        }
    }

    fn bytes_of(&self, run: &Run) -> &[u8] {
        &self.bytes[run.at as usize..run.at as usize + usize::from(run.end - run.start)]
    }

    /// The first run that ends behind this place.
    fn first_from(&self, start: u32) -> usize {
        self.runs.partition_point(|run| u32::from(run.end) <= start)
    }

    /// The room for bytes and runs needed to add a fragment.
    fn capacities(&self, range: &Range<u32>) -> (usize, usize) {
        let len = self.bytes.len() + (range.end - range.start) as usize;
        let end = self
            .runs
            .partition_point(|run| u32::from(run.start) < range.end);
        let overlapped = end.saturating_sub(self.first_from(range.start));
        // Before, between and after the runs that it overlaps.
        let runs = self.runs.len() + overlapped + if overlapped == 0 { 1 } else { 2 };
        (
            grown(
                self.bytes.capacity(),
                len.min(MAX_LEN as usize),
                MAX_LEN as usize,
            ),
            grown(self.runs.capacity(), runs, usize::MAX),
        )
    }
}

const fn memory(bytes: usize, runs: usize) -> usize {
    bytes + runs * size_of::<Run>()
}

/// The capacity to allocate for this many: twice the previous one, but no more than `most`.
const fn grown(capacity: usize, needed: usize, most: usize) -> usize {
    if needed <= capacity {
        return capacity;
    }
    let twice = capacity.saturating_mul(2);
    let twice = if twice < most { twice } else { most };
    if needed > twice { needed } else { twice }
}

/// The bounds of a range that ends within a packet.
const fn bounds(range: &Range<u32>) -> (u16, u16) {
    (range.start as u16, range.end as u16)
}

#[cfg(test)]
mod tests;
