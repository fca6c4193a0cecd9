//! The interfaces of a network namespace by their indexes, kept up to date.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::os::netlink::{self, BUFFER, Message, RTMGRP_LINK};
use crate::syscall::{netlink_receive, netlink_socket};
use crate::{Error, SyscallError};

/// How many names of removed interfaces are kept for their last packets.
const KEPT: usize = 1024;

/// The names of all interfaces of a network namespace, by index, and how they change.
///
/// A packet carries the [index](crate::Meta::interface) of its interface. The table finds the name
/// without a system call, unless the interface is one that it does not know yet: then it reads the
/// kernel's notifications. The name of a removed interface is kept for its last packets, until 1024
/// others were removed after it.
///
/// ```
/// use netring_sys::wait::InterfaceTable;
///
/// let mut table = InterfaceTable::new()?;
/// assert_eq!(table.name(1), Some("lo"));
/// assert_eq!(table.name(0), None);
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// Names change. [`update`](Self::update) reads the changes, and reports each; the descriptor
/// ([`AsFd`]) is readable when there are any.
#[doc(alias = "if_indextoname")]
#[derive(Debug)]
pub struct InterfaceTable {
    notifications: OwnedFd,
    /// For lists. Like the other socket, it is in the namespace in which the table was made,
    /// whichever thread updates it.
    list: OwnedFd,
    /// Its pages are allocated only as far as notifications have filled them.
    buffer: Box<[u8]>,
    /// Notifications were lost, and the list was not read since.
    lost: bool,
    names: Names,
}

/// A change that [`InterfaceTable::update`] read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceChange<'a> {
    /// An interface was created, or moved into the namespace.
    Appeared {
        /// Its index.
        index: u32,
        /// Its name.
        name: &'a str,
    },
    /// An interface has another name.
    Renamed {
        /// Its index.
        index: u32,
        /// The name that it had.
        from: &'a str,
        /// Its name now.
        to: &'a str,
    },
    /// An interface was removed, or moved out of the namespace.
    Removed {
        /// The index that it had.
        index: u32,
        /// The name that it had.
        name: &'a str,
    },
}

impl InterfaceTable {
    /// Reads the interfaces of this thread's network namespace, and follows them from now on, even
    /// from threads in other namespaces. For another namespace, call it inside
    /// [`Namespace::run`](crate::Namespace::run).
    ///
    /// # Errors
    /// The failed call, including one that a sandbox forbids (netlink); `EAGAIN` if interfaces come
    /// and go so fast that no complete list can be read within a second.
    pub fn new() -> Result<Self, Error> {
        // Notifications first, so that no change after the list is missed.
        let mut table = Self {
            notifications: netlink_socket(RTMGRP_LINK)?,
            list: netlink_socket(0)?,
            buffer: vec![0; BUFFER].into(),
            lost: true,
            names: Names::default(),
        };
        table.update(|_| {})?;
        Ok(table)
    }

    /// The name of the interface with this index, as of the last [`update`](Self::update) or the
    /// last index that was not known. `None` if there is none, and if the kernel's notifications
    /// cannot be read.
    pub fn name(&mut self, index: u32) -> Option<&str> {
        if index != 0 && !self.names.by_index.contains_key(&index) {
            self.update(|_| {}).ok()?;
        }
        let entry = self.names.by_index.get(&index)?;
        Some(&entry.name)
    }

    /// The interfaces that exist, with their indexes, as of the last [`update`](Self::update).
    pub fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        let there = self.names.by_index.iter().filter(|(_, entry)| !entry.gone);
        there.map(|(index, entry)| (*index, entry.name.as_str()))
    }

    /// Reads what has changed since the last call, and calls `changed` with each change, in order.
    /// Never blocks for long: if the kernel lost notifications, all interfaces are read again, and
    /// the differences are the changes; an interface that came and went meanwhile is not reported.
    ///
    /// # Errors
    /// The failed call. The changes are not lost: the next call reads them.
    pub fn update(&mut self, mut changed: impl FnMut(InterfaceChange<'_>)) -> Result<(), Error> {
        loop {
            match netlink_receive(self.notifications.as_fd(), &mut self.buffer) {
                Ok(Some(len)) => {
                    for message in netlink::messages(&self.buffer[..len]) {
                        self.names.take(&message, &mut changed);
                    }
                }
                // Notifications still in the queue are older than the list, which therefore comes
                // last.
                Ok(None) if self.lost => return Ok(self.read_all(&mut changed)?),
                Ok(None) => return Ok(()),
                Err(error) if error.is(libc::ENOBUFS) || error.is(libc::EMSGSIZE) => {
                    self.lost = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read_all(
        &mut self,
        changed: &mut impl FnMut(InterfaceChange<'_>),
    ) -> Result<(), SyscallError> {
        let list = self.list.as_fd();
        let mut all = netlink::ask_all(list, |link| (link.index, text(link.name)))?;
        all.sort_unstable();
        self.lost = false;
        self.names.replace(&all, changed);
        Ok(())
    }
}

/// Readable when [`update`](InterfaceTable::update) has something to read.
impl AsFd for InterfaceTable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notifications.as_fd()
    }
}

/// The names, independent of any socket.
#[derive(Debug, Default)]
struct Names {
    by_index: BTreeMap<u32, Entry>,
    /// Removed interfaces, the longest gone first.
    gone: VecDeque<u32>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    gone: bool,
}

impl Names {
    fn take(&mut self, message: &Message<'_>, changed: &mut impl FnMut(InterfaceChange<'_>)) {
        match message {
            Message::Link(link) => self.set(link.index, &text(link.name), changed),
            Message::Removed(link) => self.remove(link.index, changed),
            Message::Refused { .. } => {}
        }
    }

    /// The interfaces that exist are these, sorted by index.
    fn replace(&mut self, all: &[(u32, String)], changed: &mut impl FnMut(InterfaceChange<'_>)) {
        let is_there = |index| {
            all.binary_search_by_key(&index, |(index, _)| *index)
                .is_ok()
        };
        let known: Vec<u32> = self.by_index.keys().copied().collect();
        for index in known.into_iter().filter(|&index| !is_there(index)) {
            self.remove(index, changed);
        }
        for (index, name) in all {
            self.set(*index, name, changed);
        }
    }

    fn set(&mut self, index: u32, name: &str, changed: &mut impl FnMut(InterfaceChange<'_>)) {
        let entry = self.by_index.get_mut(&index).filter(|entry| !entry.gone);
        match entry {
            Some(entry) if entry.name == name => {}
            Some(entry) => {
                let from = std::mem::replace(&mut entry.name, name.to_owned());
                changed(InterfaceChange::Renamed {
                    index,
                    from: &from,
                    to: name,
                });
            }
            None => {
                let (name, gone) = (name.to_owned(), false);
                self.gone.retain(|&other| other != index);
                self.by_index.insert(index, Entry { name, gone });
                let name = &self.by_index[&index].name;
                changed(InterfaceChange::Appeared { index, name });
            }
        }
    }

    fn remove(&mut self, index: u32, changed: &mut impl FnMut(InterfaceChange<'_>)) {
        let Some(entry) = self.by_index.get_mut(&index).filter(|entry| !entry.gone) else {
            return;
        };
        entry.gone = true;
        let name = &entry.name;
        changed(InterfaceChange::Removed { index, name });
        self.gone.push_back(index);
        if self.gone.len() > KEPT
            && let Some(oldest) = self.gone.pop_front()
        {
            self.by_index.remove(&oldest);
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(names: &mut Names, all: &[(u32, &str)]) -> Vec<String> {
        let mut seen = Vec::new();
        let all: Vec<_> = all.iter().map(|(i, n)| (*i, (*n).to_owned())).collect();
        names.replace(&all, &mut |change| {
            seen.push(match change {
                InterfaceChange::Appeared { index, name } => format!("+{index} {name}"),
                InterfaceChange::Renamed { index, from, to } => format!("{index} {from} {to}"),
                InterfaceChange::Removed { index, name } => format!("-{index} {name}"),
            });
        });
        seen
    }

    #[test]
    fn the_differences_between_two_lists_are_the_changes() {
        let mut names = Names::default();
        let first = [(1, "lo"), (2, "a"), (3, "b")];
        assert_eq!(changes(&mut names, &first), ["+1 lo", "+2 a", "+3 b"]);
        assert_eq!(changes(&mut names, &first), [""; 0]);
        let second = [(1, "lo"), (2, "c"), (4, "b")];
        assert_eq!(changes(&mut names, &second), ["-3 b", "2 a c", "+4 b"]);
        assert_eq!(names.by_index[&3].name, "b");
        // The administrator may give an index again.
        assert_eq!(changes(&mut names, &[(3, "d")]).last().unwrap(), "+3 d");
    }

    #[test]
    fn names_of_removed_interfaces_are_bounded() {
        let mut names = Names::default();
        let count = KEPT as u32 + 100;
        for index in 1..=count {
            names.set(index, "veth", &mut |_| {});
            names.remove(index, &mut |_| {});
            // Once only.
            names.remove(index, &mut |_| panic!("it is gone"));
        }
        assert_eq!(names.by_index.len(), KEPT);
        assert!(names.by_index.contains_key(&count));
        assert!(!names.by_index.contains_key(&100));
        // One that is there again is not forgotten with those that are gone.
        names.set(101, "back", &mut |_| {});
        for index in count + 1..=count + 2000 {
            names.set(index, "veth", &mut |_| {});
            names.remove(index, &mut |_| {});
        }
        assert_eq!(names.by_index[&101].name, "back");
        assert_eq!(names.by_index.len(), KEPT + 1);
    }
}
