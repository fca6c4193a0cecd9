//! From packets to events: which flows the tracker makes of the packets on a wire.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod close;
mod closed;
mod common;
mod counting;
mod damaged;
mod defragment;
mod extractor;
mod fragments;
mod lengths;
mod links;
mod live;
mod measured;
mod memory;
mod model;
mod nested;
mod overtaking;
mod packets;
mod quiet;
mod raw;
mod repeated;
mod segments;
mod sequence;
mod tcp;
mod time;
mod tunnelled;
mod tunnels;
