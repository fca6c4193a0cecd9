//! A capture with any backend, and the batches that it lends.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netring_xdp::XdpCapture;

use super::{Attempt, Backend, Builder};
use crate::wait::{Stop, StopHandle};
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

/// The packets of one batch of the backend. Dropping it gives all of their memory back.
#[derive(Debug)]
pub struct Batch<'a>(Lent<'a>);

#[derive(Debug)]
enum Lent<'a> {
    Xdp(xdp::Batch<'a>),
    AfPacket(afpacket::Batch<'a>),
}

/// The packets of a batch, with any backend.
enum Packets<X, P> {
    Xdp(X),
    AfPacket(P),
}

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

    /// The outcome for each backend that was tried, in that order; the last is the one that was
    /// opened. Backends that were rejected for the same reason are in one [`Attempt`].
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Waits for a batch. Returns `Ok(None)` if the timeout expires first; `None` waits forever.
    ///
    /// # Errors
    /// - [`Error::LinkDown`] once each time the interface goes down; the capture continues.
    /// - [`Error::InterfaceRemoved`] once the interface is gone and its last packets were lent.
    /// - [`Error::Closed`] after a [`StopHandle`] stopped the capture.
    pub fn next_batch(
        &mut self,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<Option<Batch<'_>>, Error> {
        // Each backend waits in its own way.
        let lent = match &mut self.source {
            Source::Xdp(capture) => capture.next_batch(timeout)?.map(Lent::Xdp),
            Source::AfPacket(capture) => capture.next_batch(timeout)?.map(Lent::AfPacket),
        };
        Ok(lent.map(Batch))
    }

    /// Calls `f` with each packet. Returns `Some` of the value that `f` breaks with, or `None`
    /// once the capture is stopped.
    ///
    /// A loop that breaks keeps its place: the next one begins with the packet after the one that
    /// broke. A link that goes down does not end the loop; [`Stats::link_downs`] counts it.
    ///
    /// # Errors
    /// Returns [`Error::InterfaceRemoved`], or the call that failed.
    pub fn for_each<B>(
        &mut self,
        f: impl FnMut(Packet<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        match &mut self.source {
            Source::Xdp(capture) => capture.for_each(f),
            Source::AfPacket(capture) => capture.for_each(f),
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
            Source::Xdp(capture) => Lent::Xdp(capture.batch()),
            Source::AfPacket(capture) => Lent::AfPacket(capture.batch()),
        })
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
        match &self.0 {
            Lent::Xdp(batch) => Packets::Xdp(batch.packets()),
            Lent::AfPacket(batch) => Packets::AfPacket(batch.packets()),
        }
    }
}

impl<'a, X, P> Iterator for Packets<X, P>
where
    X: Iterator<Item = Packet<'a>>,
    P: Iterator<Item = Packet<'a>>,
{
    type Item = Packet<'a>;

    #[inline]
    fn next(&mut self) -> Option<Packet<'a>> {
        match self {
            Self::Xdp(packets) => packets.next(),
            Self::AfPacket(packets) => packets.next(),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Xdp(packets) => packets.size_hint(),
            Self::AfPacket(packets) => packets.size_hint(),
        }
    }
}
