//! The checks are exactly the kernel's.

use netring_sys::kernel::filter::{SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF, SockFilter};
use netring_sys::{Error, Filter};
use proptest::prelude::*;
use proptest::sample::select;

use super::Kernel;

const RET: SockFilter = SockFilter::stmt(0x06, u32::MAX);

/// The reason why a program with this instruction, before a valid one and the return, is refused.
#[track_caller]
fn why_not(insn: SockFilter) -> String {
    let program = [SockFilter::stmt(0x00, 7), insn, RET];
    assert!(Kernel::new(&program).is_err(), "the kernel takes {insn:?}");
    let error = Filter::from(program).check().unwrap_err();
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
    let text = error.to_string();
    let from = format!(
        "filter: instruction 1 (code {:#04x}, k {:#x}): ",
        insn.code, insn.k
    );
    text.strip_prefix(&from)
        .unwrap_or_else(|| panic!("{text}"))
        .to_owned()
}

#[test]
fn x21_an_unknown_instruction_is_refused() {
    // Double words, X from the packet, a return of X, a return of an unknown source, MISC of
    // another kind, the eBPF classes, more than a byte.
    for code in [
        0x18, 0x21, 0x0e, 0x26, 0x17, 0x8f, 0x12, 0xb5, 0x0d, 0x8c, 0xb4, 0x120, 0xffff,
    ] {
        let why = why_not(SockFilter::stmt(code, 1));
        assert_eq!(why, "it is not an instruction of classic BPF", "{code:#x}");
    }
}

#[test]
fn x21_a_program_that_the_kernel_refuses_is_refused() {
    let memory = "it loads a word of memory that was not stored on every path that leads here";
    let jump = "it jumps out of the program";
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
        (SockFilter::stmt(0x60, 3), memory),
        (SockFilter::stmt(0x05, 1), jump),
        (SockFilter::stmt(0x05, u32::MAX), jump),
        (SockFilter::jump(0x15, 0, 1, 0), jump),
        (SockFilter::jump(0x15, 0, 0, 255), jump),
    ];
    for (insn, reported) in rows {
        assert_eq!(why_not(insn), reported, "{insn:?}");
    }
    for number in [1, 3, 64, 4095] {
        let why = why_not(SockFilter::stmt(0x28, SKF_AD_OFF + number));
        assert!(why.contains(&format!("(SKF_AD_OFF + {number})")), "{why}");
    }
    let whole = |program: &[SockFilter]| Filter::from(program).check().unwrap_err().to_string();
    assert!(whole(&[]).contains("0 instructions; a program has 1 to 4096"));
    assert!(whole(&vec![RET; 4097]).contains("4097 instructions"));
    assert!(Filter::from(vec![RET; 4096]).check().is_ok());
    assert!(whole(&[RET, SockFilter::stmt(0x07, 0)]).contains("does not return"));
}

/// Any instruction, close enough to a valid one.
fn instruction() -> impl Strategy<Value = SockFilter> {
    let code = prop_oneof![
        8 => select(vec![
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0c, 0x15, 0x16, 0x1d, 0x20, 0x28,
            0x30, 0x34, 0x3c, 0x40, 0x48, 0x50, 0x60, 0x61, 0x64, 0x6c, 0x80, 0x81, 0x84, 0x87,
            0x94, 0xb1,
        ]),
        1 => 0..0x100_u16,
        1 => any::<u16>(),
    ];
    let k = prop_oneof![
        6 => 0..20_u32,
        2 => (0..70_u32).prop_map(|more| SKF_AD_OFF + more),
        1 => select(vec![SKF_LL_OFF, SKF_NET_OFF, SKF_NET_OFF - 1, SKF_AD_OFF - 1]),
        1 => any::<u32>()
    ];
    (code, 0..4_u8, 0..4_u8, k).prop_map(|(code, jt, jf, k)| SockFilter::jump(code, k, jt, jf))
}

/// Loads and stores of a few words, and jumps between them: which words are stored on which path.
fn memory_instruction() -> impl Strategy<Value = SockFilter> {
    let code = select(vec![0x02, 0x03, 0x60, 0x61, 0x05, 0x15, 0x1d, 0x45]);
    (code, 0..3_u8, 0..3_u8, 0..3_u32)
        .prop_map(|(code, jt, jf, k)| SockFilter::jump(code, k, jt, jf))
}

/// A program passes exactly if the kernel accepts it.
fn compare(program: &[SockFilter]) -> Result<(), TestCaseError> {
    let takes = Kernel::new(program).is_ok();
    match Filter::from(program).check() {
        Ok(()) => prop_assert!(takes, "the kernel does not take it"),
        Err(error) => prop_assert!(!takes, "the kernel takes it: {}", error),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 8192,
        ..ProptestConfig::default()
    })]

    #[test]
    fn x21_what_is_taken_is_what_the_kernel_takes(
        mut program in prop::collection::vec(instruction(), 0..8),
        returns in prop::bool::weighted(0.9),
    ) {
        if returns {
            program.push(RET);
        }
        compare(&program)?;
    }

    #[test]
    fn a_word_is_stored_on_the_paths_on_which_the_kernel_sees_it_stored(
        mut program in prop::collection::vec(memory_instruction(), 0..12),
    ) {
        // Short jumps stay inside.
        program.extend([RET; 3]);
        compare(&program)?;
    }
}

#[test]
fn every_code_is_known_here_as_in_the_kernel() {
    let with = |code| {
        let store = (0..16).map(|word| SockFilter::stmt(0x02, word));
        let program = store.chain([SockFilter::stmt(code, 1), RET, RET]);
        program.collect::<Vec<_>>()
    };
    for code in 0..=0xff {
        let takes = Kernel::new(&with(code)).is_ok();
        assert_eq!(Filter::from(with(code)).check().is_ok(), takes, "{code:#x}");
    }
    // The kernel's table of codes ends below 0x100.
    for code in 0x100..=u16::MAX {
        assert!(Filter::from(with(code)).check().is_err(), "{code:#x}");
    }
}
