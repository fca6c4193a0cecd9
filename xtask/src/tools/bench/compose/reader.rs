//! The subscribers.

use std::time::Duration;

use netring_async::{BroadcastRecvError, FlowSubscriber};
use netring_flow::FlowEvent;
use netring_flow::extract::FiveTupleKey;
use tokio::time::sleep;

/// What one has read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    pub(super) events: u64,
    /// Events that were reported as lost.
    pub(super) lost: u64,
    /// Of the events, those that are in no figure of the tracker.
    pub(super) anomalies: u64,
    /// Packets of the flows that ended.
    pub(super) packets: u64,
}

pub(super) type End = Result<Read, BroadcastRecvError>;

impl Read {
    pub(super) fn take(&mut self, event: &FlowEvent<FiveTupleKey>) {
        self.events += 1;
        match event {
            FlowEvent::Ended { stats, .. } => self.packets += stats.packets(),
            FlowEvent::Anomaly { .. } => self.anomalies += 1,
            _ => {}
        }
    }
}

/// Reads to the end.
pub(super) async fn read(mut subscriber: FlowSubscriber<FiveTupleKey>, pause: Duration) -> End {
    let mut read = Read::default();
    while let Some(batch) = subscriber.next_batch().await {
        match batch {
            Ok(batch) => batch.iter().for_each(|event| read.take(event)),
            Err(BroadcastRecvError::Lagged(lost)) => read.lost += lost,
            Err(error) => return Err(error),
        }
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
    Ok(read)
}
