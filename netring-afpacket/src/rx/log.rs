//! The log events of a capture.

use netring_sys::{__event, Filter};

use super::capture::Capture;

impl Capture {
    /// It was opened; the event has the granted resources.
    pub(crate) fn log_opened(&self) {
        __event!(
            "capture",
            INFO,
            interface = %self.interface().name,
            index = self.interface().index,
            ring_bytes = self.ring().bytes(),
            ring_blocks = self.ring().block_count,
            immediate = self.ring().slot_size.is_some(),
            clock = ?self.settings().timestamps,
            promiscuous = self.settings().promiscuous,
            link_up = self.interface().is_up(),
            "capture opened"
        );
        if self.ring().is_short() {
            __event!(
                "capture",
                WARN,
                interface = %self.interface().name,
                ring_blocks = self.ring().block_count,
                requested_blocks = self.ring().requested_blocks,
                "the ring is shorter than requested"
            );
        }
    }

    /// Its filter was replaced by this one, or removed.
    pub(super) fn log_filter(&self, filter: Option<&Filter>) {
        match filter {
            Some(filter) => __event!(
                "capture",
                INFO,
                interface = %self.interface().name,
                filter = %filter,
                "filter replaced"
            ),
            None => __event!(
                "capture",
                INFO,
                interface = %self.interface().name,
                "filter removed"
            ),
        }
    }

    /// Its filter was replaced by an eBPF program.
    pub(super) fn log_ebpf_filter(&self) {
        __event!(
            "capture",
            INFO,
            interface = %self.interface().name,
            filter = "eBPF",
            "filter replaced"
        );
    }
}
