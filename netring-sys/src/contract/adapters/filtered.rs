//! Filtering the packets of a source.

use std::time::Duration;

use super::inside::source_inside;
use super::part::{self, Part};
use crate::contract::{PacketSource, Readiness, Stats};
use crate::{Error, Filter, Matcher};

/// A source that lends the packets that match a [`Filter`]: for capture files, and for filters that
/// differ between readers of one capture. On a ring the kernel's own filter is faster, because
/// rejected packets never enter the ring.
///
/// Packets that do not match are counted in [`Stats::left_out`]. A batch may have no packets at
/// all.
///
/// ```
/// use netring_sys::adapters::Filtered;
/// use netring_sys::kernel::filter::SockFilter;
/// use netring_sys::{Error, PacketSource};
///
/// /// Counts the packets of a source that are longer than 1000 bytes.
/// fn long(source: impl PacketSource) -> Result<u64, Error> {
///     // ld len; jgt #1000; ret #-1; ret #0
///     let mut long = Filtered::new(
///         source,
///         [
///             SockFilter::stmt(0x80, 0),
///             SockFilter::jump(0x25, 1000, 0, 1),
///             SockFilter::stmt(0x06, u32::MAX),
///             SockFilter::stmt(0x06, 0),
///         ],
///     )?;
///     let mut count = 0;
///     long.for_each(|_| count += 1)?;
///     Ok(count)
/// }
/// ```
#[derive(Debug)]
pub struct Filtered<S> {
    source: S,
    matcher: Matcher,
    lent: u64,
}

impl<S> Filtered<S> {
    /// Wraps a source from which nothing was taken yet.
    ///
    /// # Errors
    /// [`Error::Config`] for a filter that is invalid, or loads what packets do not carry
    /// ([`Matcher::new`]).
    pub fn new(source: S, filter: impl Into<Filter>) -> Result<Self, Error> {
        Ok(Self {
            source,
            matcher: Matcher::new(filter)?,
            lent: 0,
        })
    }
}

impl<S: PacketSource> PacketSource for Filtered<S> {
    type Batch<'a>
        = Part<'a, S::Batch<'a>>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        self.source.ready()
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        Part::chosen_by(&self.matcher, self.source.batch(), &mut self.lent)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        self.source.wait(timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(part::stats(self.source.stats()?, self.lent))
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }
}

source_inside!(Filtered);
