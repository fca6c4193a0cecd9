//! A type-erased source.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::contract::{PacketBatch, PacketSource, Readiness, Stats};
use crate::{Error, Packet};

/// A source of any type, for programs that choose it, or the adapters around it, at run time.
///
/// ```
/// use netring_sys::adapters::{AnySource, Filtered, Limit};
/// use netring_sys::{Error, Filter, PacketSource};
///
/// /// Adds what the command line asks for.
/// fn chosen(
///     source: impl PacketSource + Send + 'static,
///     filter: Option<Filter>,
///     count: Option<u64>,
/// ) -> Result<AnySource, Error> {
///     let mut source = AnySource::new(source);
///     if let Some(filter) = filter {
///         source = AnySource::new(Filtered::new(source, filter)?);
///     }
///     if let Some(count) = count {
///         source = AnySource::new(Limit::new(source, count));
///     }
///     Ok(source)
/// }
/// ```
///
/// It costs two allocations per batch, and a virtual call per packet. An enum of a few known types,
/// such as `netring::Input`, costs neither.
///
/// A runtime needs the [descriptor](Self::descriptor) of a live source, which
/// [`with_descriptor`](Self::with_descriptor) keeps.
pub struct AnySource(Box<dyn Source>);

/// The packets of one batch of an [`AnySource`]. Dropping it returns all of their memory.
pub struct AnyBatch<'a>(Box<dyn Batch + 'a>);

impl AnySource {
    /// Erases the type of a source.
    pub fn new(source: impl PacketSource + Send + 'static) -> Self {
        Self::with_descriptor(source, |_| None)
    }

    /// Erases the type of a source, and keeps its descriptor if it has one:
    /// `|source| Some(source.as_fd())`.
    pub fn with_descriptor<S: PacketSource + Send + 'static>(
        source: S,
        descriptor: fn(&S) -> Option<BorrowedFd<'_>>,
    ) -> Self {
        Self(Box::new(Erased { source, descriptor }))
    }

    /// The descriptor of the source; `None` if it was made with [`new`](Self::new).
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor()
    }
}

impl PacketSource for AnySource {
    type Batch<'a> = AnyBatch<'a>;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        self.0.ready()
    }

    #[inline]
    fn batch(&mut self) -> AnyBatch<'_> {
        AnyBatch(self.0.batch())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        self.0.wait(timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.0.stats()
    }

    fn is_live(&self) -> bool {
        self.0.is_live()
    }
}

impl PacketBatch for AnyBatch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.packets()
    }
}

impl fmt::Debug for AnySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnySource").finish_non_exhaustive()
    }
}

impl fmt::Debug for AnyBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyBatch").finish_non_exhaustive()
    }
}

struct Erased<S> {
    source: S,
    descriptor: fn(&S) -> Option<BorrowedFd<'_>>,
}

/// [`PacketSource`] in a form that can be behind a pointer.
trait Source: Send {
    fn ready(&mut self) -> Result<Readiness, Error>;
    fn batch(&mut self) -> Box<dyn Batch + '_>;
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error>;
    fn stats(&mut self) -> Result<Stats, Error>;
    fn is_live(&self) -> bool;
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
}

impl<S: PacketSource + Send> Source for Erased<S> {
    fn ready(&mut self) -> Result<Readiness, Error> {
        self.source.ready()
    }

    fn batch(&mut self) -> Box<dyn Batch + '_> {
        Box::new(self.source.batch())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        self.source.wait(timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.source.stats()
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (self.descriptor)(&self.source)
    }
}

/// [`PacketBatch`] in a form that can be behind a pointer.
trait Batch {
    fn packets(&self) -> Box<dyn Iterator<Item = Packet<'_>> + '_>;
}

impl<B: PacketBatch> Batch for B {
    fn packets(&self) -> Box<dyn Iterator<Item = Packet<'_>> + '_> {
        Box::new(PacketBatch::packets(self))
    }
}
