//! The adapter over sources whose every step is scripted: no network.

mod background;
mod broadcast;
mod flows;
mod script;
mod source;
mod turns;
