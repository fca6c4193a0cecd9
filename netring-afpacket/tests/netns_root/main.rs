//! Captures that need a privilege of the host, or a user without one.

mod offloads;
mod refused;
mod tun;
