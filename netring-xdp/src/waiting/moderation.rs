//! Lets packets gather before a wait, as network cards moderate their interrupts.
//!
//! A reader that is faster than its packets waits between any two of them, and each wait is a
//! system call and a wake-up. If packets arrive fast enough, it first sleeps for a moment, and then
//! finds many. Nothing here waits: the caller passes the time, and gets how long to sleep.

use std::time::{Duration, Instant};

/// Packets that make a sleep worthwhile.
const USEFUL: u64 = 8;
/// The most short rounds between two sleeps that were not worthwhile.
const LONGEST_HOLD: u32 = 64;
/// How much longer than requested a sleep may take: the kernel's timer slack (`PR_SET_TIMERSLACK`),
/// and a little for the wake-up.
const LATE: Duration = Duration::from_micros(60);

/// Decides how long packets gather. A round is a wait and the processing of its packets until the
/// next one.
#[derive(Debug)]
pub(crate) struct Moderation {
    interval: Duration,
    /// When the round began, and how many packets had come by then.
    began: Option<(Instant, u64)>,
    /// The round began with a sleep.
    slept: bool,
    /// Short rounds in a row, and how many of them the next sleep takes.
    short: u32,
    hold: u32,
}

impl Moderation {
    /// With sleeps of `interval`; none if that is zero.
    pub(crate) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            began: None,
            slept: false,
            short: 0,
            hold: 0,
        }
    }

    pub(crate) const fn interval(&self) -> Duration {
        self.interval
    }

    /// A wait begins, because there is no packet. Returns how long to sleep before looking again;
    /// `seen` packets have come so far, and `room` more fit into the rings.
    pub(crate) fn sleep(&mut self, now: Instant, seen: u64, room: u32) -> Option<Duration> {
        if self.interval.is_zero() {
            return None;
        }
        let (began, before) = self.began.replace((now, seen))?;
        let packets = seen.saturating_sub(before);
        let time = nanos(now.saturating_duration_since(began));
        let interval = nanos(self.interval);
        let wanted = if !self.slept {
            let short = packets > 0 && time < interval;
            self.short = if short { self.short + 1 } else { 0 };
            self.short > self.hold
        } else if packets >= USEFUL {
            // As long as more than one comes in an interval.
            self.hold = 0;
            time < interval.saturating_mul(packets)
        } else {
            // Perhaps an exchange of single packets, each an answer: do not disturb it, for longer
            // each time.
            self.hold = (self.hold * 2).clamp(1, LONGEST_HOLD);
            false
        };
        // Three quarters of the room stay free, if packets keep their rate.
        let most =
            nanos(self.interval.saturating_add(LATE)).saturating_mul(packets.saturating_mul(4));
        self.slept = wanted && most <= time.saturating_mul(u64::from(room));
        if wanted {
            self.short = 0;
        }
        self.slept.then_some(self.interval)
    }
}

/// Anything above 584 years counts as 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);
    const INTERVAL: Duration = Duration::from_micros(50);

    /// Rounds of a fast reader: how many packets come in each, and how long it lasts without a
    /// sleep. Returns which of them begin with one. A sleep takes twice as long as requested.
    fn rounds(
        moderation: &mut Moderation,
        room: u32,
        rounds: impl IntoIterator<Item = (u64, Duration)>,
    ) -> Vec<bool> {
        let (mut now, mut seen) = (Instant::now(), 0);
        let mut slept = Vec::new();
        for (packets, time) in rounds {
            let sleep = moderation.sleep(now, seen, room);
            slept.push(sleep.is_some());
            // Plus those that come during the sleep.
            let more = sleep.map_or(0, |sleep| (sleep * 2).as_nanos() / time.as_nanos());
            now += time + sleep.unwrap_or_default() * 2;
            seen += packets * (1 + more as u64);
        }
        slept
    }

    fn sleeps(slept: &[bool]) -> usize {
        slept.iter().filter(|slept| **slept).count()
    }

    #[test]
    fn packets_that_come_one_by_one_and_fast_are_let_gather() {
        let mut moderation = Moderation::new(INTERVAL);
        // 800 000 a second.
        let slept = rounds(&mut moderation, 2048, [(1, US * 5 / 4); 100]);
        assert!(!slept[0]);
        assert_eq!(sleeps(&slept), 99);
    }

    #[test]
    fn packets_that_come_slowly_are_not_waited_with() {
        for time in [50, 51, 100, 1000, 1_000_000] {
            let mut moderation = Moderation::new(INTERVAL);
            let slept = rounds(&mut moderation, 2048, [(1, US * time); 100]);
            assert_eq!(sleeps(&slept), 0, "{time}");
        }
    }

    #[test]
    fn an_exchange_of_single_packets_is_left_alone() {
        let mut moderation = Moderation::new(INTERVAL);
        let (mut now, mut sleeps) = (Instant::now(), 0);
        // One comes after the last one was answered, and not before, however long that sleeps.
        for seen in 0..6500 {
            let sleep = moderation.sleep(now, seen, 2048);
            sleeps += u32::from(sleep.is_some());
            now += US * 10 + sleep.unwrap_or_default() * 2;
        }
        assert!(sleeps < 110, "{sleeps}");
    }

    #[test]
    fn a_ring_is_never_let_fill() {
        for (room, time, allowed) in [
            (2048, US, true),
            (2048, US / 4, true),
            (2048, US / 8, false),
            (256, US, false),
            (512, US, true),
            (16, US * 20, false),
        ] {
            let mut moderation = Moderation::new(INTERVAL);
            let slept = rounds(&mut moderation, room, [(1, time); 10]);
            assert_eq!(sleeps(&slept) > 0, allowed, "{room} {time:?}");
        }
    }

    #[test]
    fn who_asks_often_and_finds_nothing_is_not_kept_waiting() {
        let mut moderation = Moderation::new(INTERVAL);
        assert_eq!(sleeps(&rounds(&mut moderation, 2048, [(0, US); 100])), 0);
    }

    #[test]
    fn an_interval_longer_than_any_clock_has_is_no_panic() {
        let mut moderation = Moderation::new(Duration::MAX);
        assert_eq!(sleeps(&rounds(&mut moderation, 2048, [(1, US); 100])), 0);
    }

    #[test]
    fn zero_turns_it_off() {
        let mut moderation = Moderation::new(Duration::ZERO);
        assert_eq!(sleeps(&rounds(&mut moderation, 2048, [(1, US); 100])), 0);
    }
}
