//! The last packets of a live source: those that had arrived when the end was requested.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use netring_sys::{PacketSource, Stats};
use tokio::time::{Instant, Sleep, sleep};

use crate::AsyncSource;

/// How long the source may be silent before the rest is given up. The kernel hands over a block
/// that is not full after a fraction of this.
const SILENCE: Duration = Duration::from_secs(1);

/// Detects when all packets that a source had at the beginning have been taken. Packets that arrive
/// meanwhile do not prolong it.
#[derive(Debug)]
pub(crate) struct Drain {
    /// Packets that left the ring by then.
    target: u64,
    silence: Pin<Box<Sleep>>,
}

impl Drain {
    /// `None` if nothing waits in the source, or its figures are not exact. A replay has no
    /// packets that would be lost.
    pub(crate) fn begin<S: PacketSource>(source: &mut AsyncSource<S>) -> Option<Self> {
        if !source.get_ref().is_live() {
            return None;
        }
        let stats = source.stats().ok()?;
        let pending = stats.pending().filter(|pending| *pending > 0)?;
        Some(Self {
            target: taken(&stats)? + pending,
            silence: Box::pin(sleep(SILENCE)),
        })
    }

    /// Call it after each batch. Returns true once no packet is left of those at the beginning.
    pub(crate) fn is_done<S: PacketSource>(&mut self, source: &mut AsyncSource<S>) -> bool {
        self.silence.as_mut().reset(Instant::now() + SILENCE);
        let taken = source.stats().ok().as_ref().and_then(taken);
        taken.is_none_or(|taken| taken >= self.target)
    }

    /// Call it if the source is empty. Ready once the rest is given up.
    pub(crate) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.silence.as_mut().poll(cx)
    }
}

/// Packets that were in the ring and no longer are.
fn taken(stats: &Stats) -> Option<u64> {
    Some(stats.delivered.exact()? + stats.left_out.exact()? + stats.invalid.exact()?)
}
