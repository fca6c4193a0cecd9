//! Fragments in any order, against a model.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/harness/fragments.rs"]
mod harness;

fuzz_target!(|input: &[u8]| harness::run(input));
