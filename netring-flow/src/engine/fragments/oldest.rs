//! Packets by identity, with the oldest at hand.

use std::collections::{HashMap, VecDeque};

use crate::extract::Datagram;

/// A value for each packet, in insertion order.
#[derive(Debug)]
pub(super) struct Oldest<T> {
    /// The values are stored outside the table, which may have four times as many places as there
    /// are packets.
    entries: HashMap<Datagram, (u64, Box<T>)>,
    /// Includes packets removed since, up to half the number of entries.
    order: VecDeque<(u64, Datagram)>,
    added: u64,
}

/// The number of removed packets that may always stay in the order.
const SLACK: usize = 16;

impl<T> Oldest<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            added: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get_mut(&mut self, datagram: &Datagram) -> Option<&mut T> {
        self.entries
            .get_mut(datagram)
            .map(|(_, value)| &mut **value)
    }

    /// Adds a packet that is not in the table.
    pub(super) fn add(&mut self, datagram: Datagram, value: T) {
        self.added += 1;
        self.order.push_back((self.added, datagram));
        self.entries.insert(datagram, (self.added, Box::new(value)));
    }

    pub(super) fn remove(&mut self, datagram: &Datagram) -> Option<T> {
        let (_, value) = self.entries.remove(datagram)?;
        if self.order.len() > self.entries.len() / 2 * 3 + SLACK {
            let entries = &self.entries;
            self.order
                .retain(|(number, of)| entries.get(of).is_some_and(|entry| entry.0 == *number));
        }
        Some(*value)
    }

    /// The packet that was added first.
    pub(super) fn oldest(&mut self) -> Option<(Datagram, &mut T)> {
        loop {
            let (number, datagram) = *self.order.front()?;
            match self.entries.get(&datagram) {
                Some(entry) if entry.0 == number => break,
                _ => self.order.pop_front(),
            };
        }
        let (_, datagram) = *self.order.front()?;
        let (_, value) = self.entries.get_mut(&datagram)?;
        Some((datagram, value))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_oldest_is_that_of_a_list(
            steps in prop::collection::vec((0_u16..40, any::<bool>()), 0..300),
        ) {
            let any = Ipv4Addr::UNSPECIFIED;
            let mut oldest = Oldest::new();
            let mut list: Vec<u16> = Vec::new();
            for (id, add) in steps {
                let datagram = Datagram::v4(any, any, 17, id);
                let known = list.iter().position(|other| *other == id);
                if let Some(at) = known {
                    prop_assert_eq!(oldest.get_mut(&datagram), Some(&mut list[at]));
                    list.remove(at);
                }
                prop_assert_eq!(oldest.remove(&datagram), known.map(|_| id));
                if add {
                    oldest.add(datagram, id);
                    list.push(id);
                }
                let first = oldest.oldest().map(|(of, id)| (of.id() as u16, *id));
                prop_assert_eq!(first, list.first().map(|id| (*id, *id)));
                prop_assert_eq!(oldest.len(), list.len());
                prop_assert!(oldest.order.len() <= list.len() / 2 * 3 + SLACK + 1);
            }
        }
    }
}
