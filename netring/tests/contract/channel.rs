//! A ring read by a thread of its own, behind a channel of 100 packets.

use std::time::Duration;

use netring::wait::Stop;
use netring::{Capture, ChannelCapture, Clock, Error, PacketSource, Readiness};
use xtask::netns::veth;

use super::live::{AfPacket, Wire};
use super::source::Backend;

#[derive(Debug)]
pub(crate) struct Channeled(Wire);

impl Backend for Channeled {
    type Source = ChannelCapture;

    const HOLDS: u64 = 16;
    const OVERFLOWS: Option<u64> = Some(300);
    const CLOCKS: &[Clock] = AfPacket::CLOCKS;

    fn open() -> (Self, ChannelCapture) {
        veth("v0", "v1").unwrap();
        let capture = Capture::builder().interface("v1");
        let capture = capture.block_size(1 << 14).block_count(4).build().unwrap();
        let wire = Wire::new(capture.stop_handle());
        let settings = ChannelCapture::builder().capacity(100);
        (Self(wire), settings.start(capture).unwrap())
    }

    fn offer(&mut self, frame: &[u8]) {
        self.0.sender.send(frame).unwrap();
    }

    fn wait(source: &mut ChannelCapture, time: Duration) -> Result<Readiness, Error> {
        source.wait(Some(time))
    }

    fn end(&mut self) {
        self.0.stop.stop();
    }

    fn interface(&self) -> u32 {
        self.0.interface
    }
}
