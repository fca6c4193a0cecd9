//! Sends frames at a given rate.

use std::os::fd::AsFd;
use std::time::Duration;

use super::blocking;
use super::schedule::Schedule;
use crate::{Error, PacketSink};

/// Paces the frames of any sink: at a rate in packets or bits per second.
///
/// The rate is exact in the long run: each frame has its time on a schedule in whole nanoseconds,
/// to which remainders are carried over, so that nothing is rounded away. A late frame does not
/// delay those after it. The pacer never busy-waits: it sleeps until the next frame is due, wakes
/// up about 60 µs late, and then sends all due frames together. At 10,000 packets a second and
/// below that is one at a time.
///
/// A delayed sender catches up at most 100 ms ([`catch_up`](Self::catch_up)): the largest burst is
/// that time at the rate, plus one frame. Time beyond that is not caught up, but counted
/// ([`lost`](Self::lost)).
///
/// ```no_run
/// use std::os::fd::AsFd;
/// use netring_sys::{Error, PacketSink, wait};
///
/// fn replay(sink: &mut (impl PacketSink + AsFd), frames: &[Vec<u8>]) -> Result<(), Error> {
///     let mut pacer = wait::Pacer::packets_per_second(10_000)?;
///     for frame in frames {
///         pacer.send(sink, frame)?;
///     }
///     wait::drain(sink, None)?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Pacer {
    /// Units a second.
    rate: u64,
    /// Whether the units are bits.
    bits: bool,
    overhead: usize,
    schedule: Schedule,
    /// What is left of a nanosecond, in fractions of the rate.
    remainder: u64,
}

const NANOS: u64 = 1_000_000_000;
/// The highest rate: 10 Tbit a second. With a frame of at most 1 GiB, nothing overflows.
const MOST: u64 = 10_000_000_000_000;
const LONGEST: usize = 1 << 30;

impl Pacer {
    /// Creates a pacer for this many frames a second, of any length.
    ///
    /// # Errors
    /// [`Error::Config`] for 0, and for more than 10¹³.
    pub fn packets_per_second(packets: u64) -> Result<Self, Error> {
        Self::new(packets, false)
    }

    /// Creates a pacer for this many bits a second of frames as passed to the sink. For bits on the
    /// wire, set the overhead that the link adds to each ([`overhead`](Self::overhead)).
    ///
    /// # Errors
    /// [`Error::Config`] for 0, and for more than 10¹³.
    pub fn bits_per_second(bits: u64) -> Result<Self, Error> {
        Self::new(bits, true)
    }

    fn new(rate: u64, bits: bool) -> Result<Self, Error> {
        if rate == 0 || rate > MOST {
            return Err(Error::Config {
                setting: "Pacer",
                why: format!("{rate} a second; must be from 1 to {MOST}"),
            });
        }
        Ok(Self {
            rate,
            bits,
            overhead: 0,
            schedule: Schedule::new(),
            remainder: 0,
        })
    }

    /// Bytes that the link adds to each frame, which count for a rate in bits: 24 on Ethernet, for
    /// preamble, checksum and gap. Default: 0.
    #[must_use]
    pub const fn overhead(mut self, bytes: usize) -> Self {
        self.overhead = bytes;
        self
    }

    /// How much delay of the sender is caught up. Default: 100 ms. It bounds bursts: this time at
    /// the rate, plus one frame.
    #[must_use]
    pub fn catch_up(mut self, time: Duration) -> Self {
        self.schedule = self.schedule.catch_up(time);
        self
    }

    /// Sends one frame when it is due: sleeps until then, after flushing those before it, and waits
    /// for room if necessary. The frame itself is sent by the next call that sleeps, or the next
    /// [`flush`](PacketSink::flush).
    ///
    /// # Errors
    /// The errors of [`wait::send`](super::send). The frame was not sent, and its time is not used
    /// up.
    pub fn send<S: PacketSink + AsFd>(&mut self, sink: &mut S, frame: &[u8]) -> Result<(), Error> {
        loop {
            let left = self.until_due();
            if left.is_zero() {
                break;
            }
            sink.flush()?;
            std::thread::sleep(left);
        }
        blocking::send(sink, frame, None)?;
        self.sent(frame.len());
        Ok(())
    }

    /// The time until the next frame is due; zero if it is due. The first one is due at once.
    ///
    /// Together with [`sent`](Self::sent), this paces any sender.
    pub fn until_due(&mut self) -> Duration {
        self.schedule.until_due()
    }

    /// Notes that a frame of `len` bytes was sent, which moves the time of the next one.
    pub fn sent(&mut self, len: usize) {
        let units = match self.bits {
            true => len.saturating_add(self.overhead).min(LONGEST) as u64 * 8,
            false => 1,
        };
        let numerator = units * NANOS + self.remainder;
        self.schedule.add_nanos(numerator / self.rate);
        self.remainder = numerator % self.rate;
    }

    /// How late the next frame is, when the clock was last read; zero if it was not due.
    pub const fn late(&self) -> Duration {
        self.schedule.late()
    }

    /// Time that was not caught up, because the sender was delayed by more than
    /// [`catch_up`](Self::catch_up). While it is zero, the rate was kept.
    pub const fn lost(&self) -> Duration {
        self.schedule.lost()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// When each of so many frames is due.
    fn schedule(pacer: &mut Pacer, count: usize, len: usize) -> Vec<u64> {
        pacer.schedule.start = Some(Instant::now());
        let due = |pacer: &mut Pacer| {
            let due = pacer.schedule.due;
            pacer.sent(len);
            due
        };
        (0..count).map(|_| due(pacer)).collect()
    }

    #[test]
    fn a_rate_that_does_not_divide_a_second_does_not_drift() {
        let mut pacer = Pacer::packets_per_second(3).unwrap();
        assert_eq!(
            schedule(&mut pacer, 4, 60),
            [0, 333_333_333, 666_666_666, NANOS]
        );
        for rate in [7, 9_999, 123_457, 999_999_937, 1_488_095_238] {
            let mut pacer = Pacer::packets_per_second(rate).unwrap();
            let count = 1_000_000;
            schedule(&mut pacer, count, 60);
            let exact = count as u128 * u128::from(NANOS) / u128::from(rate);
            assert_eq!(u128::from(pacer.schedule.due), exact, "{rate}");
        }
        // 1514 bytes and 24 of overhead at 1 Gbit/s: 12.304 µs each.
        let mut pacer = Pacer::bits_per_second(1_000_000_000).unwrap().overhead(24);
        assert_eq!(schedule(&mut pacer, 3, 1514), [0, 12_304, 24_608]);
    }

    #[test]
    fn a_sender_that_was_late_makes_up_for_a_bounded_time() {
        let mut pacer = Pacer::packets_per_second(1000).unwrap();
        pacer = pacer.catch_up(Duration::from_millis(10));
        pacer.schedule.start = Some(Instant::now());
        let burst = |pacer: &mut Pacer, now| {
            let mut count = 0;
            while pacer
                .schedule
                .until_due_at(Duration::from_nanos(now))
                .is_zero()
            {
                pacer.sent(60);
                count += 1;
            }
            count
        };
        assert_eq!(burst(&mut pacer, 0), 1);
        // The next one is due after 1 ms.
        pacer.schedule.until_due_at(Duration::from_nanos(1_000_250));
        assert_eq!(pacer.late(), Duration::from_nanos(250));
        pacer.schedule.until_due_at(Duration::ZERO);
        assert_eq!(pacer.late(), Duration::ZERO);
        // 5 ms late: all of them are made up for.
        assert_eq!(burst(&mut pacer, 5_500_000), 5);
        assert_eq!(pacer.lost(), Duration::ZERO);
        // 100 ms late: those of 10 ms, and one.
        assert_eq!(burst(&mut pacer, 106_000_000), 11);
        assert_eq!(pacer.lost(), Duration::from_millis(90));
        assert_eq!(burst(&mut pacer, 107_000_000), 1);
        let mut strict = Pacer::packets_per_second(1000)
            .unwrap()
            .catch_up(Duration::ZERO);
        strict.schedule.start = pacer.schedule.start;
        assert_eq!(burst(&mut strict, 50_000_000), 1);
        // Times and lengths that no schedule has.
        for now in [u64::MAX, 0, u64::MAX] {
            strict.schedule.until_due_at(Duration::from_nanos(now));
            strict.sent(usize::MAX);
        }
        let mut bits = Pacer::bits_per_second(1).unwrap();
        (0..5).for_each(|_| bits.sent(usize::MAX));
        let mut fast = Pacer::bits_per_second(MOST).unwrap().overhead(usize::MAX);
        (0..5).for_each(|_| fast.sent(usize::MAX));
    }

    #[test]
    fn a_rate_of_nothing_is_refused() {
        for rate in [0, MOST + 1, u64::MAX] {
            for refused in [
                Pacer::packets_per_second(rate),
                Pacer::bits_per_second(rate),
            ] {
                let error = refused.unwrap_err().to_string();
                assert!(error.contains("from 1 to"), "{error}");
            }
        }
    }
}
