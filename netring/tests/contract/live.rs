//! Interfaces as sources and sinks under test: one end of a veth pair, with plain sockets on the
//! other.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netring::afpacket::Profile;
use netring::wait::{Merge, Stop, StopHandle};
use netring::{Capture, Clock, Count, Error, Interface, PacketSource, Readiness};
use netring_sys::syscall::poll_readable;
use xtask::netns::veth;
use xtask::wire::Sender;

use super::source::Backend;

/// A TPACKET_V3 ring of 64 KiB.
#[derive(Debug)]
pub(crate) struct AfPacket(Wire);

/// A ring that hands over each packet at once: 126 slots.
#[derive(Debug)]
pub(crate) struct Immediate(Wire);

/// Such a ring, merged with that of an interface on which nothing happens.
#[derive(Debug)]
pub(crate) struct Merged(Wire);

/// A ring of all interfaces, without what they send.
#[derive(Debug)]
pub(crate) struct AllInterfaces(Wire);

/// The other end, and what ends the source.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) sender: Sender,
    pub(crate) stop: StopHandle,
    pub(crate) interface: u32,
}

impl Wire {
    /// Between `v0` and `v1`, with the source on `v1`.
    pub(crate) fn new(stop: StopHandle) -> Self {
        Self {
            sender: Sender::on("v0").unwrap(),
            stop,
            interface: Interface::by_name("v1").unwrap().index,
        }
    }
}

/// Waits as a reader does that has only a source and its descriptor.
pub(crate) fn wait_live<S: PacketSource + AsFd>(
    source: &mut S,
    time: Duration,
) -> Result<Readiness, Error> {
    let end = Instant::now() + time;
    loop {
        let found = source.ready()?;
        let left = end.saturating_duration_since(Instant::now());
        if found != Readiness::Empty || left.is_zero() {
            return Ok(found);
        }
        poll_readable(source.as_fd(), Some(left))?;
    }
}

impl Backend for AfPacket {
    type Source = Capture;

    const HOLDS: u64 = 16;
    const OVERFLOWS: Option<u64> = Some(200);
    // The stack stamps packets while any socket on the machine requests it, in whatever namespace.
    const CLOCKS: &[Clock] = &[Clock::Socket, Clock::Software];

    fn open() -> (Self, Capture) {
        veth("v0", "v1").unwrap();
        let builder = Capture::builder().interface("v1");
        let capture = builder.block_size(1 << 14).block_count(4).build().unwrap();
        (Self(Wire::new(capture.stop_handle())), capture)
    }

    fn offer(&mut self, frame: &[u8]) {
        self.0.sender.send(frame).unwrap();
    }

    fn wait(source: &mut Capture, time: Duration) -> Result<Readiness, Error> {
        wait_live(source, time)
    }

    fn end(&mut self) {
        self.0.stop.stop();
    }

    fn interface(&self) -> u32 {
        self.0.interface
    }
}

impl Backend for Immediate {
    type Source = Capture;

    const HOLDS: u64 = 16;
    const OVERFLOWS: Option<u64> = Some(200);
    const CLOCKS: &[Clock] = AfPacket::CLOCKS;

    fn open() -> (Self, Capture) {
        veth("v0", "v1").unwrap();
        let builder = Capture::builder()
            .interface("v1")
            .profile(Profile::Immediate);
        let builder = builder.block_size(1 << 17).block_count(2).snap_len(2000);
        let capture = builder.build().unwrap();
        (Self(Wire::new(capture.stop_handle())), capture)
    }

    fn offer(&mut self, frame: &[u8]) {
        self.0.sender.send(frame).unwrap();
    }

    fn wait(source: &mut Capture, time: Duration) -> Result<Readiness, Error> {
        wait_live(source, time)
    }

    fn end(&mut self) {
        self.0.stop.stop();
    }

    fn interface(&self) -> u32 {
        self.0.interface
    }
}

impl Backend for Merged {
    type Source = Merge<Capture>;

    const HOLDS: u64 = AfPacket::HOLDS;
    const OVERFLOWS: Option<u64> = AfPacket::OVERFLOWS;
    const CLOCKS: &[Clock] = AfPacket::CLOCKS;

    fn open() -> (Self, Merge<Capture>) {
        let (AfPacket(mut wire), capture) = AfPacket::open();
        let silent = Capture::builder().interface("lo");
        let silent = silent.profile(Profile::LowMemory).build().unwrap();
        let merge = Merge::new([silent, capture]).unwrap();
        wire.stop = merge.stop_handle();
        (Self(wire), merge)
    }

    fn offer(&mut self, frame: &[u8]) {
        self.0.sender.send(frame).unwrap();
    }

    fn wait(source: &mut Merge<Capture>, time: Duration) -> Result<Readiness, Error> {
        wait_live(source, time)
    }

    fn end(&mut self) {
        self.0.stop.stop();
    }

    fn interface(&self) -> u32 {
        self.0.interface
    }
}

impl Backend for AllInterfaces {
    type Source = Capture;

    const HOLDS: u64 = AfPacket::HOLDS;
    const OVERFLOWS: Option<u64> = AfPacket::OVERFLOWS;
    const CLOCKS: &[Clock] = AfPacket::CLOCKS;
    const LINK_DOWNS: Count = Count::Unavailable;

    fn open() -> (Self, Capture) {
        veth("v0", "v1").unwrap();
        let builder = Capture::builder().all_interfaces().ignore_outgoing(true);
        let capture = builder.block_size(1 << 14).block_count(4).build().unwrap();
        (Self(Wire::new(capture.stop_handle())), capture)
    }

    fn offer(&mut self, frame: &[u8]) {
        self.0.sender.send(frame).unwrap();
    }

    fn wait(source: &mut Capture, time: Duration) -> Result<Readiness, Error> {
        wait_live(source, time)
    }

    fn end(&mut self) {
        self.0.stop.stop();
    }

    fn interface(&self) -> u32 {
        self.0.interface
    }
}
