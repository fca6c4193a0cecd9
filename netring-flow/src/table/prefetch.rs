//! Prefetching memory before it is read.
//!
//! # Safety
//!
//! A prefetch is a hint: it reads nothing that the program can observe, writes nothing, and raises
//! no fault. The address is that of a reference, so the memory is live. It exists because nothing
//! else gets 16 records in flight at once: plain reads fill the processor's window after a few and
//! then wait.
#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the instruction is available as an unsafe function only"
    )
)]

/// Prefetches the cache line where `at` starts. Does nothing on processors other than x86-64.
#[inline(always)]
pub(crate) fn prefetch<T>(at: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the memory belongs to a reference, which outlives the call; a prefetch conflicts
        // with no other access; the range is one line, and even one outside the object would cause
        // no fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
