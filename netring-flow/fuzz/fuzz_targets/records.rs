//! Records of any packets in all formats.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/harness/records.rs"]
mod harness;

fuzz_target!(|input: &[u8]| harness::run(input));
