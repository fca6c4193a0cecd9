use netring_sys::kernel::filter::{SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, SockFilter};

use super::*;
use crate::program::Program;

const RET: SockFilter = SockFilter::stmt(0x06, u32::MAX);

/// Why a program with this instruction is refused; it stands between a valid one and the return.
#[track_caller]
fn why_not(insn: SockFilter) -> String {
    let program = [SockFilter::stmt(0x00, 7), insn, RET];
    let error = Program::redirect().filter(program).object().unwrap_err();
    assert!(
        matches!(
            error,
            Error::Config {
                setting: "filter",
                ..
            }
        ),
        "{error}"
    );
    let told = error.to_string();
    let from = format!(
        "filter: instruction 1 (code {:#04x}, k {:#x}): ",
        insn.code, insn.k
    );
    told.strip_prefix(&from)
        .unwrap_or_else(|| panic!("{told}"))
        .to_owned()
}

#[test]
fn x21_what_the_kernel_knows_of_a_packet_is_refused() {
    // Each that there is, and the first that there is not.
    for extension in (0..=64).step_by(4) {
        for code in [0x20, 0x28, 0x30] {
            let why = why_not(SockFilter::stmt(code, SKF_AD_OFF + extension));
            let told =
                format!("it loads what the kernel knows about a packet (SKF_AD_OFF + {extension})");
            assert!(why.starts_with(&told), "{why}");
        }
    }
    assert!(why_not(SockFilter::stmt(0x28, u32::MAX)).contains("SKF_AD_OFF + 4095"));
}

#[test]
fn x21_what_counts_from_a_header_is_refused() {
    for code in [0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xb1] {
        for (k, told) in [
            (SKF_NET_OFF, "network header (SKF_NET_OFF + 0)"),
            (SKF_NET_OFF + 9, "network header (SKF_NET_OFF + 9)"),
            (SKF_AD_OFF - 1, "network header (SKF_NET_OFF + 1044479)"),
            (SKF_LL_OFF, "link header (SKF_LL_OFF + 0)"),
            (SKF_NET_OFF - 1, "link header (SKF_LL_OFF + 1048575)"),
        ] {
            let why = why_not(SockFilter::stmt(code, k));
            assert!(why.contains(told), "{why}");
        }
    }
}

#[test]
fn x21_what_is_out_of_reach_is_refused() {
    for (code, first) in [
        (0x20, 0xfffc),
        (0x28, 0xfffe),
        (0x30, 0xffff),
        (0xb1, 0xffff),
    ] {
        let last = [SockFilter::stmt(code, first - 1), RET];
        assert!(read(&last.into(), false).is_ok(), "{code:#x}");
        for k in [first, 0x1_0000, i32::MAX as u32, SKF_LL_OFF - 1] {
            let why = why_not(SockFilter::stmt(code, k));
            assert!(why.contains("the first 65535 bytes"), "{why}");
        }
    }
}

/// The rules themselves are tested where they are, in `netring-sys/tests/filter`.
#[test]
fn x21_a_program_that_the_kernel_refuses_is_refused() {
    let unknown = "it is not an instruction of classic BPF";
    assert_eq!(why_not(SockFilter::stmt(0x18, 1)), unknown);
    assert_eq!(why_not(SockFilter::stmt(0x34, 0)), "it divides by 0");
    let empty = Program::redirect().filter([]).object().unwrap_err();
    assert!(empty.to_string().contains("1 to 4096"), "{empty}");
}

/// A jump of an XDP program has 16 bits for its distance.
#[test]
fn x21_a_program_that_grows_too_long_is_refused() {
    let mut filter = vec![SockFilter::stmt(0x40, 0); 4095];
    filter.push(RET);
    assert!(netring_sys::Filter::from(&filter).check().is_ok());
    let error = Program::redirect().filter(&filter).object().unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("filter: ") && told.contains("is longer than 32767"),
        "{told}"
    );
    assert!(Program::redirect().filter(&filter[2000..]).object().is_ok());
}

/// The cost of a filter: 14 instructions before a packet is chosen, and no call.
#[test]
fn a_filter_is_a_few_instructions_before_the_redirect() {
    // Frames of IPv4: ldh [12]; jeq #0x800; ret #-1; ret #0.
    let filter = [
        SockFilter::stmt(0x28, 12),
        SockFilter::jump(0x15, 0x800, 0, 1),
        RET,
        SockFilter::stmt(0x06, 0),
    ];
    let listing = "\
        r6 = *(u32 *)(r1 +16)
        r9 = r1
        r4 = *(u32 *)(r9 +0)
        r5 = *(u32 *)(r9 +4)
        r7 = 0
        r8 = 0
        r0 = r4
        r0 += 14
        if r0 > r5 goto 15
        r7 = *(u16 *)(r4 +12)
        r7 = be16 r7
        if r7 != 2048 goto 14
        r0 = 1
        goto 16
        goto 15
        r0 = 0
        r7 = 2
        r8 = 16
        if r0 == 0 goto 29
        r1 = r9
        r1 = map netring_xsks";
    let text = Program::redirect().filter(filter).listing();
    let lines = text
        .lines()
        .map(|line| line.split_once(": ").map_or("", |(_, text)| text));
    let count = listing.lines().count();
    assert!(
        lines.take(count).eq(listing.lines().map(str::trim)),
        "{text}"
    );
}

/// Unreachable instructions are left out, and a filter that chooses all or none keeps both paths
/// for the verifier.
#[test]
fn what_nothing_leads_to_is_left_out() {
    let none = SockFilter::stmt(0x06, 0);
    let listing = |filter: &[SockFilter]| Program::redirect().filter(filter).listing();
    assert_eq!(listing(&[RET, none, RET]), listing(&[RET]));
    let jump = SockFilter::stmt(0x05, 1);
    assert_eq!(listing(&[jump, none, RET]).matches("r0 = 0").count(), 0);
}
