//! Shared by the tests that use a wire.
#![allow(dead_code, reason = "each test program uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

pub(crate) mod attached;
pub(crate) mod bare;
pub(crate) mod capture;
#[path = "../../../netring-sys/tests/filter/programs.rs"]
pub(crate) mod filters;
pub(crate) mod pair;
pub(crate) mod programs;

use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netring_sys::{Interface, PacketSink, XdpMode};
use netring_xdp::program::{AttachMode, Attachment, Program};
use netring_xdp::{Receiver, RingSize, Umem, UmemConfig, XdpInjector};
use xtask::wire::{Sniffer, number, numbered};

pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Both modes in which a program runs on veth.
pub(crate) const MODES: [AttachMode; 2] = [AttachMode::Generic, AttachMode::Native];

pub(crate) fn ring(entries: u32) -> RingSize {
    RingSize::new(entries).unwrap()
}

pub(crate) fn injector(entries: u32) -> XdpInjector {
    let builder = XdpInjector::builder("v0").transmit_ring(ring(entries));
    builder.build().unwrap()
}

/// Redirects the packets of an interface's queue 0 to a socket.
pub(crate) fn attach(interface: &str, mode: AttachMode, socket: impl AsFd) -> Attachment {
    let interface = Interface::by_name(interface).unwrap();
    let mut program = Program::redirect()
        .queues(interface.rx_queues)
        .load()
        .unwrap();
    program.sockets_mut().set(0, socket.as_fd()).unwrap();
    let attachment = program.attach(&interface, mode).unwrap();
    let reached = match mode {
        AttachMode::Native => XdpMode::Native,
        _ => XdpMode::Generic,
    };
    assert_eq!(attachment.mode(), reached);
    attachment
}

/// Receives until `count` packets have arrived, and passes each to `f`; panics if they do not
/// arrive.
pub(crate) fn receive(rx: &mut Receiver<'_>, count: usize, mut f: impl FnMut(&[u8])) {
    let (mut got, deadline) = (0, Instant::now() + LIMIT);
    while got < count {
        assert!(Instant::now() < deadline, "{got} of {count} came");
        rx.wait(Duration::from_millis(100)).unwrap();
        for packet in &rx.receive() {
            f(packet);
            got += 1;
        }
    }
    assert_eq!(got, count);
}

/// Checks that frames of `len` bytes with the numbers `0 .. count` arrive, in order and byte for
/// byte.
pub(crate) fn receive_numbered(rx: &mut Receiver<'_>, count: u64, len: usize) {
    let mut next = 0;
    receive(rx, count as usize, |packet| {
        assert_eq!(packet, numbered(next, len), "frame {next}");
        next += 1;
    });
}

/// The same for a plain socket, which must see nothing more.
pub(crate) fn sniff_numbered(sniffer: &Sniffer, count: u64, len: usize) {
    sniff_numbered_now(sniffer, count, len);
    assert_eq!(sniffer.receive(Duration::from_millis(20)).unwrap(), None);
}

/// The same, whatever follows.
pub(crate) fn sniff_numbered_now(sniffer: &Sniffer, count: u64, len: usize) {
    for next in 0..count {
        let frame = sniffer.receive(LIMIT).unwrap();
        let frame = frame.unwrap_or_else(|| panic!("frame {next} did not come"));
        assert_eq!(number(&frame), Some(next));
        assert_eq!(frame, numbered(next, len));
    }
}

/// Sends through any sink.
pub(crate) trait SendFrame {
    fn send_frame(&mut self, frame: &[u8]) -> bool;
}

impl<S: PacketSink> SendFrame for S {
    fn send_frame(&mut self, frame: &[u8]) -> bool {
        PacketSink::send(self, frame).unwrap()
    }
}

/// Packet memory that tests without root may lock: 2 MiB.
pub(crate) fn small() -> UmemConfig {
    UmemConfig::new().chunk_size(2048).chunks(1024)
}

/// Checks that every chunk is in exactly one place.
#[track_caller]
pub(crate) fn conserved(umem: Umem<'_>) {
    let census = umem.census();
    assert_eq!(census.total(), umem.chunks(), "{census}");
}

/// Tests that run as an unprivileged user take turns: the limit of locked memory covers all sockets
/// of the user.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
