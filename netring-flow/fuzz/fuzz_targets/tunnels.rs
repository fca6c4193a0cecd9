//! Tunnels one inside another, and changed bytes in them.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/harness/tunnels.rs"]
mod harness;

fuzz_target!(|input: &[u8]| harness::run(input));
