//! Changing the filter of a running capture.

use std::os::fd::AsFd;

use netring_sys::syscall::detach_filter;
use netring_sys::{Error, Filter, errno};

use super::capture::Capture;
use crate::socket;

impl Capture {
    /// Replaces the filter, classic or eBPF, while the capture runs. The kernel replaces it
    /// atomically: each packet is judged by the old filter or by the new one, and none passes
    /// without being judged. The [snap length](crate::CaptureBuilder::snap_len) stays.
    ///
    /// Packets that the old filter had accepted are still delivered: those in the ring, and those
    /// that a processor was receiving at that moment. If they matter, read the capture through
    /// [`Filtered`](netring_sys::adapters::Filtered) with the new filter until those are gone.
    ///
    /// ```no_run
    /// use netring_afpacket::{Capture, Filter};
    ///
    /// let mut capture = Capture::open("eth0")?;
    /// capture.set_filter("arp or udp port 53".parse::<Filter>()?)?;
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid program, for an expression that has no meaning on the
    /// interface's link type, or if the filter is [locked](crate::CaptureBuilder::lock_filter). The
    /// old filter then stays.
    #[doc(alias = "SO_ATTACH_FILTER")]
    pub fn set_filter(&mut self, filter: impl Into<Filter>) -> Result<(), Error> {
        let filter = filter.into();
        filter.check()?;
        self.replace_filter(Some(filter))
    }

    /// Removes the filter while the capture runs: every packet is then captured. The
    /// [snap length](crate::CaptureBuilder::snap_len) stays.
    ///
    /// # Errors
    /// [`Error::Config`] if the filter is [locked](crate::CaptureBuilder::lock_filter).
    #[doc(alias = "SO_DETACH_FILTER")]
    pub fn remove_filter(&mut self) -> Result<(), Error> {
        self.replace_filter(None)
    }

    fn replace_filter(&mut self, filter: Option<Filter>) -> Result<(), Error> {
        let mut settings = self.settings().clone();
        settings.filter = filter;
        let program = settings.program(self.interface())?;
        if program.is_some() || settings.snap_len.is_some() {
            socket::attach(self.socket(), program.as_ref(), settings.snap_len)?;
        } else {
            match detach_filter(self.socket()) {
                Err(error) if error.is(errno::ENOENT) => {}
                other => other.map_err(socket::filter_refused)?,
            }
        }
        self.log_filter(settings.filter.as_ref());
        Ok(())
    }

    /// Replaces the filter by an eBPF socket filter while the capture runs, as
    /// [`set_filter`](Self::set_filter) does with a classic one. See
    /// [`CaptureBuilder::ebpf_filter`](crate::CaptureBuilder::ebpf_filter) for the program.
    ///
    /// # Errors
    /// [`Error::Config`] if the descriptor is not that of a socket filter, if the capture has a
    /// snap length, or if the filter is [locked](crate::CaptureBuilder::lock_filter). The old
    /// filter then stays.
    #[doc(alias = "SO_ATTACH_BPF")]
    pub fn set_ebpf_filter(&mut self, program: impl AsFd) -> Result<(), Error> {
        self.settings().check_loopback()?;
        if let Some(bytes) = self.settings().snap_len {
            return Err(Error::Config {
                setting: "ebpf_filter",
                why: format!(
                    "the capture has a snap length of {bytes} bytes, and an eBPF program returns how many to keep; open it without one"
                ),
            });
        }
        socket::attach_ebpf(self.socket(), program.as_fd())?;
        self.log_ebpf_filter();
        Ok(())
    }
}
