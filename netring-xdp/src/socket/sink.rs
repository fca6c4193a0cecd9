//! The transmitting half as a packet sink.

use netring_sys::{Error, PacketSink, PacketSlot, SinkStats};

use super::Transmitter;
use crate::transmit::TxHalf;

/// Room for one frame in the transmit ring; see [`PacketSlot`].
#[derive(Debug)]
#[must_use = "a slot that is not committed is not sent"]
pub struct Slot<'a> {
    half: &'a mut TxHalf,
    len: u32,
}

impl<'a> Slot<'a> {
    pub(crate) fn new(half: &'a mut TxHalf, len: usize) -> Result<Option<Self>, Error> {
        let max = half.shared.geometry().chunk_size() as usize;
        if len == 0 || len > max {
            half.refused += 1;
            return Err(Error::FrameLength { len, max });
        }
        let room = half.room() > 0;
        Ok(room.then_some(Self {
            half,
            len: len as u32,
        }))
    }
}

impl std::ops::Deref for Slot<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let region = self.half.shared.region();
        let token = self.half.pool.next();
        token.map_or(&[], |token| region.bytes(token, 0, self.len))
    }
}

impl std::ops::DerefMut for Slot<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let region = self.half.shared.region();
        match self.half.pool.next_mut() {
            Some(token) => region.bytes_mut(token, 0, self.len),
            None => &mut [],
        }
    }
}

impl PacketSlot for Slot<'_> {
    #[inline]
    fn commit(self) {
        // The slot is the next chunk of the pool: it leaves it only now.
        self.half.stage_next(self.len);
    }
}

impl PacketSink for Transmitter<'_> {
    type Slot<'a>
        = Slot<'a>
    where
        Self: 'a;

    fn room(&mut self) -> Result<usize, Error> {
        Ok(self.half.room() as usize)
    }

    #[inline]
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        Slot::new(&mut self.half, len)
    }

    fn flush(&mut self) -> Result<usize, Error> {
        self.half.flush().map(|left| left as usize)
    }

    fn stats(&mut self) -> Result<SinkStats, Error> {
        self.half.stats()
    }

    fn max_len(&self) -> usize {
        self.half.shared.geometry().chunk_size() as usize
    }

    fn pending(&mut self) -> Result<u64, Error> {
        Ok(self.half.pending())
    }
}
