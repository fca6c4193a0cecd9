//! The developer's commands.
#![deny(unsafe_code)]
