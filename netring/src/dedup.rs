//! Removing packets that a source delivers more than once.

mod batch;
mod content;
mod print;
mod table;

#[cfg(test)]
mod tests;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::wait::{Stop, StopHandle};
use crate::{Count, Direction, Error, Packet, PacketBatch, PacketSource, Readiness, Stats};

use batch::Marks;
use content::Remembered;

pub use batch::DedupBatch;
pub use content::Content;

/// A source adapter that removes packets which the inner source delivers more than once.
///
/// Duplicates are recognised in one of two ways:
///
/// - [`loopback`](Self::loopback) by direction. A loopback interface receives what it sends, so a
///   capture that does not ignore outgoing packets sees each packet twice. This is exact, even for
///   packets with equal bytes.
/// - [`content`](Self::content) by bytes and time. A mirror port that copies both directions of a
///   switch delivers each frame twice, and so do two taps on one path.
///
/// Each packet that is left out is counted, in [`duplicates`](Self::duplicates) and in
/// [`Stats::left_out`]. A batch may have no packets at all. Other functions of the inner source
/// (waiting, the descriptor, [`Stop`]) are forwarded. Nothing is allocated per packet.
///
/// ```no_run
/// # #[cfg(feature = "afpacket")]
/// # fn main() -> Result<(), netring::Error> {
/// use netring::dedup::{Content, Dedup};
/// use netring::{Capture, PacketSource};
///
/// let mirror = Capture::open("eth0")?;
/// let mut once = Dedup::content(mirror, Content::default().ignore_vlan(true))?;
/// once.for_each(|packet| println!("{} bytes", packet.wire_len()))?;
/// println!("{} duplicates", once.duplicates());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "afpacket"))]
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct Dedup<S> {
    source: S,
    rule: Rule,
    duplicates: u64,
    /// Which packets of the last batch are left out.
    marks: Marks,
}

/// What makes a packet a duplicate.
#[derive(Debug)]
enum Rule {
    /// This interface sent it, and also receives it.
    Loopback(u32),
    Content(Box<Remembered>),
}

impl Rule {
    #[inline]
    fn mark<'a>(&mut self, packets: impl Iterator<Item = Packet<'a>>, marks: &mut Marks) {
        match self {
            Self::Loopback(interface) => packets.for_each(|packet| {
                let is_sent = packet.direction() == Some(Direction::Outgoing);
                marks.push(is_sent && packet.interface() == *interface);
            }),
            Self::Content(remembered) => remembered.mark(packets, marks),
        }
    }
}

impl<S> Dedup<S> {
    /// Wraps an unread source, and leaves out the packets that the loopback interface with this
    /// index sends, because it also receives them. For a capture file, the index is the number that
    /// packets [report](crate::Meta::interface).
    ///
    /// Packets of other interfaces are lent in both directions, and so are packets without a
    /// direction. A packet that was sent and not received, because the host's backlog was full, is
    /// left out.
    ///
    /// A `Capture` of a loopback interface by default ignores outgoing packets in the kernel, and
    /// needs no `Dedup`.
    ///
    /// ```
    /// # #[cfg(feature = "afpacket")]
    /// # fn example() -> Result<(), netring::Error> {
    /// use netring::Capture;
    /// use netring::dedup::Dedup;
    ///
    /// let settings = Capture::builder().interface("lo").ignore_outgoing(false);
    /// let capture = settings.build()?;
    /// let index = capture.interface().index;
    /// let once = Dedup::loopback(capture, index);
    /// # Ok(())
    /// # }
    /// ```
    pub const fn loopback(source: S, interface: u32) -> Self {
        Self::by(source, Rule::Loopback(interface))
    }

    /// Wraps an unread source, and leaves out repetitions of packets delivered shortly before, as
    /// [`Content`] defines them.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that are out of range; see the setters of [`Content`].
    pub fn content(source: S, content: Content) -> Result<Self, Error> {
        let remembered = Box::new(Remembered::new(content)?);
        Ok(Self::by(source, Rule::Content(remembered)))
    }

    const fn by(source: S, rule: Rule) -> Self {
        Self {
            source,
            rule,
            duplicates: 0,
            marks: Marks::new(),
        }
    }

    /// Packets that were left out.
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets that were forgotten within their window because more than [`Content::packets`]
    /// packets followed: a later repetition was not recognised and was lent. Zero for
    /// [`loopback`](Self::loopback), which remembers nothing.
    pub fn forgotten(&self) -> u64 {
        match &self.rule {
            Rule::Loopback(_) => 0,
            Rule::Content(remembered) => remembered.forgotten(),
        }
    }

    /// The source inside.
    pub const fn get_ref(&self) -> &S {
        &self.source
    }

    /// The source inside. Packets that are taken from it directly count as delivered.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Removes the adapter and returns the source inside.
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S: PacketSource> PacketSource for Dedup<S> {
    type Batch<'a>
        = DedupBatch<'a, S::Batch<'a>>
    where
        Self: 'a;

    #[inline]
    fn ready(&mut self) -> Result<Readiness, Error> {
        self.source.ready()
    }

    fn batch(&mut self) -> Self::Batch<'_> {
        let batch = self.source.batch();
        self.marks.clear();
        // Once for each packet, however often the batch is walked.
        self.rule.mark(batch.packets(), &mut self.marks);
        self.duplicates += self.marks.set();
        DedupBatch::new(batch, &self.marks)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<Readiness, Error> {
        self.source.wait(timeout)
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        let mut stats = self.source.stats()?;
        let without = |all: u64| all.saturating_sub(self.duplicates);
        stats.delivered = match stats.delivered {
            Count::Exact(all) => Count::Exact(without(all)),
            Count::AtLeast(all) => Count::AtLeast(without(all)),
            Count::Unavailable => Count::Unavailable,
        };
        stats.left_out += Count::Exact(self.duplicates);
        Ok(stats)
    }

    fn is_live(&self) -> bool {
        self.source.is_live()
    }
}

impl<S: Stop> Stop for Dedup<S> {
    fn stop_handle(&self) -> StopHandle {
        self.source.stop_handle()
    }
}

impl<S: AsFd> AsFd for Dedup<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}
