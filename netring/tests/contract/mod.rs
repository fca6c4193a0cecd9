//! The contract between layers, as tests that every backend passes: the same rows, wherever packets
//! come from or go to.
//!
//! `CONFORMANCE.md` lists the rows that this API rules out, with the reason.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test program runs some of it"
)]

pub(crate) mod adapted;
pub(crate) mod channel;
pub(crate) mod files;
pub(crate) mod injector;
pub(crate) mod live;
pub(crate) mod played;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod writer;
#[cfg(all(feature = "compression", feature = "rotation"))]
pub(crate) mod written;
#[cfg(feature = "xdp")]
pub(crate) mod xdp;

use std::time::Duration;

/// The time limit for what must arrive.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// The time in which nothing may arrive.
pub(crate) const SILENCE: Duration = Duration::from_millis(100);

/// One test for each row of one backend; `netns` marks those that need a namespace.
macro_rules! rows {
    ($kind:ident, $backend:ty, [$($row:ident),* $(,)?]) => {
        $(
            #[test]
            fn $row() {
                crate::contract::$kind::$row::<$backend>();
            }
        )*
    };
    (netns $kind:ident, $backend:ty, [$($row:ident),* $(,)?]) => {
        $(
            #[test]
            #[ignore = "needs a network namespace: cargo xtask test-netns"]
            fn $row() {
                let _ns = xtask::netns::Netns::enter().unwrap();
                crate::contract::$kind::$row::<$backend>();
            }
        )*
    };
}

/// The rows for a source that may lend more packets after a silence.
macro_rules! source_rows {
    ($($netns:ident)? : $backend:ty) => {
        crate::contract::rows!($($netns)? source, $backend, [
            alloc_free_round_trip,
            alloc_gives_distinct_frames_in_region,
            capabilities_are_self_consistent,
            close_twice,
            close_wakes_a_poller,
            err_is_nil_on_a_healthy_queue,
            frames_are_conserved,
            frames_are_conserved_where_memory_is_short,
            methods_after_close_are_safe,
            receive_stats_count_batches,
            stats_race,
        ]);
    };
}

/// The rows of a sink.
macro_rules! sink_rows {
    ($($netns:ident)? : $backend:ty) => {
        crate::contract::rows!($($netns)? sink, $backend, [
            alloc_free_round_trip,
            alloc_gives_distinct_frames_in_region,
            capabilities_are_self_consistent,
            close_twice,
            err_is_nil_on_a_healthy_queue,
            frames_are_conserved,
            methods_after_close_are_safe,
            reclaim_hands_frames_back,
            send_func_bad_length_abandons_the_batch,
            send_func_zero_length_stops,
            transmit_takes_a_prefix,
        ]);
    };
}

/// The rows of a writer, and those of one that can be limited too.
macro_rules! writer_rows {
    (limited : $backend:ty) => {
        crate::contract::writer_rows!(: $backend);
        crate::contract::rows!(writer, $backend, [transmit_takes_a_prefix]);
    };
    (: $backend:ty) => {
        crate::contract::rows!(writer, $backend, [
            capabilities_are_self_consistent,
            close_twice,
            err_is_nil_on_a_healthy_queue,
            frames_are_conserved,
            methods_after_close_are_safe,
            reclaim_hands_frames_back,
            send_func_bad_length_abandons_the_batch,
            send_func_zero_length_stops,
        ]);
    };
}

pub(crate) use {rows, sink_rows, source_rows, writer_rows};
