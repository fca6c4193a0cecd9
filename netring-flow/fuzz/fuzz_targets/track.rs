//! Any bytes as packets of any link type at any time, tunnels off and on.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/harness/packets.rs"]
mod harness;

fuzz_target!(|input: &[u8]| harness::run(input));
