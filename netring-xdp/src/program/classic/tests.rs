use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

use netring_sys::syscall::attach_filter;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::program::Program;

const RET: SockFilter = SockFilter::stmt(0x06, u32::MAX);

/// Why a program with this instruction is refused; it stands between one that is fine and the return.
#[track_caller]
fn why_not(insn: SockFilter) -> String {
    let program = [SockFilter::stmt(0x00, 7), insn, RET];
    let error = Program::redirect().filter(&program).object().unwrap_err();
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
    // Protocol, kind, interface, attributes, mark, queue, hardware, hash, processor, exclusive or, tag, payload, chance, TPID: and any other.
    for extension in (0..=64).step_by(4) {
        for code in [0x20, 0x28, 0x30] {
            let why = why_not(SockFilter::stmt(code, ANCILLARY + extension));
            let told =
                format!("it loads what the kernel knows of a packet (SKF_AD_OFF + {extension})");
            assert!(why.starts_with(&told), "{why}");
        }
    }
    assert!(why_not(SockFilter::stmt(0x28, u32::MAX)).contains("SKF_AD_OFF + 4095"));
}

#[test]
fn x21_what_counts_from_a_header_is_refused() {
    for code in [0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0xb1] {
        for (k, told) in [
            (NETWORK, "network header (SKF_NET_OFF + 0)"),
            (NETWORK + 9, "network header (SKF_NET_OFF + 9)"),
            (ANCILLARY - 1, "network header (SKF_NET_OFF + 1044479)"),
            (LINK, "link header (SKF_LL_OFF + 0)"),
            (NETWORK - 1, "link header (SKF_LL_OFF + 1048575)"),
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
        assert!(read(&last).is_ok(), "{code:#x}");
        for k in [first, 0x1_0000, i32::MAX as u32, LINK - 1] {
            let why = why_not(SockFilter::stmt(code, k));
            assert!(why.contains("the first 65535 bytes"), "{why}");
        }
    }
}

#[test]
fn x21_an_unknown_instruction_is_refused() {
    // Double words, X from the packet, a return of X, a return to nowhere, MISC of another kind, the eBPF classes, more than a byte.
    for code in [
        0x18, 0x21, 0x0e, 0x26, 0x17, 0x8f, 0x12, 0xb5, 0x0d, 0x8c, 0xb4, 0x120, 0xffff,
    ] {
        let why = why_not(SockFilter::stmt(code, 1));
        assert_eq!(why, "it is no instruction of classic BPF", "{code:#x}");
    }
}

#[test]
fn x21_a_program_that_the_kernel_refuses_is_refused() {
    let rows = [
        (SockFilter::stmt(0x34, 0), "it divides by 0"),
        (SockFilter::stmt(0x94, 0), "it divides by 0"),
        (SockFilter::stmt(0x64, 32), "it shifts by more than 31 bits"),
        (
            SockFilter::stmt(0x74, u32::MAX),
            "it shifts by more than 31 bits",
        ),
        (SockFilter::stmt(0x60, 16), "memory has 16 words"),
        (SockFilter::stmt(0x61, 16), "memory has 16 words"),
        (SockFilter::stmt(0x02, 16), "memory has 16 words"),
        (SockFilter::stmt(0x03, u32::MAX), "memory has 16 words"),
        (
            SockFilter::stmt(0x60, 3),
            "it loads a word of memory that was not stored to on every way there",
        ),
        (SockFilter::stmt(0x05, 1), "it jumps out of the program"),
        (
            SockFilter::stmt(0x05, u32::MAX),
            "it jumps out of the program",
        ),
        (
            SockFilter::jump(0x15, 0, 1, 0),
            "it jumps out of the program",
        ),
        (
            SockFilter::jump(0x15, 0, 0, 255),
            "it jumps out of the program",
        ),
    ];
    for (insn, told) in rows {
        assert_eq!(why_not(insn), told, "{insn:?}");
    }
    let whole = |program: &[SockFilter]| read(program).unwrap_err().to_string();
    assert!(whole(&[]).contains("0 instructions; a program has 1 to 4096"));
    assert!(whole(&vec![RET; 4097]).contains("4097 instructions"));
    assert!(read(&vec![RET; 4096]).is_ok());
    assert!(whole(&[RET, SockFilter::stmt(0x07, 0)]).contains("does not return"));
}

/// A jump of an XDP program has 16 bits for its distance.
#[test]
fn x21_a_program_that_grows_too_long_is_refused() {
    let mut filter = vec![SockFilter::stmt(0x40, 0); 4095];
    filter.push(RET);
    assert!(read(&filter).is_ok());
    let error = Program::redirect().filter(&filter).object().unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with("filter: ") && told.contains("goes further than 32767"),
        "{told}"
    );
    assert!(Program::redirect().filter(&filter[2000..]).object().is_ok());
}

/// What a program costs: 14 instructions before a packet is chosen, and no call.
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
    let text = Program::redirect().filter(&filter).listing();
    let lines = text
        .lines()
        .map(|line| line.split_once(": ").map_or("", |(_, text)| text));
    let count = listing.lines().count();
    assert!(
        lines.take(count).eq(listing.lines().map(str::trim)),
        "{text}"
    );
}

/// Nothing is read that nothing leads to, and a program that chooses all or none has both ways for the verifier.
#[test]
fn what_nothing_leads_to_is_left_out() {
    let none = SockFilter::stmt(0x06, 0);
    let listing = |filter: &[SockFilter]| Program::redirect().filter(filter).listing();
    assert_eq!(listing(&[RET, none, RET]), listing(&[RET]));
    let jump = SockFilter::stmt(0x05, 1);
    assert_eq!(listing(&[jump, none, RET]).matches("r0 = 0").count(), 0);
}

/// Any instruction at all, near enough to a valid one.
fn instruction() -> impl Strategy<Value = SockFilter> {
    let code = prop_oneof![
        8 => select(vec![
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x15, 0x16, 0x1d, 0x20, 0x28, 0x30, 0x34, 0x3c, 0x40, 0x48,
            0x50, 0x60, 0x61, 0x64, 0x6c, 0x80, 0x81, 0x84, 0x87, 0x94, 0xb1,
        ]),
        1 => 0..0x100_u16,
    ];
    let k = prop_oneof![
        6 => 0..20_u32,
        1 => (0..70_u32).prop_map(|more| ANCILLARY + more),
        1 => any::<u32>()
    ];
    (code, 0..4_u8, 0..4_u8, k).prop_map(|(code, jt, jf, k)| SockFilter::jump(code, k, jt, jf))
}

/// A program that a socket of the kernel's takes.
fn kernel_takes(program: &[SockFilter]) -> bool {
    let (_one, other) = UnixDatagram::pair().unwrap();
    attach_filter(other.as_fd(), program).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    /// What is refused is what the kernel refuses, and what cannot be said; nothing is taken that the kernel does not take.
    #[test]
    fn x21_what_is_taken_is_what_the_kernel_takes(
        mut program in prop::collection::vec(instruction(), 0..8),
        returns in prop::bool::weighted(0.9),
    ) {
        if returns {
            program.push(RET);
        }
        let takes = kernel_takes(&program);
        match read(&program) {
            Ok(_) => prop_assert!(takes, "the kernel does not take it"),
            Err(error) => {
                let told = error.to_string();
                let beyond = told.contains("a packet socket does");
                prop_assert!(beyond || !takes, "the kernel takes it: {}", told);
            }
        }
    }
}
