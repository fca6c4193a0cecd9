//! A source that follows a test's script and is stopped as a capture is.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use netring::wait::{self, Stop, StopHandle, Waiter};
use netring::{
    Clock, Count, Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
};
use netring_sys::syscall::{event, event_signal};

/// The next step of the source.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Lends packets with these numbers.
    Batch(std::ops::Range<u64>),
    LinkDown,
    Removed,
    Panic,
    /// Panics after lending half of these.
    PanicWithin(std::ops::Range<u64>),
    End,
}

/// Controls a [`Scripted`] source from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Script(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    steps: Mutex<VecDeque<Step>>,
    event: OwnedFd,
    thread: Mutex<Option<String>>,
}

#[derive(Debug)]
pub(crate) struct Scripted {
    shared: Arc<Shared>,
    waiter: Waiter,
    stats: Stats,
}

pub(crate) struct Batch<'a> {
    numbers: std::ops::Range<u64>,
    panic_at: Option<u64>,
    source: &'a mut Scripted,
}

pub(crate) fn scripted(steps: impl IntoIterator<Item = Step>) -> (Script, Scripted) {
    let event = event().unwrap();
    let waiter = Waiter::without_interface(event.as_fd()).unwrap();
    let shared = Arc::new(Shared {
        steps: Mutex::default(),
        event,
        thread: Mutex::default(),
    });
    let source = Scripted {
        shared: shared.clone(),
        waiter,
        stats: Stats::counted(0),
    };
    let script = Script(shared);
    script.push(steps);
    (script, source)
}

impl Script {
    pub(crate) fn push(&self, steps: impl IntoIterator<Item = Step>) {
        self.0.steps.lock().unwrap().extend(steps);
        event_signal(self.0.event.as_fd()).unwrap();
    }

    /// Whether the source was dropped.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(crate) fn left(&self) -> usize {
        self.0.steps.lock().unwrap().len()
    }

    /// The name of the thread that read the source.
    pub(crate) fn thread(&self) -> Option<String> {
        self.0.thread.lock().unwrap().clone()
    }
}

impl PacketSource for Scripted {
    type Batch<'a> = Batch<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        *self.shared.thread.lock().unwrap() = thread::current().name().map(String::from);
        if self.waiter.is_stopped() {
            return Ok(Readiness::Ended);
        }
        let mut steps = self.shared.steps.lock().unwrap();
        match steps.front() {
            Some(Step::Batch(_) | Step::PanicWithin(_)) => Ok(Readiness::Ready),
            None => Ok(Readiness::Empty),
            Some(Step::End) => Ok(Readiness::Ended),
            Some(Step::Removed) => Err(Error::InterfaceRemoved {
                interface: "x0".into(),
            }),
            Some(Step::Panic) => {
                drop(steps);
                panic!("the source is broken")
            }
            Some(Step::LinkDown) => {
                steps.pop_front();
                self.stats.link_downs += Count::Exact(1);
                Err(Error::LinkDown {
                    interface: "x0".into(),
                    was_up: true,
                })
            }
        }
    }

    fn batch(&mut self) -> Batch<'_> {
        let step = self.shared.steps.lock().unwrap().pop_front();
        let (numbers, panic_at) = match step {
            Some(Step::Batch(numbers)) => (numbers, None),
            Some(Step::PanicWithin(numbers)) => {
                let middle = u64::midpoint(numbers.start, numbers.end);
                (numbers, Some(middle))
            }
            _ => (0..0, None),
        };
        Batch {
            numbers,
            panic_at,
            source: self,
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        wait::ready(self, timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(self.stats)
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl AsFd for Scripted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waiter.as_fd()
    }
}

impl Stop for Scripted {
    fn stop_handle(&self) -> StopHandle {
        self.waiter.stop_handle()
    }
}

impl PacketBatch for Batch<'_> {
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        static BYTES: [u8; 60] = [7; 60];
        self.numbers.clone().map(|number| {
            assert!(self.panic_at != Some(number), "the batch is broken");
            let time = Timestamp::from_nanos(number as i64, Clock::Software);
            Packet::new(
                &BYTES[..14 + number as usize % 40],
                time,
                LinkType::ETHERNET,
            )
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let lent = Count::Exact(self.numbers.end - self.numbers.start);
        self.source.stats.offered += lent;
        self.source.stats.delivered += lent;
    }
}
