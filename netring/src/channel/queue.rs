//! The queue between the thread that reads a source and the reader of the channel.
//!
//! One lock guards all of it, and is taken per burst of packets, never per packet. Packets are
//! copied under it into the memory at the end of the queue, so a reader never misses a packet that
//! was queued before it looked.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netring_sys::{Error, Packet, PacketVec, Stats};

/// The maximum number of packets in one batch of the channel: 1,024 of 1,500 bytes are 1.5 MiB.
const BATCH: usize = 1024;
/// Packets that are copied under one lock: tens of microseconds at most.
const BURST: usize = 64;
/// Batches with memory kept for the next packets: enough for 65,536 packets.
const KEPT: usize = 64;

/// The state that the thread and the reader share.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// For the reader: there is an item, an answer, or the end.
    reader: Condvar,
    /// For the thread: there is room, a question, or nobody reads any more.
    thread: Condvar,
    /// The maximum number of packets in the queue.
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    /// Packets and reports in `items`.
    queued: usize,
    /// Packets in `items`.
    packets: u64,
    /// Packets that found the queue full.
    lost: u64,
    /// Read batches, with memory to reuse.
    empty: Vec<PacketVec>,
    /// The reader waits for the statistics of the source.
    asked: bool,
    answer: Option<Result<Stats, Error>>,
    /// `packets` and `lost` at the time of the answer, which the reader may see late.
    then: (u64, u64),
    /// How the source ended, which comes after all items. The source is closed by then.
    end: Option<Result<(), Error>>,
    /// The thread must stop reading.
    stopped: bool,
    /// The reader is gone.
    closed: bool,
}

/// An item of the queue, in the source's order.
#[derive(Debug)]
pub(super) enum Item {
    Packets(PacketVec),
    /// An error after which the source continues.
    Report(Error),
}

/// The result for the reader.
#[derive(Debug)]
pub(super) enum Taken {
    Item(Item),
    Nothing,
    /// The end; an error once, and `Closed` from then on.
    End(Result<(), Error>),
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            reader: Condvar::new(),
            thread: Condvar::new(),
            capacity,
        }
    }

    /// A thread that panicked under the lock left whole packets: they stay readable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers questions, and waits for room if requested. False if the thread must stop reading.
    pub(super) fn serve(
        &self,
        wait: bool,
        mut stats: impl FnMut() -> Result<Stats, Error>,
    ) -> bool {
        let mut state = self.lock();
        loop {
            if state.closed || state.stopped {
                return false;
            }
            if state.asked {
                state.asked = false;
                drop(state);
                // A system call, during which the reader may read.
                let answer = stats();
                state = self.lock();
                state.answer = Some(answer);
                state.then = (state.packets, state.lost);
                self.reader.notify_one();
            } else if wait && state.queued >= self.capacity {
                let waited = self.thread.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            } else {
                return true;
            }
        }
    }

    /// Queues all packets; with `drop`, counts those for which there is no room instead.
    pub(super) fn offer<'a>(&self, packets: impl Iterator<Item = Packet<'a>>, drop: bool) {
        let mut packets = packets.peekable();
        while packets.peek().is_some() {
            let mut state = self.lock();
            if state.closed {
                return;
            }
            let room = self.capacity.saturating_sub(state.queued);
            if drop && room == 0 {
                state.lost += packets.by_ref().take(BURST).count() as u64;
                continue;
            }
            let burst = if drop { room.min(BURST) } else { BURST };
            state.append(&mut packets, burst);
            self.reader.notify_one();
        }
    }

    /// Queues a report; with `drop`, only if there is room.
    pub(super) fn report(&self, error: Error, drop: bool) {
        let mut state = self.lock();
        if !drop || state.queued < self.capacity {
            state.items.push_back(Item::Report(error));
            state.queued += 1;
            self.reader.notify_one();
        }
    }

    /// The thread's last word: how the source ended, and its last figures.
    pub(super) fn end(&self, end: Result<(), Error>, stats: Result<Stats, Error>) {
        let mut state = self.lock();
        state.end = Some(end);
        state.answer = Some(stats);
        state.then = (state.packets, state.lost);
        self.reader.notify_one();
    }

    /// Takes the oldest item; waits for it up to the deadline, or forever without one.
    pub(super) fn take(&self, wait: bool, deadline: Option<Instant>) -> Taken {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.pop() {
                self.thread.notify_one();
                return Taken::Item(item);
            }
            if let Some(end) = &mut state.end {
                let closed = end.is_err().then_some(Error::Closed);
                return Taken::End(mem::replace(end, closed.map_or(Ok(()), Err)));
            }
            if !wait {
                return Taken::Nothing;
            }
            state = match deadline {
                None => (self.reader.wait(state)).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left == Duration::ZERO {
                        return Taken::Nothing;
                    }
                    let waited = self.reader.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes back the memory of a batch that was read.
    pub(super) fn give_back(&self, mut batch: PacketVec) {
        if batch.is_empty() {
            return;
        }
        batch.clear();
        let mut state = self.lock();
        if state.empty.len() < KEPT {
            state.empty.push(batch);
        }
    }

    /// The statistics of the source, now or at its end, including queued and lost packets.
    pub(super) fn stats(&self) -> (Result<Stats, Error>, u64, u64) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.asked = true;
            state.answer = None;
            self.thread.notify_one();
        }
        while state.answer.is_none() {
            let waited = self.reader.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let answer = match &state.answer {
            Some(Ok(stats)) => Ok(*stats),
            _ => state
                .answer
                .replace(Err(Error::Closed))
                .unwrap_or(Err(Error::Closed)),
        };
        // After the end the reader may have read on; the thread adds nothing.
        let (queued, lost) = match state.end {
            Some(_) => (state.packets, state.lost),
            None => state.then,
        };
        (answer, queued, lost)
    }

    /// Packets that found the queue full so far.
    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// Stops the thread from reading; the packets it has are still queued.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.thread.notify_one();
    }

    /// Ends the thread at its next check, and queues nothing more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.thread.notify_one();
    }
}

impl State {
    /// Appends up to `burst` packets to the batch at the end, or to a new one if that is full.
    fn append<'a>(
        &mut self,
        packets: &mut Peekable<impl Iterator<Item = Packet<'a>>>,
        burst: usize,
    ) {
        if !matches!(self.items.back(), Some(Item::Packets(last)) if last.len() < BATCH) {
            let empty = self.empty.pop().unwrap_or_default();
            self.items.push_back(Item::Packets(empty));
        }
        let Some(Item::Packets(last)) = self.items.back_mut() else {
            return;
        };
        for packet in packets.take(burst.min(BATCH - last.len())) {
            last.push(&packet);
            // Counted with each, so that a source that panics leaves nothing uncounted.
            self.queued += 1;
            self.packets += 1;
        }
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        match &item {
            Item::Packets(batch) => {
                self.queued -= batch.len();
                self.packets -= batch.len() as u64;
            }
            Item::Report(_) => self.queued -= 1,
        }
        Some(item)
    }
}
