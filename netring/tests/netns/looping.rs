//! The plain loop over AF_PACKET, over automatic selection, an [`Input`] and adapters.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::os::fd::AsFd;

use netring::adapters::{AnySource, Filtered, Limit, Tee};
use netring::afpacket::Profile;
use netring::auto::{self, AutoCapture, Backend};
use netring::pcap::CaptureWriter;
use netring::wait::{Merge, Stop, StopHandle};
use netring::{Capture, Captures, ChannelCapture, Input, LinkType, PacketSource, SockFilter};

use crate::loops::{
    awaited, awaited_any, awaited_input, for_each, in_steps, is_right, plain, streamed,
};

fn capture(profile: Profile) -> (Capture, StopHandle) {
    let builder = Capture::builder().interface("v1").profile(profile);
    let capture = builder.ignore_outgoing(true).build().unwrap();
    let stop = capture.stop_handle();
    (capture, stop)
}

fn rings() -> (Capture, StopHandle) {
    capture(Profile::LowMemory)
}

fn input() -> (Input, StopHandle) {
    let (capture, stop) = rings();
    (Input::Interface(capture), stop)
}

/// Every adapter around a capture.
fn adapted() -> (impl PacketSource + AsFd + Send + 'static, StopHandle) {
    let (capture, stop) = rings();
    let writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    let all = [SockFilter::stmt(0x06, u32::MAX)];
    let filtered = Filtered::new(Tee::new(capture, writer), all).unwrap();
    (Limit::new(filtered, 1000), stop)
}

fn any() -> (AnySource, StopHandle) {
    let (source, stop) = adapted();
    let source = AnySource::with_descriptor(source, |source| Some(source.as_fd()));
    (source, stop)
}

fn auto() -> (AutoCapture, StopHandle) {
    let builder = auto::builder().interface("v1");
    let capture = builder.backends([Backend::AfPacket]).build().unwrap();
    let stop = capture.stop_handle();
    (capture, stop)
}

/// With one source, whose end is the end of the merge.
fn merged() -> (Merge<Capture>, StopHandle) {
    let merge = Merge::new([rings().0]).unwrap();
    let stop = merge.stop_handle();
    (merge, stop)
}

fn captures() -> (Captures, StopHandle) {
    let each = Capture::builder().profile(Profile::LowMemory);
    let builder = Captures::builder(each.ignore_outgoing(true));
    let captures = builder.interfaces(["v1"]).build().unwrap();
    let stop = captures.stop_handle();
    (captures, stop)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_merged_captures_is_right() {
    for read in [plain, for_each, in_steps, awaited, streamed] {
        is_right(merged, read);
    }
    for read in [plain, awaited] {
        is_right(captures, read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_a_capture_is_right() {
    for read in [plain, for_each, in_steps, awaited, streamed] {
        is_right(rings, read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_a_capture_of_single_packets_is_right() {
    for read in [plain, in_steps, awaited] {
        is_right(|| capture(Profile::Immediate), read);
    }
}

fn channel() -> (ChannelCapture, StopHandle) {
    let (capture, stop) = rings();
    (ChannelCapture::new(capture).unwrap(), stop)
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_a_channel_is_right() {
    for read in [plain, for_each, in_steps] {
        is_right(channel, read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_an_input_is_right() {
    for read in [plain, for_each, in_steps, awaited_input] {
        is_right(input, read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_adapters_is_right() {
    for read in [plain, for_each, in_steps, awaited] {
        is_right(adapted, read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_a_source_of_any_type_is_right() {
    for read in [plain, in_steps, awaited_any] {
        is_right(any, read);
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_loop_over_automatic_selection_is_right() {
    for read in [plain, in_steps, awaited] {
        is_right(auto, read);
    }
}
