//! A sink that stores what is sent, and a source of given packets.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

use netring::{
    Clock, Error, LinkType, Packet, PacketBatch, PacketBuf, PacketSink, PacketSlot, PacketSource,
    Readiness, SinkStats, Stats, Timestamp,
};

/// Stores what is sent. It has room for this many frames until the next flush.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) sent: Vec<Vec<u8>>,
    waiting: Vec<Vec<u8>>,
    pub(super) depth: usize,
    max: usize,
    /// The results of the next flushes.
    pub(super) errors: VecDeque<Error>,
    pub(super) flushes: u64,
    /// One of how many flushes sends.
    pub(super) every: u64,
}

pub(super) struct Slot<'a>(&'a mut Wire, Vec<u8>);

impl Deref for Slot<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.1
    }
}
impl DerefMut for Slot<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.1
    }
}
impl PacketSlot for Slot<'_> {
    fn commit(self) {
        self.0.waiting.push(self.1);
    }
}

impl PacketSink for Wire {
    type Slot<'a> = Slot<'a>;

    fn room(&mut self) -> Result<usize, Error> {
        Ok(self.depth - self.waiting.len())
    }
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        if !(1..=self.max).contains(&len) {
            return Err(Error::FrameLength { len, max: self.max });
        }
        // The previous content of the slot.
        let old = vec![0xa5; len];
        Ok((self.waiting.len() < self.depth).then_some(Slot(self, old)))
    }
    fn flush(&mut self) -> Result<usize, Error> {
        self.flushes += 1;
        if let Some(error) = self.errors.pop_front() {
            return Err(error);
        }
        if self.flushes.is_multiple_of(self.every) {
            self.sent.append(&mut self.waiting);
        }
        Ok(self.waiting.len())
    }
    fn stats(&mut self) -> Result<SinkStats, Error> {
        let sent = self.sent.len() as u64;
        Ok(SinkStats::counted(sent + self.waiting.len() as u64, sent))
    }
    fn max_len(&self) -> usize {
        self.max
    }
}

pub(super) fn wire() -> Wire {
    Wire {
        depth: 4,
        max: 9000,
        every: 1,
        ..Wire::default()
    }
}

/// Lends all packets in one batch, and then ends or fails.
pub(super) struct Given {
    packets: Vec<PacketBuf>,
    is_lent: bool,
    pub(super) end: Option<Error>,
}

pub(super) struct Lent<'a>(&'a [PacketBuf]);

impl PacketBatch for Lent<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.iter().map(PacketBuf::as_packet)
    }
}

impl PacketSource for Given {
    type Batch<'a> = Lent<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        match (self.is_lent, self.end.take()) {
            (false, end) => {
                self.end = end;
                Ok(Readiness::Ready)
            }
            (true, Some(error)) => Err(error),
            (true, None) => Ok(Readiness::Ended),
        }
    }
    fn batch(&mut self) -> Lent<'_> {
        self.is_lent = true;
        Lent(&self.packets)
    }
    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(Stats::counted(self.packets.len() as u64))
    }
    fn is_live(&self) -> bool {
        false
    }
}

pub(super) fn given(packets: impl IntoIterator<Item = PacketBuf>) -> Given {
    Given {
        packets: packets.into_iter().collect(),
        is_lent: false,
        end: None,
    }
}

pub(super) fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos, Clock::Unknown)
}

pub(super) fn ethernet(frame: &[u8]) -> Packet<'_> {
    Packet::new(frame, at(0), LinkType::ETHERNET)
}
