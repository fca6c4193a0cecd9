//! Captures from several interfaces as one source.

mod builder;
mod event;
mod follow;
mod rules;

use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use netring_sys::wait::{self, Merge, MergedBatch, Stop, StopHandle};
use netring_sys::{Build, Error, PacketSource, Readiness, Stats};

use crate::rx::{Batch, Capture};
pub use builder::CapturesBuilder;
pub use event::{JoinCounts, JoinEvent};
use follow::Follower;

/// Captures from several interfaces, each with its own ring, merged into one source. On request,
/// interfaces that appear later [join](CapturesBuilder::join), and those that come back under the
/// same name are [reopened](CapturesBuilder::reopen).
///
/// ```no_run
/// use netring_afpacket::{Capture, Captures, Profile};
/// use netring_sys::{PacketBatch, PacketSource};
///
/// let each = Capture::builder().profile(Profile::LowMemory);
/// let mut captures = Captures::builder(each)
///     .matching(|interface| interface.name.starts_with("veth"))
///     .join(true)
///     .reopen(true)
///     .on_event(|event| eprintln!("{event}"))
///     .build()?;
/// while let Some(batch) = captures.next_batch()? {
///     for packet in batch.packets() {
///         println!("{} {}", packet.interface(), packet.wire_len());
///     }
/// }
/// println!("{}, {}", captures.stats()?, captures.joins());
/// # Ok::<(), netring_sys::Error>(())
/// ```
///
/// It is a [`Merge`]: interfaces with packets take turns, the removal of one does not affect the
/// others ([`Error::SourceLost`] reports it), and packets of different interfaces are not ordered
/// by time. Each packet carries the [index](netring_sys::Meta::interface) of its interface.
/// [`Stats`] are the totals of all rings, including those of interfaces that are gone. Each
/// interface takes the memory of its ring, 64 MiB unless the settings say otherwise.
///
/// While interfaces are followed, it does not end by itself, even if none is left: it waits for the
/// next. A [stop handle](Stop::stop_handle) ends it.
///
/// [`all_interfaces`](crate::CaptureBuilder::all_interfaces) is the alternative: one ring for all,
/// which sees an interface from its first packet on. Here an interface is seen from when its ring
/// was opened, some 20 ms after it appeared; its [counters](netring_sys::InterfaceCounters) in
/// [`JoinEvent::Joined`] show the traffic before that.
#[derive(Debug)]
pub struct Captures {
    merge: Merge<Capture>,
    follower: Option<Follower>,
}

impl Captures {
    /// Returns the settings, including those for the capture of each interface.
    pub fn builder(each: crate::CaptureBuilder) -> CapturesBuilder {
        CapturesBuilder::new(each)
    }

    /// The captures that have not ended, each with its [origin](MergedBatch::origin).
    pub fn captures(&self) -> impl ExactSizeIterator<Item = (usize, &Capture)> {
        self.merge.sources()
    }

    /// The captures that have not ended, each with its [origin](MergedBatch::origin), for example
    /// to read the [`Stats`] or link state of each.
    pub fn captures_mut(&mut self) -> impl ExactSizeIterator<Item = (usize, &mut Capture)> {
        self.merge.sources_mut()
    }

    /// How many interfaces have joined, come back and gone since this was opened. All are 0 unless
    /// interfaces are followed.
    pub fn joins(&self) -> JoinCounts {
        let follower = self.follower.as_ref();
        follower.map_or_else(JoinCounts::default, Follower::counts)
    }

    /// Closing a packet socket takes 20 to 35 ms, in which the others would not be read.
    #[cold]
    fn close_ended(&mut self) {
        let ended = self.merge.take_ended();
        let closing = thread::Builder::new().name("netring-close".into());
        // If no thread can be started, they are dropped here, with the closure.
        let _ = closing.spawn(move || drop(ended));
    }
}

impl PacketSource for Captures {
    type Batch<'a> = MergedBatch<Batch<'a>>;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        let found = self.merge.ready();
        if !self.merge.ended().is_empty() {
            self.close_ended();
        }
        if let Some(follower) = &self.follower
            && matches!(found, Ok(Readiness::Empty | Readiness::Ended))
        {
            follower.check()?;
        }
        found
    }

    #[inline]
    fn batch(&mut self) -> Self::Batch<'_> {
        self.merge.batch()
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        wait::ready(self, timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.merge.stats()
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Build for CapturesBuilder {
    type Source = Captures;

    fn build(self) -> Result<Captures, Error> {
        self.build()
    }
}

impl Stop for Captures {
    fn stop_handle(&self) -> StopHandle {
        self.merge.stop_handle()
    }
}

/// Readable when [`ready`](PacketSource::ready) may have something to report.
impl AsFd for Captures {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.merge.as_fd()
    }
}
