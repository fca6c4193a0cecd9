//! A capture from the interface `v0`, and the conditions that it must meet.

use std::time::{Duration, Instant};

use netring_sys::{PacketBatch, PacketSource, Stats};
use netring_xdp::program::AttachMode;
use netring_xdp::{CaptureBuilder, XdpCapture};
use xtask::wire::numbered;

use super::LIMIT;

pub(crate) fn builder(mode: AttachMode) -> CaptureBuilder {
    XdpCapture::builder()
        .interface("v0")
        .chunks(1024)
        .receive_ring(512)
        .attach_mode(mode)
}

/// Receives until `count` packets have arrived, and passes each to `f`.
pub(crate) fn take(capture: &mut XdpCapture, count: u64, mut f: impl FnMut(&[u8])) {
    let (mut got, deadline) = (0, Instant::now() + LIMIT);
    while got < count {
        assert!(Instant::now() < deadline, "{got} of {count} came");
        let Some(batch) = capture
            .next_batch_timeout(Duration::from_millis(100))
            .unwrap()
            .batch()
        else {
            continue;
        };
        for packet in batch.packets() {
            f(packet.data());
            got += 1;
        }
    }
    assert_eq!(got, count);
}

/// Checks that the numbers from `first` on arrive, in order and byte for byte.
pub(crate) fn take_numbered(capture: &mut XdpCapture, first: u64, count: u64, len: usize) {
    let mut next = first;
    take(capture, count, |packet| {
        assert_eq!(packet, numbered(next, len), "frame {next}");
        next += 1;
    });
}

pub(crate) fn all_there(capture: &XdpCapture) {
    for census in capture.census() {
        assert_eq!(census.total(), 1024, "{census}");
    }
}

/// Checks that offered = delivered + named losses, all of them exact.
pub(crate) fn adds_up(capture: &mut XdpCapture) -> Stats {
    let stats = capture.stats().unwrap();
    assert_eq!(stats.pending(), Some(0), "{stats:?}");
    all_there(capture);
    stats
}
