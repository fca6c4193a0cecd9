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
