//! How long the ends of a connection take to answer.

use std::num::NonZeroU32;
use std::time::Duration;

/// Round-trip times from the capture to one end of a TCP connection and back: from a segment to the
/// first acknowledgement of all of it.
///
/// One segment is timed at a time, and never a retransmitted one (Karn's algorithm). The time
/// includes any delayed acknowledgement. The round trip of the whole path is the sum of both
/// directions. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RoundTrip {
    /// In nanoseconds; `u64::MAX` for none.
    #[cfg_attr(feature = "serde", serde(rename = "handshake_ns", with = "maybe"))]
    handshake: u64,
    #[cfg_attr(feature = "serde", serde(rename = "min_ns"))]
    min: u64,
    #[cfg_attr(feature = "serde", serde(rename = "smoothed_ns"))]
    smoothed: u64,
    samples: NonZeroU32,
}

impl RoundTrip {
    /// From times in nanoseconds; `None` without samples.
    pub(crate) const fn new(
        handshake: Option<u64>,
        min: u64,
        smoothed: u64,
        samples: u32,
    ) -> Option<Self> {
        let Some(samples) = NonZeroU32::new(samples) else {
            return None;
        };
        let handshake = match handshake {
            Some(nanos) => nanos,
            None => u64::MAX,
        };
        Some(Self {
            handshake,
            min,
            smoothed,
            samples,
        })
    }

    /// From the SYN or SYN-ACK; `None` if it was retransmitted or not seen.
    pub const fn handshake(&self) -> Option<Duration> {
        match self.handshake {
            u64::MAX => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// The shortest, including the handshake.
    pub const fn min(&self) -> Duration {
        Duration::from_nanos(self.min)
    }

    /// An average in which each new sample counts an eighth (RFC 6298).
    pub const fn smoothed(&self) -> Duration {
        Duration::from_nanos(self.smoothed)
    }

    /// The number of samples. Saturates at 4 294 967 295.
    pub const fn samples(&self) -> u32 {
        self.samples.get()
    }
}

/// Serializes `u64::MAX` as nothing.
#[cfg(feature = "serde")]
mod maybe {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(nanos: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        (*nanos != u64::MAX).then_some(*nanos).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(u64::MAX))
    }
}

const _: () = assert!(size_of::<Option<RoundTrip>>() <= 32);
