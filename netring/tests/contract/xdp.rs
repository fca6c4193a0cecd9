//! AF_XDP sockets as source and sink under test, in both modes that veth has.

use std::time::{Duration, Instant};

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

fn capture(asked: AttachMode, reached: Mode) -> (Wire, XdpCapture) {
    veth("v0", "v1").unwrap();
    let builder = XdpCapture::builder().interface("v1").attach_mode(asked);
    let capture = builder.chunks(64).receive_ring(64).build().unwrap();
    assert_eq!(capture.mode(), reached);
    (Wire::new(capture.stop_handle()), capture)
}

macro_rules! source_in {
    ($backend:ident, $asked:expr, $reached:expr) => {
        impl source::Backend for $backend {
            type Source = XdpCapture;

            const HOLDS: u64 = 16;
            const OVERFLOWS: Option<u64> = Some(200);
            const CLOCK: Clock = Clock::Process;

            fn open() -> (Self, XdpCapture) {
                let (wire, capture) = capture($asked, $reached);
                (Self(wire), capture)
            }

            fn offer(&mut self, frame: &[u8]) {
                self.0.sender.send(frame).unwrap();
            }

            fn wait(source: &mut XdpCapture, time: Duration) -> Result<Readiness, Error> {
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

source_in!(Native, AttachMode::Native, Mode::NativeCopy);
source_in!(Generic, AttachMode::Generic, Mode::GenericCopy);

/// An injector, which needs no program, and a plain socket behind the wire.
#[derive(Debug)]
pub(crate) struct Injects(Sniffer);

impl sink::Backend for Injects {
    type Sink = XdpInjector;

    const DEPTH: usize = 32;

    fn open() -> (Self, XdpInjector) {
        // Some rows open one, and then another.
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
