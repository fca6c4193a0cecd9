//! Hostile segments: nothing panics, the bounds hold, and the totals add up.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/reassembly/harness.rs"]
mod harness;

fuzz_target!(|input: &[u8]| harness::run(input));
