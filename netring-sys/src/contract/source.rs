//! The contract of a source: looking for packets, waiting for them, and lending them.

use std::time::{Duration, Instant};

use super::timed::Timed;
use crate::{Error, Packet, PacketVec, Stats};

/// Lends packets in batches. A capture ring, a capture file, a generator, and any
/// [adapter](crate::adapters) around them implement it; the flow engine and the async adapter know
/// nothing else.
///
/// # Reading a source
///
/// [`next_batch`](Self::next_batch) waits for the next batch, and returns `None` at the end of the
/// source. It means the same for every source:
///
/// ```
/// use netring_sys::{Error, PacketBatch, PacketSource};
///
/// fn bytes(source: &mut impl PacketSource) -> Result<u64, Error> {
///     let mut bytes = 0;
///     while let Some(batch) = source.next_batch()? {
///         for packet in batch.packets() {
///             bytes += u64::from(packet.wire_len());
///         }
///     }
///     Ok(bytes)
/// }
/// ```
///
/// The loop ends when a file is at its end or a capture is stopped. It continues while an interface
/// is silent or down ([`Stats::link_downs`] counts how often it went down), and returns
/// [`Error::InterfaceRemoved`] if the interface is removed. If you have something else to do
/// meanwhile, use [`next_batch_timeout`](Self::next_batch_timeout).
///
/// # Writing a source
///
/// Looking ([`ready`](Self::ready)) and lending ([`batch`](Self::batch)) are two steps, because one
/// step that does both cannot be awaited without either unsafe code or copies. There is no
/// `Iterator` over batches: an iterator's items may outlive each other, a ring's memory may not.
///
/// ```
/// use netring_sys::{
///     Error, LinkType, Packet, PacketBatch, PacketSource, Readiness, Stats, Timestamp,
/// };
///
/// /// Lends the same frame a fixed number of times.
/// struct Repeat {
///     frame: Vec<u8>,
///     left: u64,
///     lent: u64,
/// }
///
/// struct One<'a>(&'a [u8]);
///
/// impl PacketBatch for One<'_> {
///     fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
///         std::iter::once(Packet::new(self.0, Timestamp::EPOCH, LinkType::ETHERNET))
///     }
/// }
///
/// impl PacketSource for Repeat {
///     type Batch<'a> = One<'a>;
///
///     fn ready(&mut self) -> Result<Readiness, Error> {
///         Ok(if self.left == 0 {
///             Readiness::Ended
///         } else {
///             Readiness::Ready
///         })
///     }
///     fn batch(&mut self) -> One<'_> {
///         self.left -= 1;
///         self.lent += 1;
///         One(&self.frame)
///     }
///     fn stats(&mut self) -> Result<Stats, Error> {
///         Ok(Stats::counted(self.lent))
///     }
///     fn is_live(&self) -> bool {
///         false
///     }
/// }
///
/// let mut source = Repeat {
///     frame: vec![0; 60],
///     left: 3,
///     lent: 0,
/// };
/// let mut bytes = 0;
/// source.for_each(|packet| bytes += packet.data().len())?;
/// assert_eq!(bytes, 180);
/// # Ok::<(), Error>(())
/// ```
///
/// Two batches of one source cannot be held at once:
///
/// ```compile_fail,E0499
/// fn two_at_once<S: netring_sys::PacketSource>(source: &mut S) {
///     let first = source.batch();
///     let second = source.batch();
///     drop((first, second));
/// }
/// ```
///
/// and a packet cannot be kept past its batch:
///
/// ```compile_fail,E0597
/// use netring_sys::{PacketBatch, PacketSource};
///
/// fn keep<S: PacketSource>(source: &mut S) -> usize {
///     let packet = {
///         let batch = source.batch();
///         batch.packets().next().unwrap()
///     };
///     packet.data().len()
/// }
/// ```
pub trait PacketSource {
    /// The batch that [`batch`](Self::batch) lends; it borrows the source, and its packets borrow
    /// it.
    type Batch<'a>: PacketBatch
    where
        Self: 'a;

    /// Looks for packets: never blocks, lends nothing, and may be called any number of times.
    ///
    /// # Errors
    /// If [`Error::is_terminal`] is false, the error is a report ([`Error::LinkDown`]) that is made
    /// once: call again, and the source continues. Any other error is final: the source reports it,
    /// or [`Error::Closed`], from then on.
    fn ready(&mut self) -> Result<Readiness, Error>;

    /// Lends the packets that [`ready`](Self::ready) found; an empty batch if it found none.
    ///
    /// Dropping the batch returns all of its memory: all its packets count as delivered.
    fn batch(&mut self) -> Self::Batch<'_>;

    /// Like [`ready`](Self::ready), but blocks while there is nothing, until the timeout expires;
    /// `None`, and a timeout that the clock cannot represent, wait forever. Returns
    /// [`Empty`](Readiness::Empty) only if it expired.
    ///
    /// A source that may be empty must provide it; a live one can use
    /// [`wait::ready`](crate::wait::ready). Adapters forward it.
    ///
    /// # Errors
    /// The errors of [`ready`](Self::ready). [`Error::Config`] if the source is empty and does not
    /// provide this method.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        let _ = timeout;
        match self.ready()? {
            Readiness::Empty => Err(cannot_wait()),
            found => Ok(found),
        }
    }

    /// Waits for the next batch, and lends it. Returns `None` at the end: of a file, or of a
    /// capture that was stopped.
    ///
    /// A link that goes down is neither the end nor an error: the wait continues, and
    /// [`Stats::link_downs`] counts it. The same is true of every error that is not
    /// [terminal](Error::is_terminal); [`ready`](Self::ready) returns them.
    ///
    /// # Errors
    /// What ends the source: [`Error::InterfaceRemoved`] once the interface is gone and its last
    /// packets were lent, damage in a file, or the call that failed.
    fn next_batch(&mut self) -> Result<Option<Self::Batch<'_>>, Error> {
        loop {
            match self.wait(None) {
                Ok(Readiness::Ready) => break,
                Ok(Readiness::Ended) => return Ok(None),
                Err(error) if error.is_terminal() => return Err(error),
                Ok(Readiness::Empty) | Err(_) => {}
            }
        }
        Ok(Some(self.batch()))
    }

    /// Like [`next_batch`](Self::next_batch), but stops waiting when the timeout expires.
    ///
    /// The timeout is kept to the microsecond, however many signals interrupt the wait. Zero looks
    /// without waiting; [`Duration::MAX`] waits forever.
    ///
    /// ```
    /// use netring_sys::{Error, PacketBatch, PacketSource, Timed};
    /// use std::time::Duration;
    ///
    /// fn example(source: &mut impl PacketSource) -> Result<(), Error> {
    ///     loop {
    ///         match source.next_batch_timeout(Duration::from_secs(1))? {
    ///             Timed::Batch(batch) => println!("{} packets", batch.packets().count()),
    ///             Timed::TimedOut => println!("no packet for a second"),
    ///             Timed::Ended => return Ok(()),
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The errors of [`next_batch`](Self::next_batch).
    fn next_batch_timeout(&mut self, timeout: Duration) -> Result<Timed<Self::Batch<'_>>, Error> {
        let deadline = Instant::now().checked_add(timeout);
        let mut left = timeout;
        loop {
            match self.wait(Some(left)) {
                Ok(Readiness::Ready) => break,
                Ok(Readiness::Ended) => return Ok(Timed::Ended),
                Ok(Readiness::Empty) => return Ok(Timed::TimedOut),
                Err(error) if error.is_terminal() => return Err(error),
                // A report does not prolong the timeout.
                Err(_) => {}
            }
            if let Some(deadline) = deadline {
                left = deadline.saturating_duration_since(Instant::now());
            }
        }
        Ok(Timed::Batch(self.batch()))
    }

    /// Calls `f` with each packet until the source ends. The loop waits as
    /// [`next_batch`](Self::next_batch) does.
    ///
    /// To leave the loop early, use the method `try_for_each` of a capture or a file, which keeps
    /// its place, or a loop over batches.
    ///
    /// # Errors
    /// The errors of [`next_batch`](Self::next_batch).
    fn for_each(&mut self, mut f: impl FnMut(Packet<'_>)) -> Result<(), Error> {
        while let Some(batch) = self.next_batch()? {
            batch.packets().for_each(&mut f);
        }
        Ok(())
    }

    /// The fate of every packet so far. Reading resets nothing.
    ///
    /// # Errors
    /// The system call that reads the figures failed.
    fn stats(&mut self) -> Result<Stats, Error>;

    /// Whether time passes while the source is idle: true for an interface, false for a file. The
    /// host's clock expires flows of live sources only. Adapters forward it.
    fn is_live(&self) -> bool;
}

/// A source that can be opened by the name of an interface. A higher layer, such as the adapter for
/// a runtime, can then open it, with settings if needed, without knowing the backend.
pub trait Open: PacketSource + Sized {
    /// The settings.
    type Builder: Build<Source = Self>;

    /// The default settings.
    fn builder() -> Self::Builder;

    /// Opens the interface with this name, with the default settings.
    ///
    /// # Errors
    /// There is no such interface, a capability is missing, or a call failed.
    fn open(interface: &str) -> Result<Self, Error>;
}

/// The settings of a source, from which it is opened.
pub trait Build {
    /// The source that is opened.
    type Source: PacketSource;

    /// Opens the source.
    ///
    /// # Errors
    /// A setting is missing or impossible, a capability is missing, or a call failed.
    fn build(self) -> Result<Self::Source, Error>;
}

/// The packets of one batch. They can be iterated more than once.
pub trait PacketBatch {
    /// The packets, oldest first.
    fn packets(&self) -> impl Iterator<Item = Packet<'_>>;
}

/// The result of [`PacketSource::ready`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A batch is available. It has packets, unless a [filter](crate::adapters::Filtered) rejects
    /// all of them.
    Ready,
    /// Nothing now.
    Empty,
    /// Nothing, now or ever: the file is at its end, or a stop handle stopped the capture.
    Ended,
}

impl PacketBatch for PacketVec {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.iter()
    }
}

impl PacketBatch for &PacketVec {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.iter()
    }
}

impl<S: PacketSource + ?Sized> PacketSource for &mut S {
    type Batch<'a>
        = S::Batch<'a>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        (**self).ready()
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        (**self).batch()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        (**self).wait(timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        (**self).stats()
    }

    fn is_live(&self) -> bool {
        (**self).is_live()
    }
}

fn cannot_wait() -> Error {
    Error::Config {
        setting: "PacketSource::wait",
        why: "the source is empty before its end, and does not implement waiting".into(),
    }
}
