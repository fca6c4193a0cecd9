//! Events of followed interfaces.

use std::fmt;

use netring_sys::{__event, Error, Interface};

/// The function called with each event.
pub(super) type OnEvent = Box<dyn FnMut(&JoinEvent) + Send>;

/// Something that happened to an interface after [`Captures`](crate::Captures) was opened.
///
/// Its `Display` form is a line for a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinEvent {
    /// An interface that was not captured from before has joined. The interface is described as of
    /// just before its ring was opened: its counters cover the packets before that.
    Joined(Interface),
    /// An interface has come back under the name of one that was removed.
    Returned(Interface),
    /// An interface that was captured from was removed, or moved to another network namespace. Its
    /// last packets are still lent.
    Removed {
        /// The index that it had.
        index: u32,
        /// The name that it had.
        name: String,
    },
    /// An interface could not be opened. It is tried again when it next appears.
    Failed {
        /// Its name.
        name: String,
        /// Why: a capability was dropped, or there are too many open files.
        error: Error,
    },
}

impl JoinEvent {
    /// Writes to the log.
    pub(super) fn log(&self) {
        match self {
            Self::Joined(interface) => {
                __event!("captures", INFO, interface = %interface.name, "interface joined");
            }
            Self::Returned(interface) => {
                __event!("captures", INFO, interface = %interface.name, "interface returned");
            }
            // The capture of the interface logs it.
            Self::Removed { .. } => {}
            Self::Failed { name, error } => {
                __event!(
                    "captures",
                    WARN,
                    interface = %name,
                    why = %error,
                    "interface could not be opened"
                );
            }
        }
    }
}

impl fmt::Display for JoinEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined(interface) => write!(f, "{} has joined", interface.name),
            Self::Returned(interface) => write!(f, "{} has come back", interface.name),
            Self::Removed { name, .. } => write!(f, "{name} was removed"),
            Self::Failed { name, error } => write!(f, "{name} could not be opened: {error}"),
        }
    }
}

/// How many events of each kind there were. Reading resets nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct JoinCounts {
    /// Interfaces that have joined: [`JoinEvent::Joined`].
    pub joined: u64,
    /// Interfaces that have come back: [`JoinEvent::Returned`].
    pub returned: u64,
    /// Interfaces that were removed: [`JoinEvent::Removed`].
    pub removed: u64,
    /// Interfaces that could not be opened: [`JoinEvent::Failed`].
    pub failed: u64,
}

impl JoinCounts {
    pub(super) const fn add(&mut self, event: &JoinEvent) {
        let count = match event {
            JoinEvent::Joined(_) => &mut self.joined,
            JoinEvent::Returned(_) => &mut self.returned,
            JoinEvent::Removed { .. } => &mut self.removed,
            JoinEvent::Failed { .. } => &mut self.failed,
        };
        *count += 1;
    }
}

/// One line: "3 joined, 1 returned, 1 removed, 0 failed".
impl fmt::Display for JoinCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            joined,
            returned,
            removed,
            failed,
        } = self;
        write!(
            f,
            "{joined} joined, {returned} returned, {removed} removed, {failed} failed"
        )
    }
}
