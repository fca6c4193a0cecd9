//! The task, over streams of numbers.

use futures::{StreamExt, stream};

use super::Broadcast;
use crate::broadcast::message::BATCH;

fn numbers(count: u64, capacity: usize) -> Broadcast<u64> {
    Broadcast::new(stream::iter(0..count).map(Ok), capacity)
}

/// On one thread the subscriber runs only if the sender yields.
#[tokio::test]
async fn a_burst_larger_than_the_queue_is_not_lost_to_a_subscriber_that_keeps_up() {
    const N: u64 = 100 * BATCH as u64 + 5;
    let broadcast = numbers(N, 4);
    let mut subscriber = broadcast.subscribe();
    let _never_reads = broadcast.subscribe();
    let mut want = 0;
    while let Some(event) = subscriber.next().await {
        assert_eq!(*event.unwrap(), want);
        want += 1;
    }
    assert_eq!(want, N);
}
