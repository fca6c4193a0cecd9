//! Any text as a filter expression: nothing panics, and what is accepted keeps the promises.
#![no_main]

#[path = "../../tests/filter/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzzed::text(input));
