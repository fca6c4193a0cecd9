//! The settings of captures from several interfaces.

use std::fmt;

use netring_sys::wait::{InterfaceTable, Merge};
use netring_sys::{Error, Interface};

use super::Captures;
use super::event::{JoinEvent, OnEvent};
use super::follow::Follower;
use super::rules::{Rules, Wanted};
use crate::builder::CaptureBuilder;
use crate::builder::namespace::inside;

/// The settings of [`Captures`], from [`Captures::builder`].
#[must_use = "nothing is opened before `build`"]
pub struct CapturesBuilder {
    each: CaptureBuilder,
    wanted: Wanted,
    join: bool,
    reopen: bool,
    on_event: OnEvent,
}

impl CapturesBuilder {
    pub(super) fn new(each: CaptureBuilder) -> Self {
        Self {
            each,
            wanted: Wanted::Names(Vec::new()),
            join: false,
            reopen: false,
            on_event: Box::new(|_| {}),
        }
    }

    /// The names of the interfaces. An alternative name is resolved when its interface is opened.
    /// Required, unless they are chosen by [`matching`](Self::matching).
    pub fn interfaces<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.wanted = Wanted::Names(names.into_iter().map(N::into).collect());
        self
    }

    /// All interfaces for which `matches` returns true, instead of a list of names. It is called
    /// once for each interface that exists, and for those that appear later.
    ///
    /// ```no_run
    /// use netring_afpacket::{Capture, Captures};
    ///
    /// let captures = Captures::builder(Capture::builder())
    ///     .matching(|interface| !interface.is_loopback())
    ///     .build()?;
    /// # Ok::<(), netring_sys::Error>(())
    /// ```
    pub fn matching(mut self, matches: impl Fn(&Interface) -> bool + Send + 'static) -> Self {
        self.wanted = Wanted::Matching(Box::new(matches));
        self
    }

    /// Whether interfaces that appear later join, if they are named or match: those that are
    /// created, moved into the network namespace, or renamed. Default: no.
    ///
    /// A named interface then need not exist yet. An interface that is down joins as well. For
    /// interfaces that were captured from before, see [`reopen`](Self::reopen).
    pub const fn join(mut self, join: bool) -> Self {
        self.join = join;
        self
    }

    /// Whether to reopen an interface that was captured from, was removed and comes back under the
    /// same name. Default: no.
    ///
    /// It is a different interface with the same name: it has another index. The last 65,536 names
    /// are remembered.
    pub const fn reopen(mut self, reopen: bool) -> Self {
        self.reopen = reopen;
        self
    }

    /// Calls `on_event` when an interface joins, comes back, is removed or cannot be opened.
    /// Default: none; [`Captures::joins`] counts in any case.
    ///
    /// It runs on the thread that opens captures, before the first packet of an interface is lent.
    /// Meanwhile no further interface joins; those that have joined are read.
    pub fn on_event(mut self, on_event: impl FnMut(&JoinEvent) + Send + 'static) -> Self {
        self.on_event = Box::new(on_event);
        self
    }

    /// Opens the captures. If interfaces are followed, this starts a thread, in the network
    /// namespace of this one or in the [given](CaptureBuilder::namespace) one, that listens to
    /// netlink and opens interfaces as they appear, so that no reader waits for that.
    ///
    /// # Errors
    /// The errors of [`CaptureBuilder::build`] for each interface; [`Error::Config`] if no
    /// interface is named or matches, if the settings of each name one, or if interfaces should be
    /// followed but a sandbox forbids netlink.
    pub fn build(self) -> Result<Captures, Error> {
        let namespace = self.each.namespace.clone();
        inside(namespace.as_ref(), || self.build_here())
    }

    fn build_here(mut self) -> Result<Captures, Error> {
        self.check()?;
        let follows = self.join || self.reopen;
        // First, so that no interface that appears meanwhile is missed.
        let table = match follows {
            true => Some(InterfaceTable::new().map_err(cannot_follow)?),
            false => None,
        };
        let mut merge = Merge::new([])?;
        let mut rules = Rules::new(self.join, self.reopen);
        for name in self.found()? {
            match self.each.clone().interface(&name).build() {
                Ok(capture) if rules.holds(capture.interface().index) => {}
                Ok(capture) => {
                    rules.hold(capture.interface());
                    self.also_named(&name, capture.interface());
                    merge.add(capture)?;
                }
                // It is waited for, or was gone before it could be opened.
                Err(Error::NoSuchInterface { .. }) if self.may_be_missing() => {}
                Err(error) => return Err(error),
            }
        }
        if merge.sources().len() == 0 && !self.join {
            return Err(refused(
                "interfaces",
                "none matches, and none may join later; set `join`",
            ));
        }
        let follower = table.map(|table| {
            let Self {
                each,
                wanted,
                on_event,
                ..
            } = self;
            let joiner = merge.joiner();
            Follower::start(table, rules, each, wanted, on_event, joiner)
        });
        let follower = follower.transpose()?;
        Ok(Captures { merge, follower })
    }

    fn check(&self) -> Result<(), Error> {
        if self.each.all_interfaces || !self.each.interface.is_empty() {
            let why = "the settings of each capture name one already; name all of them here";
            return Err(refused("interfaces", why));
        }
        if matches!(&self.wanted, Wanted::Names(names) if names.is_empty()) {
            let why =
                "none is named; name the interfaces to capture from, or choose them by `matching`";
            return Err(refused("interfaces", why));
        }
        // Now, and not when the first interface appears.
        self.each.clone().interface("any name").check()
    }

    /// The names of those to open now.
    fn found(&self) -> Result<Vec<String>, Error> {
        match &self.wanted {
            Wanted::Names(names) => Ok(names.clone()),
            Wanted::Matching(matches) => {
                let all = Interface::all()?.into_iter();
                Ok(all
                    .filter(matches)
                    .map(|interface| interface.name)
                    .collect())
            }
        }
    }

    const fn may_be_missing(&self) -> bool {
        self.join || matches!(self.wanted, Wanted::Matching(_))
    }

    /// The interface was opened by `name`, which may be an alternative name.
    fn also_named(&mut self, name: &str, interface: &Interface) {
        if let Wanted::Names(names) = &mut self.wanted
            && name != interface.name
        {
            names.push(interface.name.clone());
        }
    }
}

impl fmt::Debug for CapturesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CapturesBuilder")
            .field("each", &self.each)
            .field("join", &self.join)
            .field("reopen", &self.reopen)
            .finish_non_exhaustive()
    }
}

fn refused(setting: &'static str, why: &str) -> Error {
    let why = why.into();
    Error::Config { setting, why }
}

fn cannot_follow(error: Error) -> Error {
    Error::Config {
        setting: "join, reopen",
        why: format!(
            "netlink announces interfaces that appear, and cannot be used: {error}; permit it, or set neither"
        ),
    }
}
