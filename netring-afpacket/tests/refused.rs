//! Settings that no kernel accepts are refused before a system call, with a text that says what is
//! allowed.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Profile, SockFilter};
use netring_sys::Error;
use netring_sys::kernel::filter::BPF_RET_K;
use netring_sys::syscall::page_size;

fn refused(builder: CaptureBuilder, what: &str, parts: &[&str]) {
    let error = builder.build().unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::Config { setting, .. } if setting == what),
        "{text}"
    );
    for part in parts {
        assert!(text.contains(part), "{text:?} does not contain {part:?}");
    }
}

/// If one of these were not refused, the missing interface would be the error.
fn builder() -> CaptureBuilder {
    Capture::builder().interface("no-such-iface")
}

#[test]
fn an_interface_must_be_named() {
    refused(Capture::builder(), "interface", &["name the interface"]);
}

#[test]
fn a_block_is_a_multiple_of_the_page_size() {
    let page = page_size();
    let rule = format!("page size, which is {page} bytes");
    for size in [0, 1, page - 1, page + 1, page + page / 2, usize::MAX] {
        let parts = [rule.as_str(), &size.to_string()];
        refused(builder().block_size(size), "block_size", &parts);
    }
}

#[test]
fn a_ring_has_two_blocks_or_more() {
    for count in [0, 1] {
        refused(
            builder().block_count(count),
            "block_count",
            &["at least 2 blocks"],
        );
    }
}

#[test]
fn a_block_and_a_ring_have_the_sizes_that_the_kernels_words_hold() {
    let parts = ["smaller than 2 GiB", "smaller than 8 TiB"];
    let page = page_size();
    for (size, count) in [
        (1 << 31, 2),
        (usize::MAX - page + 1, 2),
        (1 << 30, 8 << 10),
        (page, usize::MAX),
        (page, usize::MAX / page + 2),
    ] {
        let builder = builder().block_size(size).block_count(count);
        refused(builder, "block_count × block_size", &parts);
    }
}

#[test]
fn a_retire_time_out_is_whole_milliseconds_that_16_bits_hold() {
    for time in [
        Duration::ZERO,
        Duration::from_micros(999),
        Duration::from_micros(1500),
        Duration::from_millis(65_536),
        Duration::from_nanos(1_000_001),
        Duration::MAX,
    ] {
        let builder = builder().retire_timeout(time);
        refused(
            builder,
            "retire_timeout",
            &["1 to 65,535 whole milliseconds"],
        );
    }
}

#[test]
fn an_immediate_capture_has_no_retire_time_out_and_no_hash() {
    let immediate = || builder().profile(Profile::Immediate);
    let late = immediate().retire_timeout(Duration::from_millis(1));
    refused(
        late,
        "retire_timeout",
        &["no blocks to retire", "another profile"],
    );
    let hash = immediate().rx_hash(true);
    refused(hash, "rx_hash", &["no place for it", "Profile::LowLatency"]);
    // The number of slots is limited to 32 bits too.
    let slots = immediate()
        .snap_len(1)
        .block_size(1 << 30)
        .block_count(1 << 9);
    refused(slots, "block_count × block_size", &["4 billion slots"]);
}

#[test]
fn a_snap_length_is_one_byte_or_more() {
    refused(builder().snap_len(0), "snap_len", &["at least 1"]);
}

#[test]
fn a_program_has_1_to_4096_instructions() {
    let program = vec![SockFilter::stmt(BPF_RET_K, 1); 4097];
    for len in [0, 4097] {
        refused(builder().filter(&program[..len]), "filter", &["1 to 4096"]);
    }
}

#[test]
fn an_instruction_that_the_kernel_refuses_is_named() {
    let divides = [SockFilter::stmt(0x34, 0), SockFilter::stmt(BPF_RET_K, 1)];
    let parts = ["instruction 0 (code 0x34, k 0x0)", "divides by 0"];
    refused(builder().filter(divides), "filter", &parts);
}

#[test]
fn what_is_at_the_edge_of_a_rule_is_not_refused() {
    let program = [SockFilter::stmt(BPF_RET_K, 1)];
    let page = page_size();
    let edges = [
        builder().block_size(page).block_count(2),
        builder().block_size((1 << 31) - page),
        builder()
            .block_size(page)
            .block_count((u32::MAX as usize) / page * 2048),
        builder().retire_timeout(Duration::from_millis(1)),
        builder().retire_timeout(Duration::from_millis(65_535)),
        builder().snap_len(1).filter(program),
        builder().profile(Profile::Immediate),
        builder().profile(Profile::Immediate).snap_len(1),
        builder().profile(Profile::Immediate).snap_len(u32::MAX),
        builder().profile(Profile::Immediate).block_size(page),
        builder()
            .rx_hash(true)
            .profile(Profile::Immediate)
            .profile(Profile::Default),
    ];
    for builder in edges {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::NoSuchInterface { .. }), "{error}");
    }
}

/// A capture can move to another thread, and its handle is shared by any.
#[test]
fn a_capture_is_send_and_a_handle_is_sync() {
    fn send<T: Send>() {}
    fn sync<T: Send + Sync>() {}
    send::<Capture>();
    sync::<netring_afpacket::StopHandle>();
}
