//! A capture as a packet source.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netring_sys::syscall::xdp_statistics_of;
use netring_sys::wait::{Stop, StopHandle};
use netring_sys::{Build, Count, Error, Open, PacketSource, Readiness, Stats};

use super::{Batch, CaptureBuilder, Feed, XdpCapture};

impl PacketSource for XdpCapture {
    type Batch<'a> = Batch<'a>;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        if self.queues.waiter().is_stopped() {
            return Ok(Readiness::Ended);
        }
        if self.queues.look() {
            return Ok(Readiness::Ready);
        }
        self.queues.look_further()
    }

    #[inline]
    fn batch(&mut self) -> Batch<'_> {
        Batch::new(
            self.queues.lend(),
            self.feed.link_type,
            self.feed.interface.index,
            self.feed.card_time,
        )
    }

    /// With [moderation](super::CaptureBuilder::moderation) it first lets packets gather if they
    /// arrive fast, one by one.
    #[inline]
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        let found = self.queues.look() || self.wait_for_packets(timeout)?;
        // Also if there are packets: a source that was stopped has ended.
        Ok(match found {
            _ if self.queues.waiter().is_stopped() => Readiness::Ended,
            true => Readiness::Ready,
            false => Readiness::Empty,
        })
    }

    /// `offered` is what the program redirected to the sockets, by its own count. `dropped` is
    /// exact in copy mode; in zero-copy mode the card drops too, and only its own counters show
    /// that.
    fn stats(&mut self) -> Result<Stats, Error> {
        let (mut delivered, mut dropped, mut invalid, mut pending) = (0, 0, 0, 0);
        let mut redirected = Some(0);
        let mut zero_copy = false;
        for half in self.queues.halves_mut() {
            let (kernel, _) = xdp_statistics_of(half.socket().fd())?;
            delivered += half.delivered();
            invalid += half.invalid();
            dropped += kernel.rx_dropped + kernel.rx_ring_full;
            pending += u64::from(half.pending());
            zero_copy |= half.socket().zero_copy;
            // The program last: it counts a packet first, so under traffic the packets lent and
            // lost never exceed those offered.
            redirected = redirected
                .zip(self.feed.redirected(half.socket().queue)?)
                .map(|(a, b)| a + b);
        }
        self.log_lost(dropped);
        let mut stats = Stats::counted(delivered);
        stats.offered = match redirected {
            Some(redirected) => Count::Exact(redirected),
            None => Count::AtLeast(delivered + dropped + invalid + pending),
        };
        stats.dropped = if zero_copy {
            Count::AtLeast(dropped)
        } else {
            Count::Exact(dropped)
        };
        stats.invalid = Count::Exact(invalid);
        stats.freezes = Count::Unavailable;
        stats.link_downs = self.queues.waiter().link_downs();
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Open for XdpCapture {
    type Builder = CaptureBuilder;

    fn builder() -> CaptureBuilder {
        Self::builder()
    }

    fn open(interface: &str) -> Result<Self, Error> {
        Self::open(interface)
    }
}

impl Build for CaptureBuilder {
    type Source = XdpCapture;

    fn build(self) -> Result<XdpCapture, Error> {
        self.build()
    }
}

impl Stop for XdpCapture {
    fn stop_handle(&self) -> StopHandle {
        self.stop_handle()
    }
}

/// Readable when [`ready`](PacketSource::ready) has something to report; suitable for `poll`,
/// `epoll` (level or edge triggered) and runtimes.
impl AsFd for XdpCapture {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queues.waiter().as_fd()
    }
}

impl Feed {
    fn redirected(&self, queue: u32) -> Result<Option<u64>, Error> {
        let Some(attachment) = &self.attachment else {
            return Ok(None);
        };
        let counters = attachment.counters(queue)?;
        Ok(counters.map(|counters| counters.redirected))
    }
}
