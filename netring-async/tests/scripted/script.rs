//! A source that follows a test's script, behind a real descriptor.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use netring_sys::syscall::{event, event_signal};
use netring_sys::{
    Clock, Count, Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
};

/// The next step of the source.
#[derive(Debug)]
pub(crate) enum Step {
    /// Lends these frames, each with its own time (nanoseconds).
    Batch(Vec<(i64, Vec<u8>)>),
    /// Reports that the link went down.
    LinkDown,
    /// The interface is gone; repeated at each call.
    Removed,
    /// The source has ended.
    End,
}

/// Controls a [`Scripted`] source from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Script(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    steps: Mutex<VecDeque<Step>>,
    event: OwnedFd,
    looks: AtomicU64,
    /// Packets that were offered and that no step lends yet.
    standing: AtomicU64,
}

/// Edge triggered, as a capture is: a step signals the descriptor, and nothing ever clears it.
#[derive(Debug)]
pub(crate) struct Scripted {
    shared: Arc<Shared>,
    live: bool,
    stats: Stats,
}

pub(crate) struct Batch<'a> {
    frames: Vec<(i64, Vec<u8>)>,
    source: &'a mut Scripted,
}

/// A live source, and its script.
pub(crate) fn scripted() -> (Script, Scripted) {
    let shared = Arc::new(Shared {
        steps: Mutex::default(),
        event: event().unwrap(),
        looks: AtomicU64::new(0),
        standing: AtomicU64::new(0),
    });
    let source = Scripted {
        shared: shared.clone(),
        live: true,
        stats: Stats::counted(0),
    };
    (Script(shared), source)
}

impl Script {
    pub(crate) fn push(&self, step: Step) {
        self.push_all([step]);
    }

    /// Several steps behind one signal.
    pub(crate) fn push_all(&self, steps: impl IntoIterator<Item = Step>) {
        self.0.steps.lock().unwrap().extend(steps);
        event_signal(self.0.event.as_fd()).unwrap();
    }

    /// A batch of frames with the current time.
    pub(crate) fn frames(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
        let now = Timestamp::now().as_nanos();
        self.push(Step::Batch(
            frames.into_iter().map(|frame| (now, frame)).collect(),
        ));
    }

    /// Signals without a step.
    pub(crate) fn nudge(&self) {
        self.push_all([]);
    }

    /// How often the source was checked.
    pub(crate) fn looks(&self) -> u64 {
        self.0.looks.load(Ordering::Relaxed)
    }

    /// Whether the source was dropped.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// So many packets stand in a block that is not full.
    pub(crate) fn stand(&self, packets: u64) {
        self.0.standing.store(packets, Ordering::Relaxed);
    }

    /// Steps that are not yet done.
    pub(crate) fn left(&self) -> usize {
        self.0.steps.lock().unwrap().len()
    }
}

impl Scripted {
    /// Like a file: time does not pass while it is idle.
    pub(crate) fn replayed(mut self) -> Self {
        self.live = false;
        self
    }
}

impl PacketSource for Scripted {
    type Batch<'a> = Batch<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        self.shared.looks.fetch_add(1, Ordering::Relaxed);
        let mut steps = self.shared.steps.lock().unwrap();
        match steps.front() {
            None => Ok(Readiness::Empty),
            Some(Step::Batch(_)) => Ok(Readiness::Ready),
            Some(Step::End) => Ok(Readiness::Ended),
            Some(Step::Removed) => Err(Error::InterfaceRemoved {
                interface: "x0".into(),
            }),
            Some(Step::LinkDown) => {
                steps.pop_front();
                let downs = self.stats.link_downs.value().unwrap_or(0);
                self.stats.link_downs = Count::Exact(downs + 1);
                Err(Error::LinkDown {
                    interface: "x0".into(),
                    was_up: true,
                })
            }
        }
    }

    fn batch(&mut self) -> Batch<'_> {
        let step = self.shared.steps.lock().unwrap().pop_front();
        let frames = match step {
            Some(Step::Batch(frames)) => frames,
            _ => Vec::new(),
        };
        Batch {
            frames,
            source: self,
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        let standing = self.shared.standing.load(Ordering::Relaxed);
        let mut stats = self.stats;
        stats.offered = Count::Exact(stats.offered.value().unwrap_or(0) + standing);
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        self.live
    }
}

impl AsFd for Scripted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.frames.iter().map(|(time, frame)| {
            Packet::new(
                frame,
                Timestamp::from_nanos(*time, Clock::Software),
                LinkType::ETHERNET,
            )
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let delivered = self.source.stats.delivered.value().unwrap_or(0) + self.frames.len() as u64;
        self.source.stats.delivered = Count::Exact(delivered);
        self.source.stats.offered = Count::Exact(delivered);
    }
}
