//! An allocator that counts the memory of the calling thread.

#![expect(unsafe_code, reason = "an allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static BYTES: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// Bytes that this thread has allocated and not freed.
pub(crate) fn allocated() -> usize {
    BYTES.get().max(0) as usize
}

/// The number of allocations by this thread.
pub(crate) fn allocations() -> u64 {
    CALLS.get()
}

#[global_allocator]
static GLOBAL: Counting = Counting;

// SAFETY: the memory is the system allocator's; nobody writes to it here; its ranges are passed on
// as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size() as isize);
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller's promise is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: the caller's promise is the system allocator's.
        unsafe { System.dealloc(at, layout) }
    }
}
