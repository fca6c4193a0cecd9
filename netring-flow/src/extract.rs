//! What makes a flow of packets: the key that they share.

mod five_tuple;
mod flowscope;
mod key;

use std::hash::Hash;
use std::ops::Range;

use netring_sys::Packet;

pub use self::flowscope::Flowscope;
pub use five_tuple::FiveTuple;
pub use key::FiveTupleKey;

/// Tells the flow that a packet belongs to. [`FiveTuple`] is the built-in one, [`Flowscope`] adapts
/// any `flowscope::FlowExtractor`.
///
/// It is called once for each packet.
pub trait Extract: Send + 'static {
    /// What the packets of a flow share; the same for both directions.
    type Key: Clone + Eq + Hash + Send + Sync + 'static;

    /// The flow of this packet.
    ///
    /// # Errors
    /// The packet belongs to no flow; the tracker counts it by the reason given.
    fn extract(&self, packet: &Packet<'_>) -> Result<Extracted<Self::Key>, Skip>;

    /// What a packet with a SYN offers as its window scale. It is asked for those only. Default: it
    /// is not known.
    fn window_scale(&self, packet: &Packet<'_>) -> WindowScale {
        let _ = packet;
        WindowScale::UNKNOWN
    }
}

/// The place of a payload that an extractor does not know.
const UNKNOWN: u32 = u32::MAX;

/// What an extractor read from a packet.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Extracted<K> {
    /// The flow.
    pub key: K,
    /// Which of the key's two ends sent the packet.
    pub orientation: Orientation,
    /// What the transport header says.
    pub transport: Transport,
    /// Bytes that the transport header carries, including what a snap length cut off. The built-in
    /// extractor takes the smallest of what the transport header, the IP header and the wire
    /// allow.
    pub payload_len: u32,
    /// Where they begin in the bytes of the packet; [`UNKNOWN`] is behind any packet.
    payload_start: u32,
    /// The packet is an ICMP error about a packet of the flow `key`; it belongs to that flow only
    /// if there is one.
    pub icmp_error: Option<IcmpError>,
    /// The headers contradict themselves or end early, on the wire: see
    /// [`FlowStats::malformed`](crate::FlowStats::malformed). What a snap length cut off does not
    /// count.
    pub malformed: bool,
}

impl<K> Extracted<K> {
    /// A packet of a flow, without payload.
    pub const fn new(key: K, orientation: Orientation, transport: Transport) -> Self {
        Self {
            key,
            orientation,
            transport,
            payload_len: 0,
            payload_start: UNKNOWN,
            icmp_error: None,
            malformed: false,
        }
    }

    /// Sets how many bytes the transport header carries on the wire, without where they are. A
    /// visitor then sees an empty payload.
    #[must_use]
    pub fn with_payload_len(mut self, len: u32) -> Self {
        self.payload_len = len;
        self
    }

    /// Sets where in [`Packet::data`] the payload begins, and how many bytes of it the wire had.
    ///
    /// ```
    /// use netring_flow::extract::{Extracted, Orientation, Transport};
    /// use netring_sys::{LinkType, Packet, Timestamp};
    ///
    /// // Eight bytes of a header, and six of payload, the last two of which were not captured.
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

    /// Sets whether the headers of the packet contradict themselves.
    #[must_use]
    pub fn with_malformed(mut self, malformed: bool) -> Self {
        self.malformed = malformed;
        self
    }

    /// Says that the packet is an ICMP error about a packet of the flow.
    #[must_use]
    pub fn with_icmp_error(mut self, error: IcmpError) -> Self {
        self.icmp_error = Some(error);
        self
    }

    /// Where in [`Packet::data`] the payload is: what was captured of it, which is less than
    /// [`payload_len`](Self::payload_len) if a snap length cut the packet. Empty if the extractor
    /// does not know where it is. `packet` is the one that was read.
    #[inline]
    pub fn payload_range(&self, packet: &Packet<'_>) -> Range<usize> {
        let captured = packet.data().len();
        let start = (self.payload_start as usize).min(captured);
        let len = (self.payload_len as usize).min(captured - start);
        start..start + len
    }

    /// The payload, as far as it was captured: the bytes of
    /// [`payload_range`](Self::payload_range).
    #[inline]
    pub fn payload<'a>(&self, packet: &Packet<'a>) -> &'a [u8] {
        &packet.data()[self.payload_range(packet)]
    }
}

/// Which of a key's two ends a packet comes from. It says nothing about who began: see
/// [`FlowStats::initiator`](crate::FlowStats::initiator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Orientation {
    /// From the key's first end ([`FiveTupleKey::a`]) to its second.
    #[default]
    Forward,
    /// From the key's second end ([`FiveTupleKey::b`]) to its first.
    Reverse,
}

impl Orientation {
    /// The other one.
    #[inline]
    #[must_use]
    pub const fn flipped(self) -> Self {
        match self {
            Self::Forward => Self::Reverse,
            Self::Reverse => Self::Forward,
        }
    }
}

/// The transport protocol of a packet, as far as the tracker treats them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// TCP; `None` where its header was not captured, or is not valid.
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
    /// The acknowledgement number; without meaning unless [`TcpSegment::ACK`] is set.
    pub acknowledgement: u32,
    /// The window, not scaled.
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

    /// Whether any of these flags is set.
    #[inline]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }
}

/// What the options of a SYN say of the window scale (RFC 7323). The tracker judges by it whether a
/// RST or FIN is within the receiver's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct WindowScale(u8);

impl WindowScale {
    /// The options were not read, or not captured. A RST or FIN then counts as valid, whatever its
    /// sequence number. The default.
    pub const UNKNOWN: Self = Self(0);
    /// The option is not there: neither end scales its windows.
    pub const ABSENT: Self = Self(1);

    /// Windows of the sender are to be shifted left by as many bits, if both ends sent the option.
    /// More than 14 is taken for 14, as in RFC 7323.
    pub const fn shift(bits: u8) -> Self {
        Self(2 + if bits < 14 { bits } else { 14 })
    }

    /// By how many bits the sender's windows are shifted, if both ends offer that.
    pub(crate) const fn bits(self) -> Option<u8> {
        self.0.checked_sub(2)
    }

    /// In five bits.
    pub(crate) const fn to_bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// An ICMP or ICMPv6 error message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpError {
    /// The type: 3 is "destination unreachable" of ICMP, 1 that of ICMPv6.
    pub icmp_type: u8,
    /// The code, by which the type is told more exactly.
    pub code: u8,
}

/// Why a packet belongs to no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skip {
    /// The link type is not one that can be read.
    LinkType,
    /// There is no IP in it: ARP, a bridge protocol …
    NotIp,
    /// The IP version is neither 4 nor 6, or not the one that the link layer told.
    IpVersion,
    /// The IPv4 header length is below 20 bytes.
    IpHeaderLength,
    /// The IPv4 total length is below the header's.
    IpTotalLength,
    /// The bytes end before the addresses: the snap length is too short, or the packet is.
    Short,
    /// There are more than 32 headers before its IP header, VLAN tags and MPLS labels included.
    TooDeep,
    /// A fragment that is not the first: it has no ports.
    Fragment,
    /// An ICMP error that quotes nothing readable.
    IcmpError,
    /// The extractor knows no flow for it.
    NoKey,
}
