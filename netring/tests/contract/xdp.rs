//! AF_XDP sockets as source and sink under test, in both modes that veth has.

use std::time::{Duration, Instant};

use netring::auto::{self, AutoCapture, Backend};
use netring::xdp::program::AttachMode;
use netring::xdp::{Mode, RingSize};
use netring::{Clock, Error, Interface, Readiness, XdpCapture, XdpInjector};
use xtask::netns::{ip, veth};
use xtask::wire::Sniffer;

use super::live::{Wire, wait_live};
use super::{sink, source};

/// The driver runs the program.
#[derive(Debug)]
pub(crate) struct Native(Wire);

/// The kernel's stack runs the program.
#[derive(Debug)]
pub(crate) struct Generic(Wire);

/// The best mode, which is native.
#[derive(Debug)]
pub(crate) struct Auto(Wire);

/// The best available backend if no program can be loaded.
#[derive(Debug)]
pub(crate) struct AutoAfPacket(Wire);

fn capture(asked: AttachMode, reached: Mode) -> (Wire, XdpCapture) {
    veth("v0", "v1").unwrap();
    let builder = XdpCapture::builder().interface("v1").attach_mode(asked);
    let capture = builder.chunks(64).receive_ring(64).build().unwrap();
    assert_eq!(capture.mode(), reached);
    (Wire::new(capture.stop_handle()), capture)
}

/// With the default memory, which these rows never fill.
fn best(backends: &[Backend], reached: Backend) -> (Wire, AutoCapture) {
    veth("v0", "v1").unwrap();
    let builder = auto::builder().interface("v1").divert(true);
    let capture = builder.backends(backends.iter().copied()).build().unwrap();
    assert_eq!(capture.backend(), reached);
    (Wire::new(capture.stop_handle()), capture)
}

macro_rules! source {
    ($backend:ident, $source:ty, $overflows:expr, $clocks:expr, $open:expr) => {
        impl source::Backend for $backend {
            type Source = $source;

            const HOLDS: u64 = 16;
            const OVERFLOWS: Option<u64> = $overflows;
            const CLOCKS: &[Clock] = &$clocks;

            fn open() -> (Self, $source) {
                let (wire, capture) = $open;
                (Self(wire), capture)
            }

            fn offer(&mut self, frame: &[u8]) {
                self.0.sender.send(frame).unwrap();
            }

            fn wait(source: &mut $source, time: Duration) -> Result<Readiness, Error> {
                wait_live(source, time)
            }

            fn end(&mut self) {
                self.0.stop.stop();
            }

            fn interface(&self) -> u32 {
                self.0.interface
            }
        }
    };
}

source!(
    Native,
    XdpCapture,
    Some(200),
    [Clock::Process],
    capture(AttachMode::Native, Mode::NativeCopy)
);
source!(
    Generic,
    XdpCapture,
    Some(200),
    [Clock::Process],
    capture(AttachMode::Generic, Mode::GenericCopy)
);
source!(
    Auto,
    AutoCapture,
    Some(6000),
    [Clock::Process],
    best(&Backend::ALL, Backend::XdpNative)
);
source!(
    AutoAfPacket,
    AutoCapture,
    None,
    [Clock::Socket, Clock::Software],
    best(&[Backend::AfPacket], Backend::AfPacket)
);

/// An injector, which needs no program, and a plain socket behind the wire; with `LONG`, room for
/// frames longer than a chunk and for requests.
#[derive(Debug)]
pub(crate) struct Injects<const LONG: bool>(Sniffer);

impl<const LONG: bool> sink::Backend for Injects<LONG> {
    type Sink = XdpInjector;

    const DEPTH: usize = 32;

    fn open() -> (Self, XdpInjector) {
        // Some rows open one injector after another.
        if Interface::by_name("v0").is_err() {
            veth("v0", "v1").unwrap();
        }
        let mut wire = Self(Sniffer::on("v1").unwrap());
        let injector = wire.open_again();
        (wire, injector)
    }

    fn open_again(&mut self) -> XdpInjector {
        let builder = XdpInjector::builder("v0");
        builder
            .transmit_ring(RingSize::new(32).unwrap())
            .multi_buffer(LONG)
            .transmit_metadata(LONG)
            .build()
            .unwrap()
    }

    fn receive(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.0.receive(time).unwrap()
    }

    fn remove(&mut self) {
        ip("link del v0").unwrap();
        let end = Instant::now() + super::LIMIT;
        while Interface::by_name("v0").is_ok() {
            assert!(Instant::now() < end, "v0 stays");
        }
    }
}
