//! Opens the captures of interfaces that appear, on a separate thread.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use netring_sys::syscall::{epoll, epoll_add, event, event_signal, poll_readable};
use netring_sys::wait::{InterfaceChange, InterfaceTable, Joiner};
use netring_sys::{Error, Interface, SyscallError};

use super::event::{JoinCounts, JoinEvent, OnEvent};
use super::rules::{Rules, Wanted};
use crate::builder::CaptureBuilder;
use crate::rx::Capture;

/// How long the thread waits before it reads the interfaces again if that failed.
const RETRY: Duration = Duration::from_millis(100);

/// The reader's handle of the thread, which ends after this is dropped, once it is done with the
/// current interface.
#[derive(Debug)]
pub(super) struct Follower {
    end: Arc<OwnedFd>,
    counts: Arc<Mutex<JoinCounts>>,
    lost: Arc<AtomicBool>,
}

impl Follower {
    pub(super) fn start(
        table: InterfaceTable,
        rules: Rules,
        each: CaptureBuilder,
        wanted: Wanted,
        on_event: OnEvent,
        joiner: Joiner<Capture>,
    ) -> Result<Self, Error> {
        let (end, counts, lost) = (Arc::new(event()?), Arc::default(), Arc::default());
        let news = epoll()?;
        epoll_add(news.as_fd(), table.as_fd(), 0)?;
        epoll_add(news.as_fd(), end.as_fd(), 1)?;
        let work = Work {
            news,
            table,
            rules,
            each,
            wanted,
            on_event,
            end: Arc::clone(&end),
            counts: Arc::clone(&counts),
            _lost: Lost(Arc::clone(&lost)),
            joiner,
        };
        // A new thread is in the network namespace of the thread that starts it.
        let thread = thread::Builder::new().name("netring-follow".into());
        let started = thread.spawn(move || work.run());
        started.map_err(|source| SyscallError {
            call: "clone",
            source,
        })?;
        Ok(Self { end, counts, lost })
    }

    pub(super) fn counts(&self) -> JoinCounts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if interfaces are no longer followed.
    pub(super) fn check(&self) -> Result<(), Error> {
        // Relaxed: the flag publishes no other memory. Its partner is the store in `Lost::drop`;
        // the reader is woken after it by an event, whose system calls order the two.
        if !self.lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Error::Source {
            what: "interfaces that appear are no longer followed".into(),
            source: "the function given to `matching` or `on_event` panicked".into(),
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // The thread is not waited for: it may be in a function of the caller's.
        let _ = event_signal(self.end.as_fd());
    }
}

struct Work {
    /// One descriptor for the table and the end.
    news: OwnedFd,
    table: InterfaceTable,
    rules: Rules,
    each: CaptureBuilder,
    wanted: Wanted,
    on_event: OnEvent,
    end: Arc<OwnedFd>,
    counts: Arc<Mutex<JoinCounts>>,
    // Dropped in this order: the end of the joiner wakes the reader, which then looks.
    _lost: Lost,
    joiner: Joiner<Capture>,
}

/// Set when the thread ends, also by a panic.
struct Lost(Arc<AtomicBool>);

impl Drop for Lost {
    fn drop(&mut self) {
        // Relaxed: the partner is the load in `Follower::check`.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The reader is gone.
struct Over;

impl Work {
    fn run(mut self) {
        loop {
            let mut changes = Vec::new();
            let updated = self
                .table
                .update(|change| changes.push(Change::from(change)));
            for change in changes {
                if self.is_over() || self.follow(change).is_err() {
                    return;
                }
            }
            // Interfaces change too fast to be listed, or memory is short: do not retry at once.
            let waited = match updated {
                Ok(()) => poll_readable(self.news.as_fd(), None),
                Err(_) => poll_readable(self.end.as_fd(), Some(RETRY)),
            };
            if waited.is_err() {
                thread::sleep(RETRY);
            }
            if self.is_over() {
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        // An error would come again and again.
        poll_readable(self.end.as_fd(), Some(Duration::ZERO)).unwrap_or(true)
    }

    fn follow(&mut self, change: Change) -> Result<(), Over> {
        match change {
            Change::Named { index } => self.appeared(index),
            Change::Removed { index, name } => {
                if self.rules.release(index) {
                    self.report(&JoinEvent::Removed { index, name });
                }
                Ok(())
            }
        }
    }

    /// There is an interface of this index, or it has another name.
    fn appeared(&mut self, index: u32) -> Result<(), Over> {
        if self.rules.holds(index) {
            return Ok(());
        }
        let interface = match Interface::by_index(index) {
            Ok(interface) => interface,
            // It is gone already.
            Err(Error::NoSuchInterface { .. }) => return Ok(()),
            Err(error) => {
                let name = self.table.name(index).unwrap_or("?").to_owned();
                self.report(&JoinEvent::Failed { name, error });
                return Ok(());
            }
        };
        if !self.wanted.matches(&interface) || !self.rules.may_open(&interface.name) {
            return Ok(());
        }
        let name = interface.name;
        match self.each.clone().interface(&name).build() {
            Ok(capture) => self.opened(capture),
            Err(Error::NoSuchInterface { .. }) => Ok(()),
            Err(error) => {
                self.report(&JoinEvent::Failed { name, error });
                Ok(())
            }
        }
    }

    fn opened(&mut self, capture: Capture) -> Result<(), Over> {
        let interface = capture.interface();
        // Of another index than the one that was announced, which has the name no longer.
        if self.rules.holds(interface.index) {
            return Ok(());
        }
        let event = match self.rules.knows(&interface.name) {
            true => JoinEvent::Returned(interface.clone()),
            false => JoinEvent::Joined(interface.clone()),
        };
        self.rules.hold(interface);
        self.report(&event);
        self.joiner.join(capture).map_err(|_| Over)
    }

    fn report(&mut self, event: &JoinEvent) {
        event.log();
        let counts = self.counts.lock();
        counts.unwrap_or_else(PoisonError::into_inner).add(event);
        (self.on_event)(event);
    }
}

/// A change that may concern us.
enum Change {
    Named { index: u32 },
    Removed { index: u32, name: String },
}

impl From<InterfaceChange<'_>> for Change {
    fn from(change: InterfaceChange<'_>) -> Self {
        match change {
            InterfaceChange::Removed { index, name } => Self::Removed {
                index,
                name: name.to_owned(),
            },
            InterfaceChange::Appeared { index, .. } | InterfaceChange::Renamed { index, .. } => {
                Self::Named { index }
            }
        }
    }
}
