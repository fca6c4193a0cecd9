//! A subscriber that is deliberately slow, and is told exactly what it lost.

use std::time::Duration;

use futures::StreamExt;
use netring::flow::extract::FiveTupleKey;
use netring::{BroadcastRecvError, FlowSubscriber};

use super::log::Seen;

/// The pause after each event.
const PAUSE: Duration = Duration::from_millis(8);

pub(super) async fn read(
    mut events: FlowSubscriber<FiveTupleKey>,
) -> Result<Seen, BroadcastRecvError> {
    let mut seen = Seen::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                seen.take(&event);
                tokio::time::sleep(PAUSE).await;
            }
            Err(BroadcastRecvError::Lagged(n)) => {
                eprintln!(
                    "── slow subscriber: lost {n} events, has read {}",
                    seen.read
                );
                seen.lost += n;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}
