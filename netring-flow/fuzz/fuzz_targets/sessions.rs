//! Hostile streams and datagrams for flowscope's parsers of HTTP/1, TLS and DNS.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/harness/sessions.rs"]
mod harness;

fuzz_target!(|input: &[u8]| harness::run(input));
