//! Hostile packets: what a fuzzer kept, and random input like it.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(clippy::expect_used, reason = "shared with the fuzz targets")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;

mod harness;

/// Each input of a corpus, and each of its beginnings of a few lengths.
fn replay(name: &str, expected: usize, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/hostile/corpus")
        .join(name);
    let mut inputs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let input = fs::read(entry.unwrap().path()).unwrap();
        run(&input);
        for cut in [3, 7, 20] {
            run(&input[..input.len() * cut / 21]);
        }
        inputs += 1;
    }
    assert_eq!(inputs, expected);
}

#[test]
fn the_corpus_of_packets_holds() {
    replay("packets", 40, harness::packets::run);
}

#[test]
fn the_corpus_of_tunnels_holds() {
    replay("tunnels", 40, harness::tunnels::run);
}

#[test]
fn the_corpus_of_fragments_holds() {
    replay("fragments", 40, harness::fragments::run);
}

#[test]
fn the_corpus_of_records_holds() {
    replay("records", 60, harness::records::run);
}

#[test]
#[cfg(all(feature = "http", feature = "tls", feature = "dns"))]
fn the_corpus_of_sessions_holds() {
    replay("sessions", 60, harness::sessions::run);
}

proptest! {
    #[test]
    fn any_packets_keep_the_totals(input in prop::collection::vec(any::<u8>(), 0..400)) {
        harness::packets::run(&input);
    }

    #[test]
    fn nested_tunnels_lead_to_what_was_nested(
        input in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        harness::tunnels::run(&input);
    }

    #[test]
    fn records_of_any_packets_are_valid(input in prop::collection::vec(any::<u8>(), 0..600)) {
        harness::records::run(&input);
    }

    #[test]
    #[cfg(all(feature = "http", feature = "tls", feature = "dns"))]
    fn parsers_take_any_streams(input in prop::collection::vec(any::<u8>(), 0..600)) {
        harness::sessions::run(&input);
    }

    #[test]
    fn fragments_follow_as_in_the_model(input in prop::collection::vec(any::<u8>(), 0..400)) {
        harness::fragments::run(&input);
    }
}
