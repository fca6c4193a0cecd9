//! Flows out of any packet source; no kernel, no runtime.
#![deny(unsafe_code)]
