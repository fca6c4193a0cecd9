//! Captures that need a privilege of the host, or a user without one.

mod link_types;
mod refused;
mod tun;
