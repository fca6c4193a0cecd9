//! The counters of a group member, readable while the member is on another thread.
//!
//! Reading the kernel's counters resets them, so they need one reader, and a member of a group has
//! two: its own thread, and the group's handle. The reader takes the lock, adds the new counts to
//! the total, and leaves them for the other reader too. Only the member publishes the number of
//! lent packets, once for each block. So there is no work per packet, and nothing is counted twice
//! or lost.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netring_sys::syscall::packet_statistics;
use netring_sys::{Count, Error, Stats, SyscallError};

use super::program::FanoutProgram;
use super::rollover::{self, RolloverStats};
use crate::rx::{Counters, Counts, KernelCounts};

/// A capture's place in its group. Dropping it leaves its final figures to the group.
#[derive(Debug)]
pub(crate) struct Membership(Arc<Member>);

/// The part of a member that the group keeps.
#[derive(Debug)]
pub(crate) struct Member {
    published: Arc<Published>,
    /// Whether the ring has slots, for which the kernel counts no freezes.
    has_slots: bool,
    books: Mutex<Books>,
}

/// Packets that a member lent, and those that it could not read.
#[derive(Debug, Default)]
pub(crate) struct Published {
    delivered: AtomicU64,
    invalid: AtomicU64,
}

#[derive(Debug)]
struct Books {
    /// The socket once more, until the member leaves.
    socket: Option<Arc<OwnedFd>>,
    kernel: KernelCounts,
    /// Counts that the handle read and the member has not seen yet.
    unseen: KernelCounts,
    rollover: Option<RolloverStats>,
    link_downs: Count,
}

impl Membership {
    /// `socket` is a duplicate of the member's.
    pub(crate) fn new(socket: OwnedFd, has_slots: bool) -> Self {
        Self(Arc::new(Member {
            published: Arc::default(),
            has_slots,
            books: Mutex::new(Books {
                socket: Some(Arc::new(socket)),
                kernel: KernelCounts::default(),
                unseen: KernelCounts::default(),
                rollover: None,
                link_downs: Count::Exact(0),
            }),
        }))
    }

    pub(crate) fn member(&self) -> Arc<Member> {
        Arc::clone(&self.0)
    }

    pub(crate) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.0.published)
    }

    /// What the kernel counted since the member last asked.
    pub(crate) fn take_kernel(&self) -> Result<KernelCounts, SyscallError> {
        let mut books = self.0.books();
        books.read()?;
        Ok(std::mem::take(&mut books.unseen))
    }

    pub(crate) fn note_link_downs(&self, downs: Count) {
        self.0.books().link_downs = downs;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut books = self.0.books();
        // They fail only if the descriptor is not a packet socket.
        let _ = books.read();
        let _ = books.read_rollover();
        books.socket = None;
    }
}

impl Member {
    /// The fate of every packet of this member.
    pub(super) fn stats(&self) -> Result<Stats, SyscallError> {
        // Before the kernel's counters, so that no packet is lent that is not offered.
        let taken = self.published.get();
        let mut books = self.books();
        books.read()?;
        let mut counters = Counters::default();
        counters.add_kernel(books.kernel);
        counters.add(taken);
        let mut stats = counters.stats(books.link_downs);
        if self.has_slots {
            stats.freezes = Count::Unavailable;
        }
        Ok(stats)
    }

    pub(super) fn rollover(&self) -> Result<Option<RolloverStats>, SyscallError> {
        let mut books = self.books();
        books.read_rollover()?;
        Ok(books.rollover)
    }

    /// Sets the program of the group; `None` if the member has left it.
    pub(super) fn set_program(&self, program: &FanoutProgram) -> Option<Result<(), Error>> {
        // Without the lock: the kernel waits for packets in flight while it replaces a program.
        let socket = self.books().socket.clone()?;
        Some(program.set(socket.as_fd()))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing in this file panics while it holds the lock.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    /// Only the member calls it.
    #[inline]
    pub(crate) fn set(&self, taken: Counts) {
        // Relaxed: counts publish no other memory. Partner: the loads in `get`.
        self.delivered.store(taken.delivered, Ordering::Relaxed);
        self.invalid.store(taken.invalid, Ordering::Relaxed);
    }

    fn get(&self) -> Counts {
        // Relaxed: the partners are the stores in `set`.
        Counts {
            delivered: self.delivered.load(Ordering::Relaxed),
            invalid: self.invalid.load(Ordering::Relaxed),
        }
    }
}

impl Books {
    fn read(&mut self) -> Result<(), SyscallError> {
        if let Some(socket) = &self.socket {
            let delta = packet_statistics(socket.as_fd())?.into();
            self.kernel += delta;
            self.unseen += delta;
        }
        Ok(())
    }

    fn read_rollover(&mut self) -> Result<(), SyscallError> {
        if let Some(socket) = &self.socket {
            self.rollover = rollover::read(socket.as_fd())?;
        }
        Ok(())
    }
}
