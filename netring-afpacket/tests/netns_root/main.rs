//! Captures that need a privilege of the host, or a user without one.

mod namespace;
mod refused;
mod tun;
