//! A capture's view of its group.

use netring_sys::Error;

use super::rollover::{self, RolloverStats};
use crate::Capture;

impl Capture {
    /// How often packets of this worker went to another one because its ring was full; `None`
    /// unless it is in a group with [rollover](super::Fanout::rollover). Needs kernel 4.2.
    ///
    /// With [`FanoutMode::Rollover`](super::FanoutMode::Rollover) every packet belongs to the first
    /// worker.
    ///
    /// # Errors
    /// The call that reads the kernel's counters failed.
    #[doc(alias = "PACKET_ROLLOVER_STATS")]
    pub fn rollover_stats(&self) -> Result<Option<RolloverStats>, Error> {
        Ok(rollover::read(self.socket())?)
    }
}
