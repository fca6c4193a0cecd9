//! The inputs that the fuzzer kept, over the functions of its targets: on any compiler, in any run
//! of the tests.

use std::fs;
use std::path::Path;

use super::fuzzed;

/// Each file of a corpus, and each of its beginnings of a few lengths.
fn replay(name: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let input = fs::read(entry.unwrap().path()).unwrap();
        run(&input);
        for cut in [3, 7, 20] {
            run(&input[..input.len() * cut / 21]);
        }
        files += 1;
    }
    assert!(files >= 40, "{files} files");
}

#[test]
fn the_corpus_of_texts_keeps_the_promises() {
    replay("text", fuzzed::text);
}

#[test]
fn the_corpus_of_programs_gives_the_results_of_a_plain_reading() {
    replay("interpret", fuzzed::interpret);
}
