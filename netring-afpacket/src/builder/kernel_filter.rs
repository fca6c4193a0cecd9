//! The filter beyond a classic program: one in eBPF, and a lock.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use netring_sys::Error;

use super::CaptureBuilder;

impl CaptureBuilder {
    /// An eBPF socket filter (`BPF_PROG_TYPE_SOCKET_FILTER`) by the descriptor of its program
    /// (kernel 3.19), for example from aya or from a pinned file. The kernel keeps the program for
    /// as long as the capture uses it, and its maps with it. Default: none.
    ///
    /// The program returns how many bytes to keep of a packet, 0 to reject it. So it is also the
    /// snap length, and [`filter`](Self::filter) and [`snap_len`](Self::snap_len) are refused
    /// beside it. A program that accepts packets whole returns `u32::MAX` or -1.
    ///
    /// ```no_run
    /// # use std::os::fd::{AsFd, OwnedFd};
    /// use netring_afpacket::Capture;
    ///
    /// # fn example(program: OwnedFd) -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Capture::builder().interface("eth0");
    /// let capture = builder.ebpf_filter(program.try_clone()?).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "SO_ATTACH_BPF")]
    pub fn ebpf_filter(mut self, program: impl Into<OwnedFd>) -> Self {
        self.ebpf_filter = Some(Arc::new(program.into()));
        self
    }

    /// Whether to lock the filter (kernel 3.9): during the lifetime of the capture, neither this
    /// process nor another that gets its socket can replace or remove it, whatever its privileges.
    /// Default: no. A capture without a filter then cannot get one.
    ///
    /// [`Capture::set_filter`](crate::Capture::set_filter) and related methods then fail, and the
    /// filter stays as it was.
    #[doc(alias = "SO_LOCK_FILTER")]
    pub const fn lock_filter(mut self, lock: bool) -> Self {
        self.lock_filter = lock;
        self
    }

    /// The same settings without a filter: a program is as long as its socket uses it, and no
    /// longer.
    pub(crate) fn without_filter(mut self) -> Self {
        (self.filter, self.ebpf_filter) = (None, None);
        self
    }

    /// Refuses an eBPF program that would replace the filter with which a capture of all interfaces
    /// excludes packets sent by loopback.
    pub(crate) fn check_loopback(&self) -> Result<(), Error> {
        if !self.all_interfaces || self.ignore_outgoing.is_some() {
            return Ok(());
        }
        Err(Error::Config {
            setting: "ebpf_filter",
            why: "a capture of all interfaces leaves out what loopback sends by a filter of its own, which this would replace; set \
                  `ignore_outgoing` to say what the program shall see"
                .into(),
        })
    }

    /// Refuses what an eBPF program decides alone.
    pub(super) fn check_kernel_filter(&self) -> Result<(), Error> {
        let (setting, why) = match &self.ebpf_filter {
            Some(_) if self.filter.is_some() => (
                "ebpf_filter",
                "a socket has one filter; set either this or `filter`",
            ),
            Some(_) if self.snap_len.is_some() => (
                "snap_len",
                "the eBPF program returns how many bytes to keep; let it return this length",
            ),
            Some(_) => return self.check_loopback(),
            _ => return Ok(()),
        };
        let why = why.into();
        Err(Error::Config { setting, why })
    }
}
