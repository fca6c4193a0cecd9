//! The tokio adapter: any packet source as batches, streams, flow streams and broadcasts.
#![deny(unsafe_code)]
