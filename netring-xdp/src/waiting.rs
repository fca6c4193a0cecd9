//! Waiting for packets.

pub(crate) mod moderation;
