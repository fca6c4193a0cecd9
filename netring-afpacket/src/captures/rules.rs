//! Which interfaces are captured from, and which may join later.

use std::collections::{BTreeSet, VecDeque};

use netring_sys::Interface;

/// How many names are remembered, so that interfaces of ever new names take no more memory.
const REMEMBERED: usize = 1 << 16;

/// Which interfaces are captured from.
pub(super) enum Wanted {
    Names(Vec<String>),
    Matching(Box<dyn Fn(&Interface) -> bool + Send>),
}

impl Wanted {
    pub(super) fn matches(&self, interface: &Interface) -> bool {
        match self {
            Self::Names(names) => names.contains(&interface.name),
            Self::Matching(matches) => matches(interface),
        }
    }
}

/// Which interfaces are captured from, by index, and which may be, by name.
#[derive(Debug)]
pub(super) struct Rules {
    join: bool,
    reopen: bool,
    held: BTreeSet<u32>,
    /// The names of all that ever were, and in which order they came.
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Rules {
    pub(super) const fn new(join: bool, reopen: bool) -> Self {
        Self {
            join,
            reopen,
            held: BTreeSet::new(),
            known: BTreeSet::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn holds(&self, index: u32) -> bool {
        self.held.contains(&index)
    }

    pub(super) fn hold(&mut self, interface: &Interface) {
        self.held.insert(interface.index);
        self.remember(&interface.name);
    }

    fn remember(&mut self, name: &str) {
        if !self.known.insert(name.to_owned()) {
            return;
        }
        self.order.push_back(name.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// It is gone. Returns whether it was captured from.
    pub(super) fn release(&mut self, index: u32) -> bool {
        self.held.remove(&index)
    }

    /// Whether an interface of this name was ever captured from.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    pub(super) fn may_open(&self, name: &str) -> bool {
        match self.knows(name) {
            true => self.reopen,
            false => self.join,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_remembered_and_their_number_is_bounded() {
        let mut rules = Rules::new(true, false);
        for n in 0..REMEMBERED + 10 {
            assert!(rules.may_open(&n.to_string()));
            rules.remember(&n.to_string());
            rules.remember(&n.to_string());
        }
        assert_eq!(rules.known.len(), REMEMBERED);
        assert!(rules.knows("10") && !rules.knows("9"));
        assert!(rules.may_open("9") && !rules.may_open("10"));
    }
}
