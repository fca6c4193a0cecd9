//! What the fuzzer found, and random input like it.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::harness;

#[test]
fn all_inputs_of_the_corpus_hold() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reassembly/corpus");
    let mut inputs = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        harness::run(&fs::read(entry.unwrap().path()).unwrap());
        inputs += 1;
    }
    assert_eq!(inputs, 40);
}

/// Segments near each other, so that they overlap.
fn segment() -> impl Strategy<Value = [u8; 8]> {
    let flags = prop_oneof![
        8 => Just(16_u8),
        1 => Just(2_u8),
        1 => Just(18_u8),
        1 => Just(17_u8),
        1 => Just(48_u8),
        1 => any::<u8>(),
    ];
    let high = prop_oneof![12 => Just(0_u8), 1 => any::<u8>()];
    let passed = prop_oneof![6 => Just(0_u8), 1 => any::<u8>()];
    let whose = prop_oneof![4 => 0_u8..8, 1 => any::<u8>()];
    (
        whose,
        flags,
        high.clone(),
        any::<u8>(),
        high,
        any::<u8>(),
        passed,
        0_u8..80,
    )
        .prop_map(|(whose, flags, s1, s0, a1, a0, passed, len)| {
            [whose, flags, s1, s0, a1, a0, passed, len]
        })
}

proptest! {
    #[test]
    fn random_inputs_hold(
        settings in any::<u8>(),
        segments in prop::collection::vec(segment(), 1..200),
    ) {
        let input = [&[settings][..], &segments.concat()].concat();
        harness::run(&input);
    }
}
