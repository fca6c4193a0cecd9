//! Spinning before a wait sleeps.

use std::time::Duration;

use super::CaptureBuilder;

impl CaptureBuilder {
    /// How long a blocking wait polls the ring before it sleeps. Default: zero, it sleeps at once.
    ///
    /// A thread that sleeps takes some microseconds to wake up; one that spins has the packet as
    /// soon as the kernel has written it, at the price of a whole processor. Choose it together
    /// with [`Profile::Immediate`](crate::Profile::Immediate), which hands over each packet at
    /// once, and give the thread its own processor: on that of the driver's softirq it delays the
    /// packets that it waits for. [`Duration::MAX`] never sleeps. Stops and timeouts still work,
    /// and so do changes of the link, within a millisecond.
    ///
    /// It applies to the waits of [`PacketSource`](netring_sys::PacketSource) and the loops that
    /// are built on them. Async readers do not block a thread, and so do not spin; nor do
    /// [`Captures`](crate::Captures), which wait for several rings.
    ///
    /// The kernel's own busy polling (`SO_BUSY_POLL`, `SO_PREFER_BUSY_POLL`,
    /// `SO_BUSY_POLL_BUDGET`) is not offered because it does nothing for a packet socket: the
    /// kernel polls the receive queue that a socket's packets came from, and does not record that
    /// for packet sockets. AF_XDP sockets have it (`busy_poll` of `netring_xdp`).
    #[doc(alias = "SO_BUSY_POLL")]
    #[doc(alias = "SO_PREFER_BUSY_POLL")]
    #[doc(alias = "SO_BUSY_POLL_BUDGET")]
    #[doc(alias = "busy_poll")]
    pub const fn spin(mut self, time: Duration) -> Self {
        self.spin = time;
        self
    }
}
