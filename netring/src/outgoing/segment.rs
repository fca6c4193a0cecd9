//! Cuts a TCP or UDP packet into segments as the card would have done, and computes checksums.

use super::layout::{Layout, TCP, UDP, word};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const URG: u8 = 0x20;
const CWR: u8 = 0x80;

const UDP_HEADER: usize = 8;

/// How a packet is cut: of TCP into segments, of UDP into datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segmented {
    layout: Layout,
    /// Where the payload begins.
    payload: usize,
    /// Bytes of payload of each segment but the last.
    size: usize,
    count: usize,
}

impl Segmented {
    /// In frames of at most `limit` bytes, with `size` bytes of payload if that is known. `None` if
    /// the packet cannot be cut: for datagrams the size must be known, and no other is correct.
    pub(crate) fn new(
        frame: &[u8],
        layout: Layout,
        limit: usize,
        size: Option<u16>,
    ) -> Option<Self> {
        let (header, flags) = match layout.protocol {
            TCP => {
                let offset = usize::from(frame.get(layout.transport + 12)? >> 4);
                (offset * 4, *frame.get(layout.transport + 13)?)
            }
            UDP if size.is_some() => (UDP_HEADER, 0),
            _ => return None,
        };
        let payload = layout.transport + header;
        if header < least(layout.protocol) || payload > layout.end {
            return None;
        }
        // An IP packet has at most 65,535 bytes, whatever the link takes.
        let headers = layout.ip_end + header;
        let longest = limit.min(layout.ip + usize::from(u16::MAX));
        let room = longest.checked_sub(headers)?;
        let size = match size.map(usize::from) {
            Some(size) if layout.protocol == UDP && size > room => return None,
            size => size.map_or(room, |size| room.min(size)),
        };
        let bytes = layout.end - payload;
        if size == 0 && bytes > 0 {
            return None;
        }
        let count = bytes.div_ceil(size.max(1)).max(1);
        // It is unknown which of several segments such a flag belongs to.
        if count > 1 && flags & (SYN | RST | URG) != 0 {
            return None;
        }
        Some(Self {
            layout,
            payload,
            size,
            count,
        })
    }

    /// Whether the segments have this many bytes of payload.
    pub(crate) fn is_of(&self, size: u16) -> bool {
        self.size == usize::from(size)
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    const fn payload_of(&self, index: usize) -> (usize, usize) {
        let start = self.payload + index * self.size;
        let end = start + self.size;
        (
            start,
            if end < self.layout.end {
                end
            } else {
                self.layout.end
            },
        )
    }

    /// Bytes of a segment.
    pub(crate) const fn len(&self, index: usize) -> usize {
        let (start, end) = self.payload_of(index);
        self.layout.ip_end + (self.payload - self.layout.transport) + (end - start)
    }

    /// Writes a segment of the frame to `to`, which has its length.
    pub(crate) fn write(&self, frame: &[u8], index: usize, to: &mut [u8]) {
        let ip_end = self.layout.ip_end;
        let (start, end) = self.payload_of(index);
        let transport = ip_end;
        let data = transport + (self.payload - self.layout.transport);
        to[..ip_end].copy_from_slice(&frame[..ip_end]);
        to[transport..data].copy_from_slice(&frame[self.layout.transport..self.payload]);
        to[data..].copy_from_slice(&frame[start..end]);

        let layout = Layout {
            transport,
            end: to.len(),
            ..self.layout
        };
        self.write_ip(index, to);
        match layout.protocol {
            UDP => put(to, transport + 4, (to.len() - transport) as u16),
            _ => self.write_tcp(index, &mut to[transport..]),
        }
        fill_checksum(to, layout);
    }

    fn write_tcp(&self, index: usize, to: &mut [u8]) {
        let sequence = u32::from_be_bytes([to[4], to[5], to[6], to[7]]);
        // Sequence numbers wrap, and a packet is shorter than their range.
        let sequence = sequence.wrapping_add((index * self.size) as u32);
        to[4..8].copy_from_slice(&sequence.to_be_bytes());
        if index > 0 {
            to[13] &= !CWR;
        }
        if index + 1 < self.count {
            to[13] &= !(FIN | PSH);
        }
    }

    fn write_ip(&self, index: usize, to: &mut [u8]) {
        let Layout { ip, ip_end, .. } = self.layout;
        if self.layout.is_v6 {
            let length = (to.len() - ip_end) as u16;
            put(to, ip + 4, length);
            to[ip + 6] = self.layout.protocol;
            return;
        }
        let id = word(to, ip + 4).unwrap_or_default();
        put(to, ip + 2, (to.len() - ip) as u16);
        put(to, ip + 4, id.wrapping_add(index as u16));
        put(to, ip + 10, 0);
        let sum = !folded(sum(&to[ip..ip_end]));
        put(to, ip + 10, sum);
    }
}

/// Bytes of the shortest header of TCP or UDP.
const fn least(protocol: u8) -> usize {
    if protocol == TCP { 20 } else { UDP_HEADER }
}

fn put(to: &mut [u8], at: usize, value: u16) {
    to[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// Computes the TCP or UDP checksum of a packet. Returns false if it has none.
pub(crate) fn fill_checksum(frame: &mut [u8], layout: Layout) -> bool {
    let transport = layout.transport;
    let field = match layout.protocol {
        TCP => transport + 16,
        UDP => transport + 6,
        _ => return false,
    };
    let len = layout.end - transport;
    if len < least(layout.protocol) {
        return false;
    }
    put(frame, field, 0);
    let value = !folded(pseudo_sum(frame, &layout) + sum(&frame[transport..layout.end]));
    // Zero would say that a datagram has no checksum.
    let is_udp_zero = value == 0 && layout.protocol == UDP;
    put(frame, field, if is_udp_zero { u16::MAX } else { value });
    true
}

/// Whether the TCP or UDP checksum field holds the sum of the pseudo header, the starting value for
/// an interface that computes it.
///
/// A correct checksum may equal it by chance; computing it again changes nothing.
pub(crate) fn has_partial_checksum(frame: &[u8], layout: &Layout) -> bool {
    let field = match layout.protocol {
        TCP => layout.transport + 16,
        UDP => layout.transport + 6,
        _ => return false,
    };
    let found = match word(frame, field) {
        Some(found) if field + 2 <= layout.end => found,
        _ => return false,
    };
    found != 0 && found == folded(pseudo_sum(frame, layout))
}

/// The sum of the pseudo header.
fn pseudo_sum(frame: &[u8], layout: &Layout) -> u64 {
    let addresses = match layout.is_v6 {
        false => layout.ip + 12..layout.ip + 20,
        true => layout.ip + 8..layout.ip + 40,
    };
    let len = layout.end - layout.transport;
    sum(&frame[addresses]) + u64::from(layout.protocol) + len as u64
}

/// The sum of all words, of which the last may be half of one.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    let words = words
        .iter()
        .map(|word| u64::from(u16::from_be_bytes(*word)));
    words.sum::<u64>() + last
}

/// The ones' complement sum in 16 bits.
const fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
