//! The packets of a batch of one of two sources.

use crate::{Packet, PacketBatch};

/// A batch, or its packets, of the one source or the other.
#[derive(Debug)]
pub(crate) enum Either<A, B> {
    First(A),
    Second(B),
}

impl<A: PacketBatch, B: PacketBatch> PacketBatch for Either<A, B> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        match self {
            Self::First(batch) => Either::First(batch.packets()),
            Self::Second(batch) => Either::Second(batch.packets()),
        }
    }
}

impl<'a, A, B> Iterator for Either<A, B>
where
    A: Iterator<Item = Packet<'a>>,
    B: Iterator<Item = Packet<'a>>,
{
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        match self {
            Self::First(packets) => packets.next(),
            Self::Second(packets) => packets.next(),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::First(packets) => packets.size_hint(),
            Self::Second(packets) => packets.size_hint(),
        }
    }
}
