//! Work in bounded steps, with waits between them.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::StopHandle;
use crate::Error;
use crate::syscall::poll_readable_any;

/// Work that is done in bounded steps and never blocks, such as that of a bridge: it reads from two
/// sources, and what it waits for is the business of whoever drives it. [`work`] does that on the
/// current thread, and a runtime's adapter in a task.
pub trait Work {
    /// Does a bounded part of the work.
    ///
    /// # Errors
    /// If [`Error::is_terminal`] is false, the error is a report: call again. Any other error is
    /// final.
    fn step(&mut self) -> Result<Step, Error>;

    /// The descriptors that become readable when there may be more to do, edge or level triggered.
    /// They are the same for as long as the work is driven.
    fn descriptors(&self) -> [BorrowedFd<'_>; 2];

    /// What ends the work from any thread: the next step is [`Step::Done`].
    fn stop_handle(&self) -> &StopHandle;
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more to do now.
    Busy,
    /// Nothing more can be done now.
    Wait {
        /// Which of the descriptors may be waited for; the others may be readable all the time.
        on: [bool; 2],
        /// When to look again at the latest; `None` waits for the descriptors only.
        at_most: Option<Duration>,
    },
    /// The work is over.
    Done,
}

/// Does the work on this thread, and sleeps while there is none.
///
/// # Errors
/// The terminal errors of [`Work::step`], or the failed wait.
pub fn work(work: &mut impl Work) -> Result<(), Error> {
    loop {
        match work.step() {
            Ok(Step::Busy) => {}
            Ok(Step::Wait { on, at_most }) => {
                let sources = work.descriptors().into_iter().zip(on);
                let sources = sources.filter_map(|(source, wanted)| wanted.then_some(source));
                let all = sources.chain([work.stop_handle().as_fd()]);
                poll_readable_any(all, at_most)?;
            }
            Ok(Step::Done) => return Ok(()),
            Err(error) if error.is_terminal() => return Err(error),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::{event, event_signal};
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    /// Returns one step after the other, and then `Done`.
    struct Script {
        steps: Vec<Result<Step, Error>>,
        descriptors: [OwnedFd; 2],
        stop: StopHandle,
    }

    impl Script {
        fn new(steps: impl IntoIterator<Item = Result<Step, Error>>) -> Self {
            Self {
                steps: steps.into_iter().collect(),
                descriptors: [event().unwrap(), event().unwrap()],
                stop: StopHandle::new().unwrap(),
            }
        }
    }

    impl Work for Script {
        fn step(&mut self) -> Result<Step, Error> {
            match self.steps.is_empty() || self.stop.is_stopped() {
                true => Ok(Step::Done),
                false => self.steps.remove(0),
            }
        }

        fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
            [self.descriptors[0].as_fd(), self.descriptors[1].as_fd()]
        }

        fn stop_handle(&self) -> &StopHandle {
            &self.stop
        }
    }

    fn down() -> Error {
        Error::LinkDown {
            interface: "v0".into(),
            was_up: true,
        }
    }

    #[test]
    fn reports_are_passed_over_and_errors_end_it() {
        let mut script = Script::new([Ok(Step::Busy), Err(down()), Ok(Step::Busy)]);
        work(&mut script).unwrap();
        assert!(script.steps.is_empty());
        let mut script = Script::new([Ok(Step::Busy), Err(Error::Closed), Ok(Step::Busy)]);
        assert!(matches!(work(&mut script), Err(Error::Closed)));
        assert_eq!(script.steps.len(), 1);
    }

    #[test]
    fn a_wait_is_for_the_descriptors_that_it_names_and_for_its_time() {
        let time = Duration::from_millis(20);
        let wait = |on, at_most| Ok(Step::Wait { on, at_most });
        let mut script = Script::new([wait([false, true], Some(time)), wait([true, true], None)]);
        // Readable all the time: the first wait is not for it, and the second ends at once.
        event_signal(script.descriptors[0].as_fd()).unwrap();
        let start = Instant::now();
        work(&mut script).unwrap();
        assert!(start.elapsed() >= time && script.steps.is_empty());
    }

    #[test]
    fn a_stop_ends_a_wait_for_nothing() {
        let on = [false, false];
        let mut script = Script::new([Ok(Step::Wait { on, at_most: None })]);
        let stop = script.stop.clone();
        let stopper = std::thread::spawn(move || stop.stop());
        work(&mut script).unwrap();
        stopper.join().unwrap();
    }
}
