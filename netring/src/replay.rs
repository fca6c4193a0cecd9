//! Replay: packets of any source to any sink, at a speed of choice.

mod run;
mod speed;
mod start;
mod stats;

use std::time::Duration;

use crate::outgoing::Outgoing;
use crate::wait::StopHandle;
use crate::{Error, Interface, LinkType, OpenSink, PacketSink};
use speed::Pace;

pub use speed::Speed;
pub use start::Replaying;
pub use stats::{Refused, ReplayStats};

/// Sends the packets of a source, such as a capture file, through a sink: at the speed at which
/// they were recorded, or at another.
///
/// ```no_run
/// # #[cfg(all(feature = "afpacket", feature = "pcap"))]
/// # fn main() -> Result<(), netring::Error> {
/// use netring::pcap::CaptureFile;
/// use netring::replay::{Replay, Speed};
/// use netring::Injector;
///
/// let mut replay = Replay::<Injector>::open("eth0")?.speed(Speed::Factor(2.0))?;
/// let stats = replay.run(&mut CaptureFile::open("trace.pcapng")?)?;
/// println!("{stats}");
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "afpacket", feature = "pcap")))]
/// # fn main() {}
/// ```
///
/// # What is sent
///
/// The bytes of each packet as they were on the wire: a VLAN tag that was removed is put back. A
/// packet that cannot be sent complete and correct is refused, and counted by reason ([`Refused`]).
/// The others are sent in the order in which they are read.
///
/// A capture on a host that sends or receives with segmentation offload contains packets that were
/// never on a wire: longer than the MTU, often with an IP length of 0 if they are longer than
/// 65,535 bytes. Those of TCP over IPv4 or IPv6 are cut into segments as a card would have cut
/// them: with lengths, sequence numbers and identifications of their own; FIN and PSH in the last
/// one, CWR in the first one only; and with checksums. The size of segments is that of the packet's
/// metadata, or else the largest that fits. UDP packets are cut into datagrams if the metadata has
/// their size, which no file records: datagram boundaries are part of their meaning. Other long
/// packets are refused, such as datagrams to be fragmented by IP, and so are those with SYN, RST or
/// URG. [`segment`](Self::segment) can refuse all of them.
///
/// A checksum that the packet's metadata marks as [partial](crate::Checksum::Partial) is computed.
/// A file may not record that: [`fix_checksums`](Self::fix_checksums) computes all TCP and UDP
/// checksums.
///
/// # When it is sent
///
/// A replay never busy-waits. It sleeps until the next packet is due, wakes up about 60 µs late,
/// and then sends all due packets together. The schedule does not drift. A delayed replay catches
/// up at most 100 ms; [`ReplayStats::lost`] counts the rest. A packet that is older than the one
/// before is sent at once. A clock that was set back by more than a second delays nothing.
///
/// # If something fails
///
/// While the sink is full or the interface is down, the replay waits; [`ReplayStats::link_downs`]
/// counts the latter. It ends at the end of the source, by [`stop_handle`](Self::stop_handle), or
/// with an error: [`Error::InterfaceRemoved`], damage in a file. [`stats`](Self::stats) then
/// reports what was sent.
///
/// It blocks its thread; a task awaits [`start`](Self::start), which uses another one.
#[doc(alias = "tcpreplay")]
#[derive(Debug)]
pub struct Replay<K> {
    sink: K,
    stop: StopHandle,
    outgoing: Outgoing,
    longest_gap: Option<Duration>,
    pace: Pace,
    stats: ReplayStats,
    /// The interface was down at the last look.
    is_down: bool,
}

impl<K: OpenSink> Replay<K> {
    /// Opens a sink on the interface of this name, with its default settings, and replays to it
    /// with the interface's [settings](Self::interface).
    ///
    /// # Errors
    /// The errors of [`OpenSink::open`], and of [`new`](Self::new).
    pub fn open(interface: &str) -> Result<Self, Error> {
        let sink = K::open(interface)?;
        Ok(Self::new(sink)?.interface(&Interface::by_name(interface)?))
    }
}

impl<K: PacketSink> Replay<K> {
    /// Replays to a sink: Ethernet frames of any length that it takes, at the recorded speed.
    ///
    /// The sink does not know the MTU: set it, by [`interface`](Self::interface) or
    /// [`mtu`](Self::mtu).
    ///
    /// # Errors
    /// The process has too many descriptors.
    pub fn new(sink: K) -> Result<Self, Error> {
        Ok(Self {
            sink,
            stop: StopHandle::new()?,
            outgoing: Outgoing::new(LinkType::ETHERNET),
            longest_gap: None,
            pace: Pace::new(Speed::default())?,
            stats: ReplayStats::default(),
            is_down: false,
        })
    }

    /// Takes the link type and the MTU from the interface that the sink sends to.
    #[must_use]
    pub const fn interface(self, interface: &Interface) -> Self {
        self.link_type(interface.link_type()).mtu(interface.mtu)
    }

    /// The link type of the packets that the sink sends; others are refused. Default: Ethernet.
    #[must_use]
    pub const fn link_type(mut self, link_type: LinkType) -> Self {
        self.outgoing.link_type = link_type;
        self
    }

    /// The longest packet without its link layer header, in bytes. Longer ones are segmented or
    /// refused. An Ethernet frame may have 14 bytes more, and one with a tag of type 0x8100 another
    /// 4. Default: what the sink takes.
    #[must_use]
    pub const fn mtu(mut self, bytes: u32) -> Self {
        self.outgoing.mtu = Some(bytes);
        self
    }

    /// How fast packets are sent. Default: [`Speed::Recorded`].
    ///
    /// # Errors
    /// [`Error::Config`] for a factor or a rate of 0, or an infinite one.
    pub fn speed(mut self, speed: Speed) -> Result<Self, Error> {
        self.pace = Pace::new(speed)?;
        Ok(self)
    }

    /// Shortens longer recorded gaps to this, before the factor applies. Default: no limit.
    #[must_use]
    pub const fn longest_gap(mut self, gap: Duration) -> Self {
        self.longest_gap = Some(gap);
        self
    }

    /// Whether long packets are cut into segments, or else refused. Default: true.
    #[must_use]
    pub const fn segment(mut self, segment: bool) -> Self {
        self.outgoing.segment = segment;
        self
    }

    /// Computes the checksums of all TCP segments and UDP datagrams, for a capture of a host that
    /// left them to its interface. Those of fragments, of UDP over IPv4 without one, and of other
    /// protocols are left alone. Default: false.
    #[must_use]
    pub const fn fix_checksums(mut self, fix: bool) -> Self {
        self.outgoing.fix_checksums = fix;
        self
    }

    /// A handle that stops the replay from any thread. [`run`](Self::run) then returns, and every
    /// later one returns at once.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// The statistics so far.
    pub const fn stats(&self) -> ReplayStats {
        let mut stats = self.stats;
        stats.lost = self.pace.lost();
        stats
    }

    /// The sink.
    pub const fn sink(&self) -> &K {
        &self.sink
    }

    /// The sink, to which frames can also be sent directly.
    pub const fn sink_mut(&mut self) -> &mut K {
        &mut self.sink
    }

    /// The sink.
    pub fn into_sink(self) -> K {
        self.sink
    }
}
