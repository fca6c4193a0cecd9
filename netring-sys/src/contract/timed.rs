//! The outcome of a wait with a timeout.

/// The result of [`PacketSource::next_batch_timeout`](crate::PacketSource::next_batch_timeout).
#[derive(Debug)]
pub enum Timed<B> {
    /// The next batch.
    Batch(B),
    /// The timeout expired first. There may be more batches later.
    TimedOut,
    /// There are no more batches: the file is at its end, or a stop handle stopped the capture.
    Ended,
}

impl<B> Timed<B> {
    /// The batch, if there is one.
    pub fn batch(self) -> Option<B> {
        match self {
            Self::Batch(batch) => Some(batch),
            Self::TimedOut | Self::Ended => None,
        }
    }

    /// Whether the timeout expired first.
    pub const fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut)
    }
}
