//! Injectors with a ring as the sink under test, with a plain socket behind the wire.

use std::time::{Duration, Instant};

use netring::afpacket::CopyMode;
use netring::{Injector, Interface};
use xtask::netns::{ip, veth};
use xtask::wire::Sniffer;

use super::sink;

/// With `ZERO_COPY`, frames are sent out of the ring.
#[derive(Debug)]
pub(crate) struct Injects<const ZERO_COPY: bool>(Sniffer);

impl<const ZERO_COPY: bool> sink::Backend for Injects<ZERO_COPY> {
    type Sink = Injector;

    const DEPTH: usize = 32;

    fn open() -> (Self, Injector) {
        // Some rows open one injector after another.
        if Interface::by_name("v0").is_err() {
            veth("v0", "v1").unwrap();
        }
        let mut wire = Self(Sniffer::on("v1").unwrap());
        let injector = wire.open_again();
        (wire, injector)
    }

    fn open_again(&mut self) -> Injector {
        let mode = match ZERO_COPY {
            true => CopyMode::ZeroCopy,
            false => CopyMode::Copy,
        };
        let builder = Injector::builder("v0").slots(32);
        builder.copy_mode(mode).build().unwrap()
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
