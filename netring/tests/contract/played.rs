//! A simulated sink: 8 frames of memory, and a list as its wire. It shows what the rows require,
//! and that they can be met.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Duration;

use netring::{Error, PacketSink, PacketSlot, SinkStats};

use super::sink::Backend;

const DEPTH: usize = 8;
const MAX: usize = 2048;

/// Frames that were sent and not yet received; `None` once the wire is removed.
type List = Rc<RefCell<Option<VecDeque<Vec<u8>>>>>;

#[derive(Debug)]
pub(crate) struct Played {
    list: List,
    /// The sink keeps what is committed.
    is_held: Rc<Cell<bool>>,
}

impl Played {
    /// Sends nothing more.
    pub(crate) fn hold(&mut self) {
        self.is_held.set(true);
    }
}

#[derive(Debug)]
pub(crate) struct Memory {
    list: List,
    is_held: Rc<Cell<bool>>,
    frames: Vec<[u8; MAX]>,
    /// The lengths of committed frames.
    lengths: Vec<usize>,
    committed: u64,
    sent: u64,
    refused: u64,
}

#[derive(Debug)]
pub(crate) struct Slot<'a> {
    memory: &'a mut Memory,
    len: usize,
}

impl Memory {
    fn new(list: List, is_held: Rc<Cell<bool>>) -> Self {
        Self {
            list,
            is_held,
            frames: vec![[0; MAX]; DEPTH],
            lengths: Vec::new(),
            committed: 0,
            sent: 0,
            refused: 0,
        }
    }
}

impl PacketSink for Memory {
    type Slot<'a> = Slot<'a>;

    fn room(&mut self) -> Result<usize, Error> {
        Ok(DEPTH - self.lengths.len())
    }

    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        if !(1..=MAX).contains(&len) {
            self.refused += 1;
            return Err(Error::FrameLength { len, max: MAX });
        }
        Ok((self.lengths.len() < DEPTH).then_some(Slot { memory: self, len }))
    }

    fn flush(&mut self) -> Result<usize, Error> {
        let mut list = self.list.borrow_mut();
        let list = list.as_mut().ok_or(Error::Closed)?;
        if self.is_held.get() {
            return Ok(self.lengths.len());
        }
        self.sent += self.lengths.len() as u64;
        for (frame, len) in self.frames.iter().zip(self.lengths.drain(..)) {
            list.push_back(frame[..len].to_vec());
        }
        Ok(0)
    }

    fn stats(&mut self) -> Result<SinkStats, Error> {
        let mut stats = SinkStats::counted(self.committed, self.sent);
        stats.refused = self.refused;
        Ok(stats)
    }

    fn max_len(&self) -> usize {
        MAX
    }
}

impl Deref for Slot<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory.frames[self.memory.lengths.len()][..self.len]
    }
}

impl DerefMut for Slot<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory.frames[self.memory.lengths.len()][..self.len]
    }
}

impl PacketSlot for Slot<'_> {
    fn commit(self) {
        self.memory.committed += 1;
        self.memory.lengths.push(self.len);
    }
}

impl Backend for Played {
    type Sink = Memory;

    const DEPTH: usize = DEPTH;

    fn open() -> (Self, Memory) {
        let mut played = Self {
            list: Rc::new(RefCell::new(Some(VecDeque::new()))),
            is_held: Rc::default(),
        };
        let memory = played.open_again();
        (played, memory)
    }

    fn open_again(&mut self) -> Memory {
        Memory::new(Rc::clone(&self.list), Rc::clone(&self.is_held))
    }

    fn receive(&mut self, _: Duration) -> Option<Vec<u8>> {
        self.list.borrow_mut().as_mut()?.pop_front()
    }

    fn remove(&mut self) {
        *self.list.borrow_mut() = None;
    }
}
