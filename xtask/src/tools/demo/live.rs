//! A subscriber that shows a line a second: packets/s, bits/s, active flows, and losses.

use std::time::{Duration, Instant};

use futures::StreamExt;
use netring::flow::extract::FiveTupleKey;
use netring::{BroadcastRecvError, FlowSubscriber};

use super::log::Seen;
use super::{Broadcast, Result};

const EVERY: Duration = Duration::from_secs(1);

/// Shows until the capture ends.
pub(super) async fn show(
    broadcast: &Broadcast,
    mut events: FlowSubscriber<FiveTupleKey>,
) -> Result<()> {
    let mut seen = Seen::default();
    let mut tick = tokio::time::interval(EVERY);
    let (mut packets, mut bytes, mut last) = (0, 0, Instant::now());
    tick.tick().await;
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let stats = broadcast.stats().await?;
                let (delivered, tracked) = (stats.capture.delivered.value().unwrap_or(0), stats.tracker.tracked_bytes);
                let seconds = last.elapsed().as_secs_f64();
                eprintln!(
                    "── {:.0} packets/s  {:.3} Mbit/s  {} active flows  {} packets lost  {} events lost",
                    (delivered - packets) as f64 / seconds,
                    (tracked - bytes) as f64 * 8.0 / 1e6 / seconds,
                    stats.active_flows,
                    stats.capture.dropped,
                    seen.lost,
                );
                (packets, bytes, last) = (delivered, tracked, Instant::now());
            }
            event = events.next() => match event {
                Some(Ok(event)) => seen.take(&event),
                Some(Err(BroadcastRecvError::Lagged(n))) => seen.lost += n,
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            }
        }
    }
}
