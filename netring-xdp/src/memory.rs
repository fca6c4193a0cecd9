//! Packet memory: its division into chunks, the ownership of each chunk, and the assignment of
//! chunks to sockets.

pub(crate) mod accounting;
pub(crate) mod geometry;
pub(crate) mod region;
pub(crate) mod token;
pub(crate) mod umem;
