//! The times at which frames were sent.
//!
//! The kernel stamps every frame of the socket, and numbers them as it begins to send them. A frame
//! that it begins to send twice, because the queue of the interface was full, takes two numbers.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use netring_sys::kernel::packet::{
    SOF_TIMESTAMPING_OPT_ID, SOF_TIMESTAMPING_OPT_TSONLY, SOF_TIMESTAMPING_RAW_HARDWARE,
    SOF_TIMESTAMPING_SOFTWARE, SOF_TIMESTAMPING_TX_HARDWARE, SOF_TIMESTAMPING_TX_SOFTWARE,
};
use netring_sys::syscall::{SentTimestamp, receive_sent_timestamp, set_sent_timestamps};
use netring_sys::{Clock, SentTimestamps, SyscallError, Timestamp};

use crate::socket::TimestampSource;

/// Frames for which a timestamp is requested, from their commit to its arrival.
#[derive(Debug)]
pub(crate) struct Stamps {
    /// For each frame that waits in the ring, the caller's number.
    waiting: VecDeque<Option<u64>>,
    /// The kernel's number of the next frame.
    next: u32,
    /// The kernel's and the caller's numbers of frames that were taken.
    taken: VecDeque<(u32, u64)>,
    /// The most frames of which a timestamp is awaited.
    most: usize,
    timestamps: SentTimestamps,
}

impl Stamps {
    /// Frames that are sent in one call: the kernel drops timestamps for which the error queue of
    /// the socket has no room.
    pub(crate) const AT_ONCE: usize = 64;

    pub(crate) fn open(
        fd: BorrowedFd<'_>,
        source: TimestampSource,
        most: usize,
    ) -> Result<Self, SyscallError> {
        let software = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
        let clocks = match source {
            TimestampSource::RawHardware => {
                software | SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE
            }
            _ => software,
        };
        let form = SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
        set_sent_timestamps(fd, clocks | form)?;
        Ok(Self::new(most))
    }

    fn new(most: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            next: 0,
            taken: VecDeque::new(),
            most,
            timestamps: SentTimestamps::new(most),
        }
    }

    /// A frame was put into the ring.
    pub(crate) fn committed(&mut self, id: Option<u64>) {
        if id.is_some() {
            self.timestamps.requested();
        }
        self.waiting.push_back(id);
    }

    /// A frame was committed but is not sent.
    pub(crate) fn rejected(&mut self, id: Option<u64>) {
        if id.is_some() {
            self.timestamps.requested();
            self.timestamps.absent();
        }
    }

    /// The `nth` frame that waits was taken back.
    pub(crate) fn removed(&mut self, nth: usize) {
        if self.waiting.remove(nth).flatten().is_some() {
            self.timestamps.absent();
        }
    }

    /// The kernel took this many frames, and may then have begun to send another.
    pub(crate) fn taken(&mut self, count: usize, tried: bool) {
        for id in self.waiting.drain(..count.min(self.waiting.len())) {
            if let Some(id) = id {
                self.taken.push_back((self.next, id));
            }
            self.next = self.next.wrapping_add(1);
        }
        self.next = self.next.wrapping_add(u32::from(tried));
        while self.taken.len() > self.most {
            self.taken.pop_front();
            self.timestamps.absent();
        }
    }

    /// Takes the messages of the error queue.
    pub(crate) fn receive(&mut self, fd: BorrowedFd<'_>) -> Result<(), SyscallError> {
        while let Some(stamp) = receive_sent_timestamp(fd)? {
            self.arrived(&stamp);
        }
        Ok(())
    }

    fn arrived(&mut self, stamp: &SentTimestamp) {
        // The first, unless cards with several queues finish out of order.
        let Some(at) = self.taken.iter().position(|(key, _)| *key == stamp.key) else {
            return;
        };
        let Some(time) = time(stamp) else {
            return;
        };
        let Some((_, id)) = self.taken.remove(at) else {
            return;
        };
        self.timestamps.arrived(id, time);
    }

    /// The timestamps that arrived, and what became of the others.
    pub(crate) const fn timestamps(&self) -> &SentTimestamps {
        &self.timestamps
    }

    pub(crate) const fn timestamps_mut(&mut self) -> &mut SentTimestamps {
        &mut self.timestamps
    }
}

fn time(stamp: &SentTimestamp) -> Option<Timestamp> {
    let (time, clock) = match (stamp.hardware, stamp.software) {
        (Some(time), _) => (time, Clock::Hardware),
        (None, time) => (time?, Clock::Software),
    };
    let nanos = time.0.saturating_mul(1_000_000_000).saturating_add(time.1);
    Some(Timestamp::from_nanos(nanos, clock))
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::TransmitTimestamps;

    fn stamp(key: u32, software: Option<(i64, i64)>) -> SentTimestamp {
        SentTimestamp {
            key,
            software,
            hardware: None,
        }
    }

    #[test]
    fn every_timestamp_is_delivered_or_counted() {
        let mut stamps = Stamps::new(4);
        // Frames 100 to 107; the kernel tries the fourth twice, and every second is requested.
        for n in 0..8 {
            stamps.committed((n % 2 == 1).then_some(100 + n));
        }
        stamps.taken(3, true);
        stamps.taken(1, false);
        stamps.removed(1);
        assert_eq!(stamps.timestamps().stats().absent, 1);
        stamps.taken(3, false);
        for key in [1, 3, 4, 5, 7, 99] {
            stamps.arrived(&stamp(key, Some((1, i64::from(key)))));
        }
        // Numbers 1 and 4 are frames 101 and 103; 3 was the failed attempt; 107 has number 7.
        let came: Vec<_> = TransmitTimestamps::new(Some(stamps.timestamps_mut())).collect();
        let at = |nanos: i64| Timestamp::from_nanos(1_000_000_000 + nanos, Clock::Software);
        assert_eq!(came, [(101, at(1)), (103, at(4)), (107, at(7))]);
        stamps.rejected(Some(1));
        let stats = stamps.timestamps().stats();
        let figures = [
            stats.requested,
            stats.delivered,
            stats.waiting,
            stats.absent,
            stats.lost,
        ];
        assert_eq!(figures, [5, 3, 0, 2, 0]);
        assert_eq!(stats.pending, 0);
        assert_eq!(TransmitTimestamps::new(None).count(), 0);
    }

    #[test]
    fn timestamps_that_do_not_come_or_are_not_read_are_bounded() {
        let mut stamps = Stamps::new(4);
        for id in 0..20 {
            stamps.committed(Some(id));
        }
        stamps.taken(10, false);
        assert_eq!(
            (
                stamps.timestamps().stats().absent,
                stamps.timestamps().stats().pending
            ),
            (6, 14)
        );
        for key in 6..10 {
            stamps.arrived(&stamp(key, Some((i64::MAX, 1))));
        }
        stamps.taken(4, false);
        for key in 10..14 {
            stamps.arrived(&stamp(key, Some((1, 1))));
        }
        let stats = stamps.timestamps().stats();
        assert_eq!((stats.waiting, stats.lost, stats.pending), (4, 4, 6));
        stamps.arrived(&stamp(14, None));
    }
}
