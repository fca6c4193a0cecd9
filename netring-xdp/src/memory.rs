//! Packet memory: how it is divided, who may touch which part of it, and which socket has which
//! chunks.

pub(crate) mod accounting;
pub(crate) mod geometry;
pub(crate) mod region;
pub(crate) mod token;
pub(crate) mod umem;
