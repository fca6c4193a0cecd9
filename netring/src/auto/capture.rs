//! A capture with any backend, and the batches that it lends.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netring_xdp::XdpCapture;

use super::{Attempt, Backend, Builder};
use crate::either::Either;
use crate::wait::{LinkMonitor, LinkState, Stop, StopHandle};
use crate::{
    Build, Capture, Error, Interface, Open, Packet, PacketBatch, PacketSource, Readiness, Stats,
    SyscallError, afpacket, xdp,
};

/// Receives the packets of one interface with the best backend that is available and permitted.
///
/// ```no_run
/// use netring::{PacketSource, auto};
///
/// let mut capture = auto::builder().interface("eth1").divert(true).build()?;
/// println!("{}, {} packets", capture.backend(), capture.stats()?.offered);
/// if let Some(xdp) = capture.as_xdp() {
///     println!("{}", xdp.mode());
/// }
/// # Ok::<(), netring::Error>(())
/// ```
#[derive(Debug)]
pub struct AutoCapture {
    source: Source,
    backend: Backend,
    attempts: Vec<Attempt>,
}

#[derive(Debug)]
pub(super) enum Source {
    Xdp(XdpCapture),
    AfPacket(Capture),
}

impl Source {
    /// Whether a packet may take several chunks.
    pub(super) fn is_multi_buffer(&self) -> bool {
        matches!(self, Self::Xdp(capture) if capture.longest().is_none())
    }
}

/// The packets of one batch of the backend. Dropping it returns all of their memory.
#[derive(Debug)]
pub struct Batch<'a>(Either<xdp::Batch<'a>, afpacket::Batch<'a>>);

impl AutoCapture {
    pub(super) const fn new(source: Source, backend: Backend, attempts: Vec<Attempt>) -> Self {
        Self {
            source,
            backend,
            attempts,
        }
    }

    /// The backend that was opened.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// The outcome for each backend, in the order tried; the last was opened. Backends that were
    /// rejected for the same reason are in one [`Attempt`].
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Calls `f` with each packet until it breaks. Returns `Some` of the value that it breaks with,
    /// or `None` once the capture is stopped. For a loop that never breaks,
    /// [`for_each`](PacketSource::for_each) is shorter.
    ///
    /// A loop that breaks keeps its place: the next one begins with the packet after the one that
    /// broke. It waits as [`next_batch`](PacketSource::next_batch) does, so a link that goes down
    /// does not end it.
    ///
    /// # Errors
    /// Returns [`Error::InterfaceRemoved`], or the call that failed.
    pub fn try_for_each<B>(
        &mut self,
        f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        match &mut self.source {
            Source::Xdp(capture) => capture.try_for_each(f),
            Source::AfPacket(capture) => capture.try_for_each(f),
        }
    }

    /// The current state of the interface: whether it is up and has a carrier. It is
    /// [`LinkState::Unknown`] if the interface is [not watched](Self::why_link_unwatched).
    ///
    /// # Errors
    /// The call that failed.
    pub fn link_state(&mut self) -> Result<LinkState, Error> {
        match &mut self.source {
            Source::Xdp(capture) => capture.link_state(),
            Source::AfPacket(capture) => capture.link_state(),
        }
    }

    /// Returns a monitor that reports each change of the interface to another thread or task, until
    /// the interface is removed or the capture stopped. It enters the given
    /// [namespace](super::Builder::namespace); if none was given, call it in the namespace of the
    /// interface.
    ///
    /// # Errors
    /// The call that failed: a sandbox forbids netlink, or there are too many open files.
    pub fn link_monitor(&self) -> Result<LinkMonitor, Error> {
        match &self.source {
            Source::Xdp(capture) => capture.link_monitor(),
            Source::AfPacket(capture) => capture.link_monitor(),
        }
    }

    /// Why the state of the interface is not watched, if a sandbox forbids netlink sockets; `None`
    /// if it is watched.
    pub fn why_link_unwatched(&self) -> Option<&SyscallError> {
        match &self.source {
            Source::Xdp(capture) => capture.why_link_unwatched(),
            Source::AfPacket(capture) => capture.why_link_unwatched(),
        }
    }

    /// Returns a handle that stops this capture from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        match &self.source {
            Source::Xdp(capture) => capture.stop_handle(),
            Source::AfPacket(capture) => capture.stop_handle(),
        }
    }

    /// The interface, as it was when the capture was opened.
    pub fn interface(&self) -> &Interface {
        match &self.source {
            Source::Xdp(capture) => capture.interface(),
            Source::AfPacket(capture) => capture.interface(),
        }
    }

    /// The capture, if AF_XDP was opened.
    pub const fn as_xdp(&self) -> Option<&XdpCapture> {
        match &self.source {
            Source::Xdp(capture) => Some(capture),
            Source::AfPacket(_) => None,
        }
    }

    /// The capture, if AF_PACKET was opened.
    pub const fn as_afpacket(&self) -> Option<&Capture> {
        match &self.source {
            Source::AfPacket(capture) => Some(capture),
            Source::Xdp(_) => None,
        }
    }
}

impl PacketSource for AutoCapture {
    type Batch<'a> = Batch<'a>;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        match &mut self.source {
            Source::Xdp(capture) => capture.ready(),
            Source::AfPacket(capture) => capture.ready(),
        }
    }

    #[inline]
    fn batch(&mut self) -> Batch<'_> {
        Batch(match &mut self.source {
            Source::Xdp(capture) => Either::First(capture.batch()),
            Source::AfPacket(capture) => Either::Second(capture.batch()),
        })
    }

    // Each backend waits in its own way.
    #[inline]
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        match &mut self.source {
            Source::Xdp(capture) => capture.wait(timeout),
            Source::AfPacket(capture) => capture.wait(timeout),
        }
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        match &mut self.source {
            Source::Xdp(capture) => capture.stats(),
            Source::AfPacket(capture) => capture.stats(),
        }
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Open for AutoCapture {
    type Builder = Builder;

    fn builder() -> Builder {
        super::builder()
    }

    fn open(interface: &str) -> Result<Self, Error> {
        super::open(interface)
    }
}

impl Build for Builder {
    type Source = AutoCapture;

    fn build(self) -> Result<AutoCapture, Error> {
        self.build()
    }
}

impl Stop for AutoCapture {
    fn stop_handle(&self) -> StopHandle {
        self.stop_handle()
    }
}

/// Readable when [`ready`](PacketSource::ready) has something to report. Works with `poll`, `epoll`
/// (level or edge triggered) and async runtimes.
impl AsFd for AutoCapture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.source {
            Source::Xdp(capture) => capture.as_fd(),
            Source::AfPacket(capture) => capture.as_fd(),
        }
    }
}

impl PacketBatch for Batch<'_> {
    #[inline]
    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.0.packets()
    }
}
