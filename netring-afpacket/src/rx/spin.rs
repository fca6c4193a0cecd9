//! A wait that polls the ring instead of sleeping.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use netring_sys::{Error, PacketSource, Readiness};

/// How often a spinning wait asks for news of the interface, which takes a system call.
const NEWS: Duration = Duration::from_millis(1);

/// Looks until there is a batch, the source has ended, or this time is over. `look` makes no system
/// call; the source's own `ready`, which does, is asked for news now and then.
pub(super) fn spin<S: PacketSource>(
    source: &mut S,
    time: Duration,
    look: impl Fn(&mut S) -> Result<Readiness, Error>,
) -> Result<Readiness, Error> {
    let start = Instant::now();
    let mut next_news = NEWS;
    loop {
        let found = look(source)?;
        if found != Readiness::Empty {
            return Ok(found);
        }
        let spent = start.elapsed();
        if spent >= time {
            return Ok(Readiness::Empty);
        }
        if spent >= next_news {
            next_news = spent + NEWS;
            let found = source.ready()?;
            if found != Readiness::Empty {
                return Ok(found);
            }
        }
        spin_loop();
    }
}
