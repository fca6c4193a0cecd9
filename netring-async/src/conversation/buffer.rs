//! The buffer between the task that reads the source and the readers of a conversation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use netring_flow::reassembly::StreamEnd;
use netring_sys::Timestamp;

/// The size of an item in addition to its bytes.
const ITEM: usize = 32;

/// The most memory that an empty buffer keeps for bytes, and for items, at its end, or while a
/// reader that took no more than this waits again.
const KEPT: usize = 16 << 10;

/// Bytes in order, with their origin.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    pub(super) bytes: Vec<u8>,
    pub(super) items: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) time: Timestamp,
    pub(super) offset: u64,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// This many of the bytes.
    Data(usize),
    Gap {
        missing: u64,
        overrun: u64,
    },
}

impl Buffer {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    /// Frees the memory of an empty buffer, unless it is small.
    fn shrink(&mut self) {
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        if self.items.capacity() > KEPT / size_of::<Item>() {
            self.items = Vec::new();
        }
    }

    const fn used(&self) -> usize {
        self.bytes.len() + self.items.len() * ITEM
    }

    /// Appends a gap, or makes the last one longer.
    fn push_gap(&mut self, at: At, len: u64, lost: u64) {
        if let Some(Item {
            kind: Kind::Gap { missing, overrun },
            ..
        }) = self.items.last_mut()
        {
            *missing += len;
            *overrun += lost;
            return;
        }
        let kind = Kind::Gap {
            missing: len,
            overrun: lost,
        };
        self.items.push(at.item(kind));
    }
}

/// A place in a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) time: Timestamp,
    pub(super) offset: u64,
}

impl At {
    const fn item(self, kind: Kind) -> Item {
        Item {
            time: self.time,
            offset: self.offset,
            kind,
        }
    }
}

/// The two halves of a conversation: that of the initiator is the first.
#[derive(Debug)]
pub(super) struct Shared {
    halves: [Mutex<Half>; 2],
    /// Halves that have a reader.
    readers: AtomicUsize,
    room: Arc<Room>,
}

#[derive(Debug, Default)]
struct Half {
    filling: Buffer,
    /// What the reader took last.
    taken: usize,
    /// It is full, and has not been taken since.
    full: bool,
    no_reader: bool,
    end: Option<StreamEnd>,
    reader: Option<Waker>,
}

/// The outcome for bytes given to a half.
pub(super) enum Put {
    Kept { more_than_half_full: bool },
    Overrun,
    NoReader,
}

impl Shared {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self {
            halves: Default::default(),
            readers: AtomicUsize::new(2),
            room,
        }
    }

    fn half(&self, half: usize) -> MutexGuard<'_, Half> {
        // Nothing in a half is inconsistent between two statements that may panic.
        self.halves[half]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody reads either half.
    pub(super) fn is_abandoned(&self) -> bool {
        // Relaxed: only the count is read, and a late look costs one segment more.
        self.readers.load(Ordering::Relaxed) == 0
    }

    pub(super) fn put(&self, half: usize, at: At, bytes: &[u8]) -> Put {
        let mut half = self.half(half);
        if half.no_reader {
            return Put::NoReader;
        }
        let used = half.filling.used() + bytes.len() + ITEM;
        let (bound, lossless) = (self.room.bound, self.room.lossless);
        if !half.full && used > bound {
            half.full = true;
            if lossless {
                self.room.take();
            }
        }
        let lost = half.full && !lossless;
        if lost {
            let len = bytes.len() as u64;
            half.filling.push_gap(at, len, len);
        } else {
            half.filling.bytes.extend_from_slice(bytes);
            let kind = Kind::Data(bytes.len());
            half.filling.items.push(at.item(kind));
        }
        wake(half);
        if lost {
            Put::Overrun
        } else {
            Put::Kept {
                more_than_half_full: used > bound / 2,
            }
        }
    }

    pub(super) fn put_gap(&self, half: usize, at: At, missing: u64) {
        let mut half = self.half(half);
        if !half.no_reader {
            half.filling.push_gap(at, missing, 0);
            wake(half);
        }
    }

    /// Ends a half, unless it has ended.
    pub(super) fn end(&self, half: usize, reason: StreamEnd) {
        let mut half = self.half(half);
        half.end.get_or_insert(reason);
        wake(half);
    }

    /// Exchanges an empty buffer for a filled one, or frees the memory of both. Returns the reason
    /// if there is nothing left and the half has ended.
    pub(super) fn poll_take(
        &self,
        half: usize,
        cx: &Context<'_>,
        empty: &mut Buffer,
    ) -> Poll<Option<StreamEnd>> {
        let mut half = self.half(half);
        if half.filling.items.is_empty() {
            // A buffer that is read in large pieces allocates nothing between them.
            if half.end.is_some() || half.taken <= KEPT {
                half.filling.shrink();
                empty.shrink();
            }
            if half.end.is_some() {
                return Poll::Ready(half.end);
            }
            match &mut half.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                reader => *reader = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        half.taken = half.filling.used();
        std::mem::swap(&mut half.filling, empty);
        self.leave(half);
        Poll::Ready(None)
    }

    /// Nobody reads this half any more.
    pub(super) fn drop_reader(&self, half: usize) {
        let mut half = self.half(half);
        half.no_reader = true;
        half.filling = Buffer::default();
        half.reader = None;
        self.leave(half);
        // Relaxed: see `is_abandoned`.
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// The half is no longer full.
    fn leave(&self, mut half: MutexGuard<'_, Half>) {
        let was_full = std::mem::take(&mut half.full);
        drop(half);
        if was_full && self.room.lossless {
            self.room.leave();
        }
    }
}

fn wake(mut half: MutexGuard<'_, Half>) {
    if let Some(reader) = half.reader.take() {
        drop(half);
        reader.wake();
    }
}

/// Whether the task must wait for readers.
#[derive(Debug)]
pub(super) struct Room {
    bound: usize,
    pub(super) lossless: bool,
    full: Mutex<Full>,
}

#[derive(Debug, Default)]
struct Full {
    /// Buffers, and the backlog, that are full.
    count: usize,
    task: Option<Waker>,
}

impl Room {
    pub(super) fn new(bound: usize, lossless: bool) -> Self {
        Self {
            bound,
            lossless,
            full: Mutex::default(),
        }
    }

    fn full(&self) -> MutexGuard<'_, Full> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is full.
    pub(super) fn take(&self) {
        self.full().count += 1;
    }

    /// It no longer is.
    pub(super) fn leave(&self) {
        let mut full = self.full();
        full.count -= 1;
        if full.count == 0
            && let Some(task) = full.task.take()
        {
            drop(full);
            task.wake();
        }
    }

    /// Ready while nothing is full that the task must wait for.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut full = self.full();
        if full.count == 0 {
            return Poll::Ready(());
        }
        full.task = Some(cx.waker().clone());
        Poll::Pending
    }
}
