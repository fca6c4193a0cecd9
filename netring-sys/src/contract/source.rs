//! The contract of a source: looking for packets, and lending them.

use crate::{Error, Packet, Stats};

/// Lends packets in batches. A capture ring, a capture file, a generator, and any
/// [adapter](crate::adapters) around them implement it; the flow engine and the async adapter know
/// nothing else.
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
/// while source.ready()? == Readiness::Ready {
///     bytes += source
///         .batch()
///         .packets()
///         .map(|packet| packet.data().len())
///         .sum::<usize>();
/// }
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
    /// What [`batch`](Self::batch) lends; it borrows the source, and its packets borrow it.
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

    /// Lends what [`ready`](Self::ready) found; an empty batch if it found nothing.
    ///
    /// Dropping the batch returns all of its memory: all its packets count as delivered.
    fn batch(&mut self) -> Self::Batch<'_>;

    /// The fate of every packet so far. Reading resets nothing.
    ///
    /// # Errors
    /// The system call that reads the figures failed.
    fn stats(&mut self) -> Result<Stats, Error>;

    /// Whether time passes while the source is idle: true for an interface, false for a file. The
    /// host's clock expires flows of live sources only. Adapters forward it.
    fn is_live(&self) -> bool;
}

/// A source that can be opened by the name of an interface. A layer above, such as the adapter for
/// a runtime, can then open it, also with settings, without knowing the backend.
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
    /// What is opened.
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

/// What [`PacketSource::ready`] found.
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

    fn stats(&mut self) -> Result<Stats, Error> {
        (**self).stats()
    }

    fn is_live(&self) -> bool {
        (**self).is_live()
    }
}
