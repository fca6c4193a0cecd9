//! A subscriber that only counts.

use futures::StreamExt;
use netring::flow::extract::FiveTupleKey;
use netring::{BroadcastRecvError, FlowSubscriber};

use super::board::Shared;

pub(super) async fn read(
    mut events: FlowSubscriber<FiveTupleKey>,
    board: Shared,
) -> Result<(), BroadcastRecvError> {
    while let Some(event) = events.next().await {
        let mut board = board.lock();
        match event {
            Ok(event) => board.live.take(&event),
            Err(BroadcastRecvError::Lagged(lost)) => board.live.lost += lost,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
