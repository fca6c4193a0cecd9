//! A subscriber that is deliberately slow, and learns exactly how many events it lost.

use std::time::Duration;

use futures::StreamExt;
use netring::flow::extract::FiveTupleKey;
use netring::{BroadcastRecvError, FlowSubscriber};

use super::board::{Seen, Shared};

/// The pause after each event.
pub(super) const PAUSE: Duration = Duration::from_millis(8);

pub(super) async fn read(
    mut events: FlowSubscriber<FiveTupleKey>,
    board: Shared,
) -> Result<Seen, BroadcastRecvError> {
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                board.lock().slow.take(&event);
                tokio::time::sleep(PAUSE).await;
            }
            Err(BroadcastRecvError::Lagged(lost)) => board.lock().slow.lost += lost,
            Err(error) => return Err(error),
        }
    }
    Ok(board.lock().slow)
}
