//! Packet I/O for Linux: rings, flows, async streams and broadcasts behind one import.
#![deny(unsafe_code)]
