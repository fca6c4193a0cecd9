//! Limiting a source to its first packets.

use std::time::Duration;

use super::inside::source_inside;
use super::part::{self, Part};
use crate::Error;
use crate::contract::{PacketSource, Readiness, Stats};

/// A source that ends after a number of packets, as `tcpdump -c` does.
///
/// The rest of the last batch is counted in [`Stats::left_out`]; later packets stay in the inner
/// source.
///
/// ```
/// use netring_sys::adapters::Limit;
/// use netring_sys::{Error, PacketSource};
///
/// /// The lengths of the first ten packets.
/// fn lengths(source: impl PacketSource) -> Result<Vec<u32>, Error> {
///     let mut first = Limit::new(source, 10);
///     let mut lengths = Vec::new();
///     first.for_each(|packet| lengths.push(packet.wire_len()))?;
///     Ok(lengths)
/// }
/// ```
#[derive(Debug)]
pub struct Limit<S> {
    source: S,
    limit: u64,
    lent: u64,
}

impl<S> Limit<S> {
    /// Wraps an unread source; it ends after `limit` packets.
    pub const fn new(source: S, limit: u64) -> Self {
        Self {
            source,
            limit,
            lent: 0,
        }
    }

    /// The number of packets that it will still lend.
    pub const fn left(&self) -> u64 {
        self.limit - self.lent
    }
}

impl<S: PacketSource> PacketSource for Limit<S> {
    type Batch<'a>
        = Part<'a, S::Batch<'a>>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        if self.left() == 0 {
            return Ok(Readiness::Ended);
        }
        self.source.ready()
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        let left = self.left();
        let batch = (left > 0).then(|| self.source.batch());
        Part::up_to(left, batch, &mut self.lent)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        if self.left() == 0 {
            return Ok(Readiness::Ended);
        }
        self.source.wait(timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        Ok(part::stats(self.source.stats()?, self.lent))
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }
}

source_inside!(Limit);
