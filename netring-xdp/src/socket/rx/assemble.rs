//! Assembles packets that span several chunks: whole, or not at all.
#![deny(unsafe_code)]

use std::ops::Range;

use crate::memory::geometry::ByteRange;

/// The packets of one batch. Those in one chunk stay where they are; the others are copied
/// together, because a packet is one slice.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    pieces: Vec<Piece>,
    scratch: Vec<u8>,
    /// Where the packet that is being assembled starts in the scratch; `None` between packets.
    open: Option<usize>,
    /// One of its fragments was not inside.
    broken: bool,
    /// The first fragment, if it is inside; it is copied only if a second one follows.
    first: Option<ByteRange>,
}

/// Where a packet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// In one chunk.
    InRing(ByteRange),
    /// In the scratch; and where its first fragment is.
    Copied(Range<usize>, ByteRange),
}

impl Assembly {
    /// Begins a batch.
    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.scratch.clear();
        self.open = None;
        self.broken = false;
        self.first = None;
    }

    /// Adds the next entry: its bytes, `None` if it points outside, and whether the packet
    /// continues in the entry behind it.
    pub(crate) fn add(&mut self, fragment: Option<(ByteRange, &[u8])>, continues: bool) {
        let single = self.open.is_none() && !continues;
        let start = *self.open.get_or_insert(self.scratch.len());
        match fragment {
            Some((span, bytes)) => {
                self.first.get_or_insert(span);
                if !single {
                    self.scratch.extend_from_slice(bytes);
                }
            }
            None => self.broken = true,
        }
        if continues {
            return;
        }
        match self.first.take() {
            Some(span) if !self.broken => self.pieces.push(match single {
                true => Piece::InRing(span),
                false => Piece::Copied(start..self.scratch.len(), span),
            }),
            _ => self.scratch.truncate(start),
        }
        self.open = None;
        self.broken = false;
    }

    /// Ends a batch: a packet without an end is dropped.
    pub(crate) fn end(&mut self) {
        if let Some(start) = self.open.take() {
            self.scratch.truncate(start);
        }
        self.first = None;
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(crate) fn scratch(&self) -> &[u8] {
        &self.scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u64) -> ByteRange {
        ByteRange {
            chunk: 0,
            start,
            len: 2,
        }
    }

    /// The packets of a batch of entries: the bytes of each (`None`: outside), and whether it
    /// continues.
    fn assembled(entries: &[(Option<&[u8]>, bool)]) -> Vec<Vec<u8>> {
        let mut assembly = Assembly::default();
        for _ in 0..2 {
            assembly.clear();
            for (n, (bytes, continues)) in entries.iter().enumerate() {
                assembly.add(bytes.map(|bytes| (span(n as u64), bytes)), *continues);
            }
            assembly.end();
        }
        let packets = assembly.pieces().iter().map(|piece| match piece {
            Piece::InRing(span) => entries[span.start as usize].0.unwrap().to_vec(),
            Piece::Copied(range, first) => {
                let bytes = entries[first.start as usize].0.unwrap();
                let packet = &assembly.scratch()[range.clone()];
                assert!(packet.starts_with(bytes), "its own first fragment");
                packet.to_vec()
            }
        });
        packets.collect()
    }

    #[test]
    fn x14_a_packet_is_whole_or_not_there() {
        let got = assembled(&[
            (Some(b"ab"), false),
            (Some(b"cd"), true),
            (Some(b"ef"), true),
            (Some(b"g"), false),
            (Some(b"hi"), false),
        ]);
        assert_eq!(got, [b"ab".to_vec(), b"cdefg".to_vec(), b"hi".to_vec()]);
        // One bad fragment, at the front, in the middle, at the end: that packet only.
        for bad in 0..3 {
            let mut entries = [
                (Some(&b"ab"[..]), true),
                (Some(b"cd"), true),
                (Some(b"ef"), false),
                (Some(b"gh"), false),
            ];
            entries[bad].0 = None;
            assert_eq!(assembled(&entries), [b"gh".to_vec()], "{bad}");
        }
        assert!(assembled(&[(None, false)]).is_empty());
        assert!(assembled(&[(Some(b"ab"), true)]).is_empty());
    }
}
