//! Several sources as one.

mod joiner;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::STOP;
use super::blocking;
use super::stop::{Stop, StopHandle};
use crate::contract::{PacketBatch, PacketSource, Readiness, Stats};
use crate::syscall::{epoll, epoll_add, epoll_ready, epoll_remove};
use crate::{Error, Packet};
pub use joiner::Joiner;
use joiner::Joins;

/// The token of the event that announces sources, and that of the first source.
const JOIN: u64 = STOP + 1;
const FIRST: u64 = 16;

/// How often to query the set for idle sources while others are busy: a query takes a microsecond.
const ASK_EVERY: Duration = Duration::from_micros(100);

/// Several sources of packets as one: captures of several interfaces, or capture files.
///
/// It lends the sources' batches unchanged, without a copy, one at a time. Sources that have
/// packets take turns, one batch each, so none is starved. Packets of one source are in its order;
/// across sources they are not ordered by time.
///
/// ```no_run
/// use netring_sys::wait::Merge;
/// use netring_sys::{Error, PacketBatch, PacketSource};
///
/// fn both<S: PacketSource + std::os::fd::AsFd>(a: S, b: S) -> Result<(), Error> {
///     let mut merge = Merge::new([a, b])?;
///     while let Some(batch) = merge.next_batch()? {
///         println!("{} packets of source {}", batch.packets().count(), batch.origin());
///     }
///     println!("{}", merge.stats()?);
///     Ok(())
/// }
/// ```
///
/// Packets carry the index of their interface; [`MergedBatch::origin`] is the number of the source,
/// for sources without interfaces, such as files. Sources of different types merge as
/// [`AnySource`](crate::adapters::AnySource)s, or as an enum such as `netring::Input`.
///
/// The end of one source does not affect the others. If it ends with an error,
/// [`ready`](PacketSource::ready) reports [`Error::SourceLost`] once, which
/// [`next_batch`](PacketSource::next_batch) and streams do not return; [`ended`](Self::ended) lists
/// both kinds, with their errors. The merge ends with its last source, and returns its error
/// unchanged. [`Stats`] are the totals of all sources, including those that have ended.
///
/// Idle sources are not polled: while others are busy, a system call every 100 µs finds those that
/// have packets again.
#[derive(Debug)]
pub struct Merge<S> {
    // The set is dropped first, while its members are still open, so the kernel has nothing to
    // clean up.
    set: OwnedFd,
    stop: StopHandle,
    joins: Joins<S>,
    descriptor: fn(&S) -> Option<BorrowedFd<'_>>,
    sources: Vec<Member<S>>,
    ended: Vec<Ended<S>>,
    /// The figures of sources that have ended.
    past: Option<Stats>,
    /// The number of the next source to come.
    next_origin: usize,
    /// Whose turn it is.
    turn: usize,
    /// When the set was last asked while a source was busy.
    asked: Instant,
    /// Which source has a batch, until it is lent.
    found: Option<usize>,
    /// The last source ended with an error.
    is_closed: bool,
}

#[derive(Debug)]
struct Member<S> {
    source: S,
    origin: usize,
    /// It was empty at the last check. Its descriptor becomes readable when it is worth checking
    /// again.
    idle: bool,
}

/// A source that has ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended<S> {
    /// Its number, from 0.
    pub origin: usize,
    /// The source itself, still open.
    pub source: S,
    /// The error that it ended with. `None` if it ended without one, or if it was the last: then
    /// the merge itself returned the error.
    pub error: Option<Arc<Error>>,
}

/// The packets of one batch of a [`Merge`]. Dropping it returns all of their memory.
#[derive(Debug)]
pub struct MergedBatch<B> {
    batch: Option<B>,
    origin: usize,
}

impl<S: PacketSource + AsFd> Merge<S> {
    /// Merges sources with descriptors, such as captures. Their numbers are their places, from 0.
    ///
    /// # Errors
    /// The failed call: there are too many open files, or not enough memory.
    pub fn new(sources: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::with_descriptor(sources, |source| Some(source.as_fd()))
    }
}

impl<S: PacketSource> Merge<S> {
    /// Merges sources that are never [`Empty`](Readiness::Empty), such as capture files.
    ///
    /// A source that is empty nevertheless ends with an [`Error::Config`]: it could only be polled
    /// in a busy loop.
    ///
    /// # Errors
    /// The failed call: there are too many open files, or not enough memory.
    pub fn replay(sources: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::with_descriptor(sources, |_| None)
    }

    /// Merges sources that may have descriptors: like [`new`](Self::new) for those that do, and
    /// like [`replay`](Self::replay) for the others.
    ///
    /// # Errors
    /// The failed call: there are too many open files, or not enough memory.
    pub fn with_descriptor(
        sources: impl IntoIterator<Item = S>,
        descriptor: fn(&S) -> Option<BorrowedFd<'_>>,
    ) -> Result<Self, Error> {
        let (set, stop, joins) = (epoll()?, StopHandle::new()?, Joins::new()?);
        epoll_add(set.as_fd(), stop.event(), STOP)?;
        epoll_add(set.as_fd(), joins.event(), JOIN)?;
        let mut merge = Self {
            set,
            stop,
            joins,
            descriptor,
            sources: Vec::new(),
            ended: Vec::new(),
            past: None,
            next_origin: 0,
            turn: 0,
            asked: Instant::now(),
            found: None,
            is_closed: false,
        };
        for source in sources {
            merge.add(source)?;
        }
        Ok(merge)
    }

    /// Adds a source, and returns its number: one more than that of the source before.
    ///
    /// # Errors
    /// The failed call: there is not enough memory. The source is dropped.
    pub fn add(&mut self, source: S) -> Result<usize, Error> {
        self.register(&source)?;
        let place = self.insert(source);
        Ok(self.sources[place].origin)
    }

    /// Returns a handle that adds sources from another thread. While there is one, the merge does
    /// not end: it waits for sources.
    pub fn joiner(&mut self) -> Joiner<S> {
        self.joins.joiner()
    }

    /// The sources that have not ended, with their numbers.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (usize, &S)> {
        let members = self.sources.iter();
        members.map(|member| (member.origin, &member.source))
    }

    /// The sources that have not ended, with their numbers, for example to read the [`Stats`] of
    /// each or to change them.
    pub fn sources_mut(&mut self) -> impl ExactSizeIterator<Item = (usize, &mut S)> {
        let members = self.sources.iter_mut();
        members.map(|member| (member.origin, &mut member.source))
    }

    /// The sources that have ended, in that order, and were not [taken](Self::take_ended).
    pub fn ended(&self) -> &[Ended<S>] {
        &self.ended
    }

    /// Takes the sources that have ended. Until then they stay open.
    pub fn take_ended(&mut self) -> Vec<Ended<S>> {
        std::mem::take(&mut self.ended)
    }

    /// Waits for the next source too.
    fn register(&self, source: &S) -> Result<(), Error> {
        let Some(fd) = (self.descriptor)(source) else {
            return Ok(());
        };
        let token = FIRST + self.next_origin as u64;
        Ok(epoll_add(self.set.as_fd(), fd, token)?)
    }

    /// Returns the place of the source.
    fn insert(&mut self, source: S) -> usize {
        let origin = self.next_origin;
        self.next_origin += 1;
        self.sources.push(Member {
            source,
            origin,
            idle: false,
        });
        self.sources.len() - 1
    }

    /// Looks at the sources in turn, until one has a batch or something to report.
    fn look(&mut self) -> Result<Readiness, Error> {
        // The kernel reports few at a time, and those that it reported last come last again.
        let mut asks = 2 + self.sources.len() / 4;
        loop {
            while let Some(member) = self.sources.get_mut(self.turn) {
                if member.idle {
                    self.turn += 1;
                    continue;
                }
                match member.source.ready() {
                    Ok(Readiness::Ready) => {
                        self.found = Some(self.turn);
                        self.turn += 1;
                        return Ok(Readiness::Ready);
                    }
                    Ok(Readiness::Empty) if (self.descriptor)(&member.source).is_some() => {
                        member.idle = true;
                        self.turn += 1;
                    }
                    Ok(Readiness::Empty) => return Err(self.lose(never_empty())),
                    Ok(Readiness::Ended) => {
                        self.end(None);
                    }
                    Err(error) if error.is_terminal() => return Err(self.lose(error)),
                    // It reports something and continues.
                    Err(error) => return Err(error),
                }
            }
            if self.sources.is_empty() && !self.joins.is_open() {
                return Ok(Readiness::Ended);
            }
            self.turn = 0;
            if self.sources.iter().any(|member| !member.idle) {
                self.wake_now_and_then()?;
            } else if asks == 0 || !self.wake()? {
                return Ok(Readiness::Empty);
            } else {
                asks -= 1;
            }
        }
    }

    /// While some sources are busy, the idle ones must not starve.
    fn wake_now_and_then(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if now.saturating_duration_since(self.asked) >= ASK_EVERY {
            self.asked = now;
            self.wake()?;
        }
        Ok(())
    }

    /// Asks which idle sources have something, and takes in those that join. Returns whether there
    /// are any.
    fn wake(&mut self) -> Result<bool, Error> {
        let (mut woken, mut failed) = (false, None);
        for token in epoll_ready(self.set.as_fd())? {
            match token {
                STOP => {}
                JOIN => {
                    woken = true;
                    for source in self.joins.take()? {
                        // The turn of the one that does not fit into the set is now.
                        if let Err(error) = self.register(&source) {
                            self.turn = self.insert(source);
                            failed = Some(self.lose(error));
                        } else {
                            self.insert(source);
                        }
                    }
                }
                token => {
                    let mut members = self.sources.iter_mut();
                    let member = members.find(|member| FIRST + member.origin as u64 == token);
                    if let Some(member) = member {
                        member.idle = false;
                        woken = true;
                    }
                }
            }
        }
        self.turn = 0;
        failed.map_or(Ok(woken), Err)
    }

    /// The source whose turn it is has ended with an error. Returns the error to report.
    fn lose(&mut self, error: Error) -> Error {
        if self.sources.len() == 1 && !self.joins.is_open() {
            self.end(None);
            self.is_closed = true;
            return error;
        }
        let error = Arc::new(error);
        let origin = self.end(Some(Arc::clone(&error)));
        Error::SourceLost { origin, error }
    }

    /// The source whose turn it is has ended. Returns its number.
    fn end(&mut self, error: Option<Arc<Error>>) -> usize {
        let Member {
            mut source, origin, ..
        } = self.sources.remove(self.turn);
        if let Some(fd) = (self.descriptor)(&source) {
            // It fails only for a descriptor that is not in the set.
            let _ = epoll_remove(self.set.as_fd(), fd);
        }
        let stats = source.stats().unwrap_or_default();
        self.past = Some(self.past.map_or(stats, |past| past + stats));
        self.ended.push(Ended {
            origin,
            source,
            error,
        });
        origin
    }
}

impl<S: PacketSource> PacketSource for Merge<S> {
    type Batch<'a>
        = MergedBatch<S::Batch<'a>>
    where
        Self: 'a;

    fn ready(&mut self) -> Result<Readiness, Error> {
        if self.stop.is_stopped() {
            return Ok(Readiness::Ended);
        }
        if self.is_closed {
            return Err(Error::Closed);
        }
        match self.found {
            Some(_) => Ok(Readiness::Ready),
            None => self.look(),
        }
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        let found = self.found.take();
        match found.and_then(|place| self.sources.get_mut(place)) {
            Some(member) => MergedBatch {
                batch: Some(member.source.batch()),
                origin: member.origin,
            },
            None => MergedBatch {
                batch: None,
                origin: 0,
            },
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        blocking::ready(self, timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        let there = self.sources.iter_mut().map(|member| member.source.stats());
        there.chain(self.past.map(Ok)).sum()
    }

    fn is_live(&self) -> bool {
        let mut sources = self.sources.iter();
        self.joins.is_open() || sources.any(|member| member.source.is_live())
    }
}

impl<B> MergedBatch<B> {
    /// The number of the source that lends it; 0 for a batch that lends nothing.
    #[inline]
    pub const fn origin(&self) -> usize {
        self.origin
    }

    /// The batch of that source; `None` for a batch that lends nothing.
    pub const fn get_ref(&self) -> Option<&B> {
        self.batch.as_ref()
    }
}

impl<B: PacketBatch> PacketBatch for MergedBatch<B> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        Walk(self.batch.as_ref().map(PacketBatch::packets))
    }
}

/// The packets of a batch, if there is one.
struct Walk<I>(Option<I>);

impl<I: Iterator> Iterator for Walk<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        self.0.as_mut()?.next()
    }
}

impl<S: PacketSource> Stop for Merge<S> {
    /// Returns a handle that stops the merge. The sources are not stopped.
    fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }
}

/// Readable when [`ready`](PacketSource::ready) may have something to report.
impl<S> AsFd for Merge<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

fn never_empty() -> Error {
    Error::Config {
        setting: "Merge::replay",
        why: "the source was empty before its end; a source that has to be waited for needs a descriptor and \
              `Merge::new`"
            .into(),
    }
}
