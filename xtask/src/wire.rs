//! An independent peer on the wire: plain packet sockets without a ring.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};
use netring_sys::kernel::packet::{ETH_P_ALL, PACKET_OUTGOING};
use netring_sys::{Error, Interface, PacketBatch, PacketBuf, PacketSource, syscall};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce, sockopt::UdpGsoSegment};

/// Sends frames as they are.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
}

impl Sender {
    /// Sends on this interface, in this thread's namespace.
    ///
    /// # Errors The interface does not exist, or the caller lacks CAP_NET_RAW.
    pub fn on(interface: &str) -> Result<Self, Error> {
        let interface = Interface::by_name(interface)?;
        let socket = syscall::packet_socket().map_err(|error| error.needs_net_raw())?;
        // Protocol 0: it receives nothing, and so costs receivers no time.
        syscall::bind_packet(socket.as_fd(), interface.index, 0)?;
        Ok(Self { socket })
    }

    /// Sends one frame, and waits for room if the socket is full.
    ///
    /// # Errors The frame is too long, or the interface is down or was removed.
    pub fn send(&self, frame: &[u8]) -> Result<(), Error> {
        while syscall::send(self.socket.as_fd(), frame)?.is_none() {
            std::thread::yield_now();
        }
        Ok(())
    }
}

/// Bytes that a [`Sniffer`] holds, with the kernel's own: some thousand frames.
const SNIFFED: usize = 16 << 20;

/// Receives frames as they are, in order.
#[derive(Debug)]
pub struct Sniffer {
    socket: OwnedFd,
}

impl Sniffer {
    /// Receives on this interface, in this thread's namespace, from now on.
    ///
    /// # Errors The interface does not exist, or the caller lacks CAP_NET_RAW.
    pub fn on(interface: &str) -> Result<Self, Error> {
        let interface = Interface::by_name(interface)?;
        let socket = syscall::packet_socket().map_err(|error| error.needs_net_raw())?;
        // So that a test that does not run for a while misses nothing. A user namespace has to do
        // with the default.
        let _ = setsockopt(&socket, RcvBufForce, &SNIFFED);
        syscall::bind_packet(socket.as_fd(), interface.index, ETH_P_ALL)?;
        Ok(Self { socket })
    }

    /// Returns the next incoming frame, or `None` if none arrives in time. Frames that this host
    /// sends are skipped.
    ///
    /// # Errors
    /// The interface went down.
    pub fn receive(&self, timeout: Duration) -> Result<Option<Vec<u8>>, Error> {
        let deadline = Instant::now() + timeout;
        // More than the longest IP packet with its link layer header.
        let mut buffer = vec![0; 1 << 17];
        loop {
            match syscall::receive(self.socket.as_fd(), &mut buffer)? {
                Some((_, from)) if from.sll_pkttype == PACKET_OUTGOING => {}
                Some((len, _)) => {
                    buffer.truncate(len);
                    return Ok(Some(buffer));
                }
                None => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    syscall::poll_readable(self.socket.as_fd(), Some(left))?;
                }
            }
        }
    }
}

/// A UDP socket whose payloads the stack hands to the interface in one packet, which the interface
/// segments into datagrams of `segment` bytes (generic segmentation offload, `UDP_SEGMENT`).
///
/// # Errors
/// The kernel is older than 4.18.
pub fn segmenting(segment: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    setsockopt(&socket, UdpGsoSegment, &segment.into())?;
    Ok(socket)
}

/// International Atomic Time (`CLOCK_TAI`) in nanoseconds.
///
/// # Errors
/// The kernel has no such clock.
pub fn tai() -> io::Result<i64> {
    let now = Duration::from(nix::time::ClockId::CLOCK_TAI.now()?);
    i64::try_from(now.as_nanos()).map_err(io::Error::other)
}

/// Takes packets from a source until it has `count`, or until none arrives for `silence`.
///
/// # Errors
/// The source failed.
pub fn collect(
    source: &mut impl PacketSource,
    count: usize,
    silence: Duration,
) -> Result<Vec<PacketBuf>, Error> {
    let mut packets = Vec::new();
    while packets.len() < count {
        let Some(batch) = source.next_batch_timeout(silence)?.batch() else {
            break;
        };
        packets.extend(batch.packets().map(PacketBuf::from));
    }
    Ok(packets)
}

/// An Ethernet frame with an IPv4 UDP datagram from port `source` to port `target`.
pub fn udp4(source: u16, target: u16, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(source, target);
    written(|frame| builder.write(frame, payload), payload.len())
}

/// A UDP frame whose payload is its number, padded to `len` bytes of frame.
pub fn numbered(number: u64, len: usize) -> Vec<u8> {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(len.saturating_sub(42).max(8), 0);
    udp4(1000, 2000, &payload)
}

/// The number of a frame that [`numbered`] made.
pub fn number(frame: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*frame.get(42..)?.first_chunk()?))
}

/// An Ethernet frame with an IPv4 TCP segment; `flags` as in the header: FIN 1, SYN 2, RST 4, PSH
/// 8, ACK 16.
pub fn tcp4(source: u16, target: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(source, target, sequence, 65_000);
    let builder = with_flags(builder, flags);
    written(|frame| builder.write(frame, payload), payload.len())
}

/// The TCP header with these flags, as in [`tcp4`]; it acknowledges 1.
pub fn with_flags(
    mut builder: PacketBuilderStep<TcpHeader>,
    flags: u8,
) -> PacketBuilderStep<TcpHeader> {
    if flags & 1 != 0 {
        builder = builder.fin();
    }
    if flags & 2 != 0 {
        builder = builder.syn();
    }
    if flags & 4 != 0 {
        builder = builder.rst();
    }
    if flags & 8 != 0 {
        builder = builder.psh();
    }
    if flags & 16 != 0 {
        builder = builder.ack(1);
    }
    builder
}

fn written<E>(
    write: impl FnOnce(&mut io::Cursor<Vec<u8>>) -> Result<(), E>,
    payload: usize,
) -> Vec<u8> {
    let mut frame = io::Cursor::new(Vec::with_capacity(payload + 64));
    let written = write(&mut frame);
    assert!(
        written.is_ok(),
        "a frame of {payload} bytes of payload does not fit IPv4"
    );
    frame.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_frame_has_its_length_and_its_number() {
        for len in [60, 64, 1514] {
            let frame = numbered(u64::MAX - 7, len);
            assert_eq!(frame.len(), len);
            assert_eq!(number(&frame), Some(u64::MAX - 7));
        }
    }
}
