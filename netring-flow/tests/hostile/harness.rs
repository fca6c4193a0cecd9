//! What a fuzzer's input does, and what has to hold: used by the fuzz targets, by the corpora that
//! they kept, and by random input.

pub(crate) mod fragments;
pub(crate) mod packets;
pub(crate) mod records;
#[cfg(all(feature = "http", feature = "tls", feature = "dns"))]
pub(crate) mod sessions;
pub(crate) mod tunnels;
