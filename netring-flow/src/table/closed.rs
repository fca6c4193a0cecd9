//! The keys of recently closed connections.

use super::{Tag, Wheel};

/// How long a key is remembered, in places of the wheel: 240 s, twice the maximum segment lifetime
/// of RFC 9293.
const LATELY: u32 = (240_000_000_000_i64 >> Wheel::SHIFT) as u32;

/// Number of keys that are remembered: 512 KiB.
const PLACES: usize = 1 << 16;

/// A table of tags, each with the time of its last packet, in which newer entries replace older
/// ones.
///
/// Two keys with the same tag are not distinguished: with 65,536 keys remembered, a new one is
/// mistaken for another with a probability of 1 in 65,536, and the cost is one segment without
/// data.
#[derive(Debug, Default)]
pub(crate) struct RecentlyClosed {
    /// The tag above the time, which is 0 only in a free place. Empty until the first connection
    /// closes.
    places: Box<[u64]>,
}

impl RecentlyClosed {
    /// Remembers a key whose last packet arrived at this time of the wheel.
    pub(crate) fn remember(&mut self, tag: Tag, then: u32) {
        if self.places.is_empty() {
            self.places = vec![0; PLACES].into();
        }
        self.places[place(tag)] = u64::from(tag.0) << 32 | u64::from(then.max(1));
    }

    /// Whether a key was remembered recently.
    pub(crate) fn is_recent(&self, tag: Tag, now: u32) -> bool {
        self.places.get(place(tag)).is_some_and(|place| {
            *place != 0
                && (place >> 32) as u32 == tag.0
                && now.wrapping_sub(*place as u32) <= LATELY
        })
    }
}

/// Uses the low bits, because the index of the table uses the high ones.
const fn place(tag: Tag) -> usize {
    tag.0 as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_for_four_minutes_and_no_other() {
        let mut closed = RecentlyClosed::default();
        assert!(!closed.is_recent(Tag(7), 1000));
        closed.remember(Tag(7), 1000);
        assert!(closed.is_recent(Tag(7), 1000));
        assert!(closed.is_recent(Tag(7), 1000 + LATELY));
        assert!(!closed.is_recent(Tag(7), 1001 + LATELY));
        // Time went back since then.
        assert!(!closed.is_recent(Tag(7), 999));
        // The same place, another tag.
        assert!(!closed.is_recent(Tag(7 + (1 << 16)), 1000));
        closed.remember(Tag(7 + (1 << 16)), 1001);
        assert!(!closed.is_recent(Tag(7), 1001));
    }
}
