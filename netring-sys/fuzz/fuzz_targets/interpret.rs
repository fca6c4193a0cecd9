//! Any bytes as a program and a packet: it is refused, or ends with the result of a plain reading.
#![no_main]

#[path = "../../tests/filter/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::interpret(input));
