//! A wait that looks at the ring instead of sleeping.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use netring_sys::{Error, PacketSource, Readiness};

use super::capture::Capture;

/// How often a spinning wait asks for news of the interface, which takes a system call.
const NEWS: Duration = Duration::from_millis(1);

/// Looks until there is a batch, the capture is stopped, or this time is over. It makes no system
/// call but for the one that asks for news.
pub(super) fn spin(capture: &mut Capture, time: Duration) -> Result<Readiness, Error> {
    let start = Instant::now();
    let mut next_news = NEWS;
    loop {
        if capture.is_stopped() {
            return Ok(Readiness::Ended);
        }
        if capture.look()? {
            return Ok(Readiness::Ready);
        }
        let spent = start.elapsed();
        if spent >= time {
            return Ok(Readiness::Empty);
        }
        if spent >= next_news {
            next_news = spent + NEWS;
            let found = capture.ready()?;
            if found != Readiness::Empty {
                return Ok(found);
            }
        }
        spin_loop();
    }
}
