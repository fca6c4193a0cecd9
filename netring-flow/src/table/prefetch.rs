//! Asking for memory before it is read.
//!
//! # Safety
//!
//! A prefetch is a hint: it reads nothing that the program can see, writes nothing, and raises no
//! fault. The address is that of a reference besides, so it is of memory that lives. It is here
//! because nothing else gets 16 records under way at once: plain reads fill the processor's window
//! after a few, and then wait.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the instruction is available as an unsafe function only"
    )
)]

/// Asks for the cache line where `at` begins. Does nothing where the processor's instruction is not
/// known.
#[inline(always)]
pub(crate) fn prefetch<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the memory is that of a reference, which outlives the call; a prefetch conflicts
        // with no access of anybody's; the range is one line, and even one outside would be
        // no fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
