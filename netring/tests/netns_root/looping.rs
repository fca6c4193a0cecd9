//! The plain loop over AF_XDP, native and generic, and over automatic selection of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use netring::XdpCapture;
use netring::auto::{self, AutoCapture, Backend};
use netring::wait::StopHandle;
use netring::xdp::program::AttachMode;

use crate::loops::{awaited, for_each, in_steps, is_right, plain, streamed};

fn capture(mode: AttachMode) -> (XdpCapture, StopHandle) {
    let builder = XdpCapture::builder().interface("v1").attach_mode(mode);
    let capture = builder.chunks(1024).build().unwrap();
    let stop = capture.stop_handle();
    (capture, stop)
}

fn auto() -> (AutoCapture, StopHandle) {
    let builder = auto::builder().interface("v1").divert(true);
    let capture = builder.backends([Backend::XdpNative]).build().unwrap();
    let stop = capture.stop_handle();
    (capture, stop)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_a_native_capture_is_right() {
    for read in [plain, for_each, in_steps, awaited, streamed] {
        is_right(|| capture(AttachMode::Native), read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_a_generic_capture_is_right() {
    for read in [plain, in_steps, awaited] {
        is_right(|| capture(AttachMode::Generic), read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_automatic_selection_of_af_xdp_is_right() {
    for read in [plain, in_steps, awaited] {
        is_right(auto, read);
    }
}
