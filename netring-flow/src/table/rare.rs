//! The part of a flow that few packets use.

/// The part that few packets use. It is stored beside the links, away from the cache lines that
/// every packet reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rare {
    /// The earliest packet time of each direction.
    pub(crate) first: [Time; 2],
    /// Segments of each direction that arrived out of order.
    pub(crate) out_of_order: [u32; 2],
    /// Segments of each direction with a window of 0.
    pub(crate) zero_windows: [u16; 2],
}

/// A time in nanoseconds, in two halves: eight bytes in one would be aligned by four that are
/// unused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time([u32; 2]);

impl Time {
    pub(crate) const fn new(nanos: i64) -> Self {
        Self([(nanos >> 32) as u32, nanos as u32])
    }

    pub(crate) const fn nanos(self) -> i64 {
        ((self.0[0] as u64) << 32 | self.0[1] as u64).cast_signed()
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.nanos().fmt(f)
    }
}

impl Rare {
    pub(super) const NEW: Self = Self {
        first: [Time::new(i64::MAX); 2],
        out_of_order: [0; 2],
        zero_windows: [0; 2],
    };
}
