//! How to capture from an interface: backend, profile and number of workers, with the reasons.
//!
//! It considers what an [interface reports about itself](Interface::information) and what the
//! program needs, and opens nothing. [`auto`](crate::auto) tries instead of predicting, and
//! discovers what drivers do not report.
//!
//! ```
//! use netring::Interface;
//! use netring::auto::Backend;
//! use netring::suggest::{Goal, Reason, Wants};
//!
//! let lo = Interface::by_name("lo")?;
//! let wants = Wants::new().cores(4).goal(Goal::Throughput);
//! let suggestion = wants.suggest(&lo, &lo.information()?);
//! assert_eq!(suggestion.backend, Backend::AfPacket);
//! assert_eq!(suggestion.workers, 4);
//! assert!(suggestion.reasons.contains(&Reason::DivertNotPermitted));
//! for reason in &suggestion.reasons {
//!     println!("{reason}");
//! }
//! # Ok::<(), netring::Error>(())
//! ```

mod reason;
#[cfg(test)]
mod tests;

use std::fmt;

use netring_sys::syscall::page_size;

pub use self::reason::Reason;
use crate::auto::Backend;
use crate::{Interface, InterfaceInformation, Profile, XdpFeatures};

/// Bytes of a frame that the MTU does not count: an Ethernet header and two VLAN tags.
const HEADER: u32 = 22;
/// The MTU from which frames count as jumbo frames.
const JUMBO: u32 = 9000;
/// The speed, in Mbit/s, from which a million packets a second are to be expected.
const FAST: u32 = 10_000;
/// Features that join packets as they are received.
const JOINING: [&str; 3] = ["rx-gro", "rx-gro-hw", "rx-lro"];

/// What matters most to a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Goal {
    /// Moderate memory, few wake-ups, and no loss at the speed of the link.
    #[default]
    Balanced,
    /// No loss during long pauses and at high rates.
    Throughput,
    /// Each packet as soon as possible.
    Latency,
    /// Little memory.
    Memory,
}

/// The needs of a program, and what it permits.
#[derive(Clone, Debug)]
#[must_use = "`suggest` makes a suggestion of it"]
pub struct Wants {
    cores: u32,
    goal: Goal,
    divert: bool,
    divert_default_route: bool,
}

/// How to capture from an interface. `{}` prints it in one line, without the reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suggestion {
    /// The backend.
    pub backend: Backend,
    /// What the rings should be sized for.
    pub profile: Profile,
    /// Threads that read, at least 1: the members of a [`FanoutGroup`](crate::FanoutGroup) for
    /// AF_PACKET, or [`XdpCapture::into_workers`](crate::XdpCapture::into_workers) for AF_XDP.
    pub workers: u32,
    /// The reasons: first for the backend, then for the workers and the profile, and further notes.
    pub reasons: Vec<Reason>,
}

impl Wants {
    /// One processor, [`Goal::Balanced`], and packets stay with the host.
    pub const fn new() -> Self {
        Self {
            cores: 1,
            goal: Goal::Balanced,
            divert: false,
            divert_default_route: false,
        }
    }

    /// Processors that may read packets. Default: 1; 0 counts as 1.
    pub const fn cores(mut self, cores: u32) -> Self {
        self.cores = cores;
        self
    }

    /// What matters most. Default: [`Goal::Balanced`].
    pub const fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    /// Whether captured packets may be taken away from this host, as
    /// [`auto::Builder::divert`](crate::auto::Builder::divert) does. Default: no.
    pub const fn divert(mut self, divert: bool) -> Self {
        self.divert = divert;
        self
    }

    /// Whether that also applies to an interface with a default route, as
    /// [`auto::Builder::divert_default_route`](crate::auto::Builder::divert_default_route) does.
    /// Default: no.
    pub const fn divert_default_route(mut self, divert: bool) -> Self {
        self.divert_default_route = divert;
        self
    }

    /// Makes a suggestion for an interface from its [information](Interface::information). Makes no
    /// system calls and opens nothing.
    pub fn suggest(&self, interface: &Interface, information: &InterfaceInformation) -> Suggestion {
        let mut reasons = Vec::new();
        let (backend, why) = self.backend(interface, information);
        reasons.push(why);
        let workers = self.workers(backend, interface, &mut reasons);
        let profile = self.profile(backend, interface, information, &mut reasons);
        for feature in JOINING {
            if information.is_active(feature) == Some(true) {
                reasons.push(Reason::JoinedPackets { feature });
            }
        }
        Suggestion {
            backend,
            profile,
            workers,
            reasons,
        }
    }

    fn backend(
        &self,
        interface: &Interface,
        information: &InterfaceInformation,
    ) -> (Backend, Reason) {
        let stay = |why| (Backend::AfPacket, why);
        let name = || interface.name.clone();
        if !self.divert {
            return stay(Reason::DivertNotPermitted);
        }
        match information.carries_default_route {
            _ if self.divert_default_route => {}
            Some(false) => {}
            Some(true) => return stay(Reason::DefaultRoute { interface: name() }),
            None => return stay(Reason::DefaultRouteUnknown { interface: name() }),
        }
        if interface.xdp.is_some() {
            return stay(Reason::ProgramInTheWay { interface: name() });
        }
        let Some(xdp) = information.xdp else {
            return stay(Reason::XdpUnknown);
        };
        by_driver(&xdp, interface.mtu)
    }

    fn workers(&self, backend: Backend, interface: &Interface, why: &mut Vec<Reason>) -> u32 {
        let (cores, queues) = (self.cores.max(1), interface.rx_queues.max(1));
        let (workers, reason) = match backend {
            _ if cores == 1 => (1, Reason::OneProcessor),
            _ if self.goal == Goal::Memory => (1, Reason::RingOfEachWorker),
            Backend::AfPacket => (cores, Reason::Fanout { cores }),
            _ if queues < cores => (queues, Reason::FewQueues { queues, cores }),
            _ => (cores, Reason::Queues { queues, cores }),
        };
        why.push(reason);
        workers
    }

    fn profile(
        &self,
        backend: Backend,
        interface: &Interface,
        information: &InterfaceInformation,
        why: &mut Vec<Reason>,
    ) -> Profile {
        let mtu = interface.mtu;
        // The speed of a device without a card is nominal.
        let is_card = information
            .driver
            .as_ref()
            .is_some_and(|it| it.bus.is_some());
        let speed = information.speed.filter(|_| is_card);
        let (profile, reason) = match (self.goal, speed) {
            (Goal::Memory, _) => (Profile::LowMemory, Reason::Goal(self.goal)),
            (Goal::Latency, _) => {
                let profile = match backend {
                    Backend::AfPacket => Profile::Immediate,
                    _ => Profile::LowLatency,
                };
                (profile, Reason::Goal(self.goal))
            }
            // The loopback interface has a large MTU and joins packets anyway.
            (Goal::Balanced | Goal::Throughput, _) if mtu >= JUMBO && !interface.is_loopback() => {
                (Profile::Jumbo, Reason::JumboFrames { mtu })
            }
            (Goal::Throughput, _) => (Profile::HighThroughput, Reason::Goal(self.goal)),
            (Goal::Balanced, Some(speed @ FAST..)) => {
                (Profile::HighThroughput, Reason::FastLink { speed })
            }
            (Goal::Balanced, _) => (Profile::Default, Reason::Goal(self.goal)),
        };
        why.push(reason);
        profile
    }
}

/// The best mode of AF_XDP that can hold every packet; AF_PACKET if there is none.
fn by_driver(xdp: &XdpFeatures, mtu: u32) -> (Backend, Reason) {
    if !(xdp.native && xdp.redirect) {
        return (Backend::AfPacket, Reason::NoNativeMode);
    }
    let is_long = mtu.saturating_add(HEADER) > one_buffer();
    let segments = xdp.zero_copy_segments.unwrap_or(1);
    if xdp.zero_copy && (!is_long || segments > 1) {
        return (Backend::XdpZeroCopy, Reason::ZeroCopy);
    }
    if is_long && !xdp.receive_segments {
        return (Backend::AfPacket, Reason::LongPackets { mtu });
    }
    (Backend::XdpNative, Reason::NativeMode)
}

/// Bytes of the longest frame that drivers put into one buffer for XDP: a page without 256 bytes
/// before the frame and 320 behind it.
fn one_buffer() -> u32 {
    u32::try_from(page_size()).unwrap_or(4096) - 256 - 320
}

impl Default for Wants {
    fn default() -> Self {
        Self::new()
    }
}

/// `AF_PACKET, profile Default, 4 workers`.
impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            backend,
            profile,
            workers,
            ..
        } = self;
        let plural = if *workers == 1 { "" } else { "s" };
        write!(
            f,
            "{backend}, profile {profile:?}, {workers} worker{plural}"
        )
    }
}
