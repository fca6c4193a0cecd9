//! Makes the kernel send committed frames, and determines their fate.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netring_sys::errno::{
    EAGAIN, EFAULT, EINTR, EINVAL, EMSGSIZE, ENETDOWN, ENOBUFS, ENODEV, ENOMEM, ENXIO,
};
use netring_sys::syscall::{kick_packet_ring, link_facts};
use netring_sys::{Error, SyscallError};

use super::injector::Injector;
use super::limits::Fault;
use super::stamps::Stamps;

/// How often to check the interface while frames are sent: three system calls, which take as long
/// as ten frames.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Why the kernel stopped.
enum Stop {
    /// It took all visible frames, or found the socket's buffer full after some.
    Done,
    /// No room now: the frames stay where they are.
    Full,
    /// It refused the first frame that it did not take.
    Refused,
}

impl Injector {
    /// Sends committed frames. Returns how many the kernel has not taken.
    pub(super) fn send_committed(&mut self) -> Result<usize, Error> {
        self.reclaim();
        let mut waiting = self.ring.waiting();
        if waiting == 0 {
            return Ok(0);
        }
        self.look_at_link()?;
        waiting = self.ring.waiting();
        // Each round sends or rejects a frame, so the loop ends.
        while waiting > 0 {
            let stop = self.kick(waiting)?;
            let left = self.ring.waiting();
            let progress = left < waiting;
            waiting = left;
            match stop {
                Stop::Refused if waiting > 0 => {
                    self.reject_first(waiting);
                    waiting = self.ring.waiting();
                }
                Stop::Done if progress => {}
                _ => break,
            }
        }
        Ok(waiting)
    }

    /// One call to the kernel, for all waiting frames, or as many as there is room for timestamps.
    fn kick(&mut self, waiting: usize) -> Result<Stop, Error> {
        let some = self.stamps.as_ref().map(|_| Stamps::AT_ONCE);
        if let Some(some) = some {
            self.ring.hide(waiting, some, true);
        }
        self.counts.kicks += 1;
        let kicked = kick_packet_ring(self.socket.as_fd());
        let left = match some {
            None => 0,
            Some(some) => {
                // The hidden frame looks as if it was done until it is shown again.
                self.ring.hide(waiting, some, false);
                self.ring.waiting()
            }
        };
        let attempted = self.stamps.is_some() && self.attempted(&kicked, left);
        if let Some(stamps) = &mut self.stamps {
            stamps.taken(waiting - left.min(waiting), attempted);
            stamps.receive(self.socket.as_fd())?;
        }
        self.reclaim();
        match kicked {
            Ok(()) => Ok(Stop::Done),
            Err(error) => self.stopped(error),
        }
    }

    fn stopped(&self, error: SyscallError) -> Result<Stop, Error> {
        let is_one_of = |errors: &[i32]| errors.iter().any(|errno| error.is(*errno));
        if is_one_of(&[EAGAIN, EINTR, ENOBUFS, ENOMEM]) {
            return Ok(Stop::Full);
        }
        if is_one_of(&[EMSGSIZE, EINVAL, EFAULT]) {
            return Ok(Stop::Refused);
        }
        Err(self.failed(error))
    }

    /// The error of a failed call; it reports an interface that is down or removed as such.
    fn failed(&self, error: SyscallError) -> Error {
        let removed = error.is(ENXIO) || error.is(ENODEV);
        if !removed && !error.is(ENETDOWN) {
            return error.into();
        }
        match removed {
            true => Error::InterfaceRemoved {
                interface: self.interface.name.clone(),
            },
            false => self.is_down(),
        }
    }

    fn is_down(&self) -> Error {
        Error::LinkDown {
            interface: self.interface.current_name(),
            was_up: false,
        }
    }

    /// Checks whether the interface sends, and which lengths, unless that was just done.
    ///
    /// If it has no carrier, the kernel silently drops frames. It also does not check frames with a
    /// virtio header against the MTU.
    fn look_at_link(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if let Some(before) = self.looked
            && now.saturating_duration_since(before) < LOOK_EVERY
        {
            return Ok(());
        }
        self.looked = None;
        let facts = link_facts(self.socket.as_fd(), self.interface.index)
            .map_err(|error| self.failed(error))?;
        let shrank = self.limits.set_mtu(facts.mtu) || self.shrank;
        if shrank {
            self.shrank = false;
            self.reject_too_long();
        }
        if !facts.is_up {
            return Err(self.is_down());
        }
        self.looked = Some(now);
        Ok(())
    }

    /// The MTU became smaller: rejects what no longer fits.
    fn reject_too_long(&mut self) {
        let (limits, waiting) = (self.limits, self.ring.waiting());
        self.remove(waiting, |waits, counts| {
            let fault = limits.check(waits.frame, waits.is_segmented);
            let rejected = matches!(fault, Err(Fault::TooLong { .. }));
            counts.rejected.too_long += u64::from(rejected);
            rejected
        });
    }

    /// Whether the kernel had begun to send the frame that it stopped at, the first of those that
    /// wait, and so numbered it.
    fn attempted(&mut self, kicked: &Result<(), SyscallError>, waiting: usize) -> bool {
        let Err(error) = kicked else {
            return false;
        };
        if error.is(EMSGSIZE) {
            self.refresh_mtu();
            return self
                .limits
                .passes_first_check(self.ring.first_waiting(waiting).len());
        }
        let begun = [ENOBUFS, ENOMEM, EINVAL, EFAULT];
        begun.iter().any(|errno| error.is(*errno))
    }

    /// The MTU may have grown: rereads it for a frame that fits a slot but would be refused.
    #[cold]
    pub(super) fn accept_larger_mtu(&mut self, len: usize) {
        if len <= self.ring.capacity() {
            self.refresh_mtu();
        }
    }

    /// Reads the MTU between flushes, or during one. The next one compares the frames that wait
    /// with it.
    fn refresh_mtu(&mut self) {
        // If this fails, the next flush reports it.
        if let Ok(facts) = link_facts(self.socket.as_fd(), self.interface.index)
            && self.limits.set_mtu(facts.mtu)
        {
            (self.shrank, self.looked) = (true, None);
        }
    }

    /// The kernel refused the first frame that it did not take.
    fn reject_first(&mut self, waiting: usize) {
        self.refresh_mtu();
        let limits = self.limits;
        self.remove(waiting, |waits, counts| {
            if waits.nth > 0 {
                return false;
            }
            match limits.check(waits.frame, waits.is_segmented) {
                Err(Fault::TooLong { .. }) => counts.rejected.too_long += 1,
                Err(Fault::TooShort { .. }) => counts.rejected.too_short += 1,
                Ok(()) => counts.rejected.invalid += 1,
            }
            true
        });
    }
}
