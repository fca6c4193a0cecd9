//! The log events of a capture.

use netring_sys::{__event, __is_news};

use super::XdpCapture;

impl XdpCapture {
    /// It was opened; the event has the granted resources.
    pub(super) fn log_opened(&self) {
        __event!(
            "capture",
            INFO,
            interface = %self.interface().name,
            index = self.interface().index,
            queues = self.queues().count(),
            mode = %self.mode(),
            metadata = self.has_metadata(),
            link_up = self.interface().is_up(),
            "XDP capture opened"
        );
    }

    /// This many packets are lost so far.
    pub(super) fn log_lost(&mut self, now: u64) {
        if __is_news(self.lost, now) {
            __event!(
                "capture",
                WARN,
                interface = %self.interface().name,
                dropped = now,
                "packets are lost: a ring of AF_XDP is full"
            );
        }
        self.lost = now;
    }
}
