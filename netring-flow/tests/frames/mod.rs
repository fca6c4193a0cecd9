//! Frames by hand, for all tests of flows.

use std::net::SocketAddrV4;

use etherparse::PacketBuilder;
use netring_sys::{Clock, Timestamp};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

pub(crate) const CLIENT: &str = "192.0.2.200:40000";
pub(crate) const SERVER: &str = "192.0.2.10:443";

/// A time in seconds after a fixed point far from the epoch.
pub(crate) fn at(seconds: f64) -> Timestamp {
    let nanos = 1_700_000_000_000_000_000 + (seconds * 1e9).round() as i64;
    Timestamp::from_nanos(nanos, Clock::Software)
}

pub(crate) fn tcp(
    from: &str,
    to: &str,
    sequence: u32,
    ack: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let (from, to): (SocketAddrV4, SocketAddrV4) = (from.parse().unwrap(), to.parse().unwrap());
    let mut frame = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from.ip().octets(), to.ip().octets(), 64)
        .tcp(from.port(), to.port(), sequence, 65_000);
    if flags & FIN != 0 {
        frame = frame.fin();
    }
    if flags & SYN != 0 {
        frame = frame.syn();
    }
    if flags & RST != 0 {
        frame = frame.rst();
    }
    if flags & ACK != 0 {
        frame = frame.ack(ack);
    }
    let mut bytes = Vec::new();
    frame.write(&mut bytes, payload).unwrap();
    bytes
}

pub(crate) fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let (from, to): (SocketAddrV4, SocketAddrV4) = (from.parse().unwrap(), to.parse().unwrap());
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from.ip().octets(), to.ip().octets(), 64)
        .udp(from.port(), to.port())
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}
