//! Extractors, which read the key of a packet's flow.

mod five_tuple;
#[cfg(feature = "flowscope")]
mod flowscope;
mod fragment;
mod key;
mod tunnels;

use std::hash::Hash;
use std::ops::Range;

use netring_sys::Packet;

#[cfg(feature = "flowscope")]
pub use self::flowscope::Flowscope;
pub use five_tuple::FiveTuple;
pub use fragment::{Datagram, Fragment, Piece};
pub(crate) use key::icmp_counterpart;
pub use key::{CommunityId, FiveTupleKey};
pub use tunnels::{TunnelKind, Tunnels};

/// Determines which flow a packet belongs to. [`FiveTuple`] is the built-in extractor; with the
/// feature `flowscope`, `Flowscope` adapts any `flowscope::FlowExtractor`.
///
/// The tracker calls it once for each packet.
///
/// ```
/// use netring_flow::FlowTracker;
/// use netring_flow::extract::{Extract, Extracted, FiveTuple, Skip};
/// use netring_sys::Packet;
///
/// /// Flows by protocol and ports alone, whatever the addresses.
/// struct ByPorts(FiveTuple);
///
/// impl Extract for ByPorts {
///     type Key = (u8, u16, u16);
///
///     fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<Self::Key>, Skip> {
///         let found = self.0.extract(packet)?;
///         let (a, b) = (found.key.a().port(), found.key.b().port());
///         let key = (found.key.protocol(), a.min(b), a.max(b));
///         Ok(Extracted::new(key, found.orientation, found.transport))
///     }
/// }
///
/// let tracker = FlowTracker::new(ByPorts(FiveTuple::bidirectional()));
/// # assert_eq!(tracker.active_flows(), 0);
/// ```
pub trait Extract: Send + 'static {
    /// The key that the packets of a flow share, the same for both directions.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;

    /// Reads the flow of this packet.
    ///
    /// # Errors
    /// [`Skip`] if the packet belongs to no flow; the tracker counts it by that cause.
    fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<Self::Key>, Skip>;

    /// Reads the window scale that a packet with a SYN offers. Called only for such packets.
    /// Default: unknown.
    fn window_scale(&self, packet: &Packet<'_>) -> WindowScale {
        let _ = packet;
        WindowScale::UNKNOWN
    }

    /// Reads the urgent pointer of a TCP segment with [`TcpSegment::URG`]. Called only for such
    /// segments, and only for visitors that take segments. Default: 0, as if it was not captured.
    fn urgent_pointer(&self, packet: &Packet<'_>) -> u16 {
        let _ = packet;
        0
    }

    /// Reads the length on the wire, in bytes, of the IP packet whose flow
    /// [`extract`](Self::extract) returns, with its header and without padding. Called only for
    /// visitors that ask for it ([`FlowVisitor::IP_LENGTHS`](crate::FlowVisitor::IP_LENGTHS)).
    /// Default: `None`, which stands for the length of the outermost IP packet.
    fn ip_len(&self, packet: &Packet<'_>) -> Option<u32> {
        let _ = packet;
        None
    }

    /// Reads the flow of a packet as [`extract`](Self::extract) does, but returns
    /// [`Skip::Fragment`] for a first fragment too: the tracker then asks for its
    /// [`fragments`](Self::fragments), and for its flow by `extract`. If it returns
    /// [`Skip::TooDeep`] and `extract` a flow, the packet counts in both. Default: `extract`, which
    /// suits an extractor that ignores fragments.
    ///
    /// # Errors
    /// Those of [`extract`](Self::extract).
    #[inline]
    fn extract_whole(&self, packet: &Packet<'_>) -> Result<Extracted<Self::Key>, Skip> {
        self.extract(packet)
    }

    /// Reports to `each` which IP packet a fragment is a part of, so that later fragments count in
    /// the flow of the first. Called only for packets for which
    /// [`extract_whole`](Self::extract_whole) returned [`Skip::Fragment`]. If both a tunnel's
    /// packets and the packets they carry are fragmented, one frame is part of several packets,
    /// reported outermost first; a later fragment follows the last one, and the first is
    /// reassembled ([`TrackerConfig::defragment`](crate::TrackerConfig::defragment)). Default:
    /// none, so later fragments belong to no flow.
    fn fragments(&self, packet: &Packet<'_>, each: &mut dyn FnMut(Fragment)) {
        let _ = (packet, each);
    }

    /// Reads the transport header and the payload of a reassembled IP packet with its first
    /// fragment in this flow. The packet has neither a link layer nor IP options. Default:
    /// [`extract`](Self::extract), with its key ignored.
    ///
    /// # Errors
    /// [`Skip`] if it is not a packet of the flow.
    fn read_reassembled(
        &self,
        packet: &Packet<'_>,
        flow: &Self::Key,
    ) -> Result<Extracted<Self::Key>, Skip> {
        let _ = flow;
        self.extract(packet)
    }
}

/// The start of a payload at an unknown place.
const UNKNOWN: u32 = u32::MAX;

/// What an extractor read from a packet.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Extracted<K> {
    /// The flow.
    pub key: K,
    /// Which of the key's two ends sent the packet.
    pub orientation: Orientation,
    /// The transport header.
    pub transport: Transport,
    /// Bytes of payload on the wire, including what a snap length cut off. The built-in extractor
    /// takes the smallest length that the transport header, the IP header and the frame allow.
    pub payload_len: u32,
    /// Where the payload starts in the bytes of the packet; [`UNKNOWN`] is past the end of any
    /// packet.
    payload_start: u32,
    /// Set if the packet is an ICMP error about a packet of the flow `key`. It is reported against
    /// that flow if there is one, and never starts it.
    pub icmp_error: Option<IcmpError>,
    /// The headers contradict each other or end early on the wire; see
    /// [`FlowStats::malformed`](crate::FlowStats::malformed). A cut by a snap length does not
    /// count.
    pub malformed: bool,
    /// Whether the packet is whole or a fragment. Extractors never return later fragments.
    pub piece: Piece,
}

impl<K> Extracted<K> {
    /// Creates a packet of a flow, without payload.
    pub const fn new(key: K, orientation: Orientation, transport: Transport) -> Self {
        Self {
            key,
            orientation,
            transport,
            payload_len: 0,
            payload_start: UNKNOWN,
            icmp_error: None,
            malformed: false,
            piece: Piece::Whole,
        }
    }

    /// Sets the length of the payload on the wire, but not its place: visitors see an empty
    /// payload.
    #[must_use]
    pub fn with_payload_len(mut self, len: u32) -> Self {
        self.payload_len = len;
        self
    }

    /// Sets where the payload starts in [`Packet::data`], and its length on the wire in bytes.
    ///
    /// ```
    /// use netring_flow::extract::{Extracted, Orientation, Transport};
    /// use netring_sys::{LinkType, Packet, Timestamp};
    ///
    /// // An eight-byte header and six bytes of payload, the last two of which were not captured.
    /// let data = b"\x13\x88\x00\x35\x00\x0e\x00\x00ques";
    /// let packet = Packet::new(data, Timestamp::default(), LinkType::RAW_IP).with_wire_len(14);
    /// let found = Extracted::new("key", Orientation::Forward, Transport::Udp).with_payload(8, 6);
    /// assert_eq!(found.payload_range(&packet), 8..12);
    /// assert_eq!(found.payload(&packet), b"ques");
    /// assert_eq!(found.payload_len, 6);
    /// ```
    #[inline]
    #[must_use]
    pub fn with_payload(mut self, start: u32, wire_len: u32) -> Self {
        self.payload_start = start;
        self.payload_len = wire_len;
        self
    }

    /// Sets whether the headers of the packet contradict each other.
    #[must_use]
    pub fn with_malformed(mut self, malformed: bool) -> Self {
        self.malformed = malformed;
        self
    }

    /// Sets which part of an IP packet it is.
    #[inline]
    #[must_use]
    pub fn with_piece(mut self, piece: Piece) -> Self {
        self.piece = piece;
        self
    }

    /// Marks the packet as an ICMP error about a packet of the flow.
    #[must_use]
    pub fn with_icmp_error(mut self, error: IcmpError) -> Self {
        self.icmp_error = Some(error);
        self
    }

    /// The range of the captured payload in [`Packet::data`]. It is shorter than
    /// [`payload_len`](Self::payload_len) if a snap length cut the packet, and empty if the
    /// extractor does not know where the payload is. `packet` must be the packet that was read.
    #[inline]
    pub fn payload_range(&self, packet: &Packet<'_>) -> Range<usize> {
        let captured = packet.data().len();
        let start = (self.payload_start as usize).min(captured);
        let len = (self.payload_len as usize).min(captured - start);
        start..start + len
    }

    /// The captured payload: the bytes of [`payload_range`](Self::payload_range).
    #[inline]
    pub fn payload<'a>(&self, packet: &Packet<'a>) -> &'a [u8] {
        &packet.data()[self.payload_range(packet)]
    }
}

/// Which of a key's two ends a packet comes from. It is independent of which end started the flow;
/// for that see [`FlowStats::initiator`](crate::FlowStats::initiator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Orientation {
    /// From the key's first end ([`FiveTupleKey::a`]) to its second.
    #[default]
    Forward,
    /// From the key's second end ([`FiveTupleKey::b`]) to its first.
    Reverse,
}

impl Orientation {
    /// The other orientation.
    #[inline]
    #[must_use]
    pub const fn flipped(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// The transport protocol of a packet, as far as the tracker distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// TCP; `None` if its header was not captured or is not valid.
    Tcp(Option<TcpSegment>),
    /// UDP.
    Udp,
    /// Any other protocol.
    Other,
}

/// What the tracker reads of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSegment {
    /// The flags, as in the header: [`TcpSegment::FIN`] …
    pub flags: u8,
    /// The sequence number.
    pub sequence: u32,
    /// The acknowledgement number; meaningless unless [`TcpSegment::ACK`] is set.
    pub acknowledgement: u32,
    /// The window as in the header, before scaling.
    pub window: u16,
}

impl TcpSegment {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is valid.
    pub const URG: u8 = 0x20;

    /// Whether any of these flags is set.
    #[inline]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

/// The window scale option of a SYN (RFC 7323). The tracker uses it to judge whether a RST or FIN
/// is within the receiver's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct WindowScale(u8);

impl WindowScale {
    /// The options were not read or not captured. Any RST or FIN is then accepted, whatever its
    /// sequence number. The default.
    pub const UNKNOWN: Self = Self(0);
    /// The SYN has no such option: neither end scales its windows.
    pub const ABSENT: Self = Self(1);

    /// The sender's windows are shifted left by `bits` if both ends sent the option. More than 14
    /// counts as 14, as in RFC 7323.
    pub const fn shift(bits: u8) -> Self {
        Self(2 + if bits < 14 { bits } else { 14 })
    }

    /// The number of bits by which the sender's windows are shifted if both ends sent the option.
    pub(crate) const fn bits(self) -> Option<u8> {
        self.0.checked_sub(2)
    }

    /// Encoded in five bits.
    pub(crate) const fn to_bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// An ICMP or ICMPv6 error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IcmpError {
    /// The type: "destination unreachable" is 3 in ICMP and 1 in ICMPv6.
    pub icmp_type: u8,
    /// The code, which refines the type.
    pub code: u8,
}

/// Why a packet belongs to no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skip {
    /// The link type is not supported.
    LinkType,
    /// The packet does not contain IP: ARP, a bridge protocol …
    NotIp,
    /// The IP version is neither 4 nor 6, or differs from the one that the link layer announced.
    IpVersion,
    /// The IPv4 header length is below 20 bytes.
    IpHeaderLength,
    /// The IPv4 total length is less than the header length.
    IpTotalLength,
    /// The bytes end before the addresses: the snap length or the packet is too short.
    Short,
    /// More than 31 headers precede its IP header, VLAN tags and MPLS labels included. Returned by
    /// [`Extract::extract_whole`] also for more tunnels than [`Tunnels::max_depth`].
    TooDeep,
    /// A fragment other than the first, which has no ports.
    Fragment,
    /// An ICMP error whose quoted packet cannot be read.
    IcmpError,
    /// The extractor has no key for it.
    NoKey,
}
