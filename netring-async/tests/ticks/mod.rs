//! Whether a thread stays free while a future is awaited.

use std::time::Duration;

use tokio::time::sleep;

/// Awaits the future, and counts how often a timer of this period fires on the thread meanwhile.
pub(crate) async fn ticks_while<T>(period: Duration, future: impl Future<Output = T>) -> (u32, T) {
    let mut future = std::pin::pin!(future);
    let mut ticks = 0;
    loop {
        tokio::select! {
            biased;
            output = &mut future => return (ticks, output),
            () = sleep(period) => ticks += 1,
        }
    }
}
