//! The captures in `xtask/cases` and `xtask/corpus`, and the oracle of the latter, are what is
//! built here, byte for byte.
//!
//! `NETRING_WRITE_CASES=1 cargo test -p xtask --test captures` writes them again.
#![expect(
    clippy::unwrap_used,
    reason = "a folder that cannot be read is a failed test"
)]

mod cases;
mod corpus;

use std::collections::BTreeMap;
use std::path::Path;

/// Compares the files of a folder with these, or writes them.
fn check_folder(folder: &str, files: &BTreeMap<String, Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if std::env::var_os("NETRING_WRITE_CASES").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
    }
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    assert!(found.keys().eq(files.keys()), "{:?}", found.keys());
    for (name, bytes) in files {
        assert!(found[name] == *bytes, "{name} is not what is built here");
    }
}
