//! Filtering the packets of a source.

use std::sync::OnceLock;
use std::time::Duration;

use super::inside::source_inside;
use super::part::{self, Chooser, Part};
use crate::contract::{PacketSource, Readiness, Stats};
use crate::{Error, Filter, Matcher};

/// A source that lends the packets that match a [`Filter`]: for capture files, and for filters that
/// differ between readers of one capture. On a ring the kernel's own filter is faster, because
/// rejected packets never enter the ring.
///
/// Packets that do not match are counted in [`Stats::left_out`]. A batch may have no packets at
/// all.
///
/// The filter is compiled for the link type of each packet, of which a file can have several
/// ([`Matcher`]). A packet for which the expression has no meaning, so that neither verdict is
/// right, ends the source: the batch leaves it out, and the next [`ready`](PacketSource::ready)
/// returns the error, which names the link type or the term.
///
/// ```
/// use netring_sys::adapters::Filtered;
/// use netring_sys::{Error, Filter, PacketSource};
///
/// /// Counts the DNS packets of a source.
/// fn dns(source: impl PacketSource) -> Result<u64, Error> {
///     let mut dns = Filtered::new(source, "port 53".parse::<Filter>()?)?;
///     let mut count = 0;
///     dns.for_each(|_| count += 1)?;
///     Ok(count)
/// }
/// ```
#[derive(Debug)]
pub struct Filtered<S> {
    source: S,
    matcher: Matcher,
    lent: u64,
    refusal: OnceLock<Error>,
    is_over: bool,
}

impl<S> Filtered<S> {
    /// Wraps an unread source.
    ///
    /// # Errors
    /// [`Error::Config`] for a filter that is invalid, loads metadata that packets do not carry, or
    /// is impossible on every link type ([`Matcher::new`]).
    pub fn new(source: S, filter: impl Into<Filter>) -> Result<Self, Error> {
        Ok(Self {
            source,
            matcher: Matcher::new(filter)?,
            lent: 0,
            refusal: OnceLock::new(),
            is_over: false,
        })
    }

    /// Reports a packet of the last batch for which the filter has no meaning, and the end after
    /// it.
    fn report(&mut self) -> Result<(), Error> {
        match self.refusal.take() {
            Some(error) => {
                self.is_over = true;
                Err(error)
            }
            None if self.is_over => Err(Error::Closed),
            None => Ok(()),
        }
    }
}

impl<S: PacketSource> PacketSource for Filtered<S> {
    type Batch<'a>
        = Part<'a, S::Batch<'a>>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        self.report()?;
        self.source.ready()
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        let chooser = Chooser {
            matcher: &self.matcher,
            refusal: &self.refusal,
        };
        Part::chosen_by(chooser, self.source.batch(), &mut self.lent)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        self.report()?;
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
