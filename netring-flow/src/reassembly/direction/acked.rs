//! The receiver's acknowledgements beyond the next byte, with their times.

/// Acknowledgements that are remembered at once.
const MOST: usize = 32;

/// The minimum time between them, in nanoseconds, until there are too many: 1 ms.
const APART: i64 = 1_000_000;

/// The acknowledgements beyond the next byte, oldest first. The two directions may come from
/// separate rings, so a stream can be seconds behind its acknowledgements, and each byte has its
/// own time.
#[derive(Debug)]
pub(super) struct Acked {
    acks: Vec<Ack>,
    /// The minimum time between every second of them.
    apart: i64,
}

#[derive(Clone, Copy, Debug)]
struct Ack {
    /// All bytes before this place.
    place: u64,
    time: i64,
}

impl Acked {
    /// Notes that all bytes before a place were acknowledged. `position` is that of the next byte.
    pub(super) fn note(&mut self, place: u64, time: i64, position: u64) {
        let acks = &mut self.acks;
        acks.retain(|ack| ack.place > position);
        let last = acks.last().copied();
        if last.is_some_and(|last| last.place >= place) {
            return;
        }
        let time = last.map_or(time, |last| time.max(last.time));
        // A byte whose acknowledgement is forgotten gets the time of the next.
        if acks.is_empty() {
            self.apart = APART;
        } else if let [.., before, _] = acks[..]
            && time.saturating_sub(before.time) < self.apart
        {
            acks.pop();
        } else if acks.len() == MOST {
            self.apart = self.apart.saturating_mul(2);
            let mut number = 0;
            acks.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }
        acks.push(Ack { place, time });
    }

    /// The place before which all bytes were acknowledged.
    pub(super) fn place(&self) -> Option<u64> {
        self.acks.last().map(|ack| ack.place)
    }

    /// When the byte at a place was acknowledged.
    pub(super) fn since(&self, position: u64) -> Option<i64> {
        let ack = self.acks.iter().find(|ack| ack.place > position)?;
        Some(ack.time)
    }

    /// The place before which all bytes had been acknowledged by this time.
    pub(super) fn place_at(&self, time: i64) -> Option<u64> {
        let ack = self.acks.iter().rev().find(|ack| ack.time <= time)?;
        Some(ack.place)
    }

    /// Restarts the time of all.
    pub(super) fn restart(&mut self, now: i64) {
        for ack in &mut self.acks {
            ack.time = now;
        }
    }
}

impl Default for Acked {
    fn default() -> Self {
        Self {
            acks: Vec::new(),
            apart: APART,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_the_time_of_its_acknowledgement_or_a_later_one() {
        // An acknowledgement of 10 bytes every 20 µs, for 12 ms and for 4 s.
        for (acks, latest) in [(600, 1_100_000), (200_000, 600_000_000)] {
            let mut acked = Acked::default();
            for n in 1..=acks {
                acked.note(10 * n, 20_000 * n as i64, 0);
                assert!(acked.acks.len() <= MOST);
            }
            assert_eq!(acked.place(), Some(10 * acks));
            let mut last = 0;
            for byte in 0..10 * acks {
                let since = acked.since(byte).unwrap();
                let exact = 20_000 * (byte / 10 + 1) as i64;
                assert!(since >= exact.max(last), "{byte}: {since} {exact}");
                assert!(since <= exact + latest, "{byte}: {since} {exact}");
                assert!(acked.place_at(since) > Some(byte));
                assert!(acked.place_at(exact - 1).unwrap_or(0) <= byte);
                last = since;
            }
            assert_eq!(acked.since(10 * acks), None);
            acked.restart(5);
            assert_eq!(acked.since(0), Some(5));
            acked.note(10 * acks + 1, 6, 10 * acks);
            assert_eq!((acked.acks.len(), acked.since(10 * acks)), (1, Some(6)));
        }
    }
}
