//! Logs lost packets.

use netring_sys::{__event, __is_news, Interface};

/// Packets were lost: `before` so far, and `now`.
pub(super) fn log_lost(interface: &Interface, before: u64, now: u64) {
    if __is_news(before, now) {
        __event!(
            "capture",
            WARN,
            interface = %interface.name,
            dropped = now,
            "packets are lost: the ring is full"
        );
    }
}
