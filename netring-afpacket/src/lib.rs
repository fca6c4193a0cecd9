//! TPACKET_V3 mapped rings: capture from a Linux interface.
#![deny(unsafe_code)]
