//! The adapter over sources whose every step is scripted: no network.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod background;
mod broadcast;
mod conversations;
mod conversions;
mod flow_state;
mod flows;
mod idle;
#[path = "../lengths/mod.rs"]
mod lengths;
mod lossless;
mod misuse;
mod packet_broadcast;
mod records;
mod script;
mod sessions;
mod source;
mod stop;
mod tcp;
mod turns;
mod workers;
