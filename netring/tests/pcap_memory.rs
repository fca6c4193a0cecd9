//! What reading a file costs in memory, counted by the allocator.
//!
//! # Safety
//! [`Counting`] hands every call on to the system's allocator as it came, and only counts.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement")]

#[path = "pcap/bytes.rs"]
#[allow(dead_code, reason = "shared with the other tests of capture files")]
mod bytes;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use netring::PacketBatch;
use netring::pcap::CaptureFile;

use bytes::{Little, MICROS, enhanced, header, interface, record, section};

struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: memory comes from the system's allocator and goes back to it; nobody here writes to it; layouts are handed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Relaxed: one test, one thread.
        CALLS.fetch_add(1, Ordering::Relaxed);
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the system owns it; nobody has it yet; the caller vouches for the layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller owns it, gives it up, and vouches for the layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A reader of so many times the same bytes, behind others.
struct Repeat<'a> {
    first: &'a [u8],
    then: &'a [u8],
    times: usize,
    at: usize,
}

impl Read for Repeat<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if !self.first.is_empty() {
            return self.first.read(into);
        }
        if self.times == 0 {
            return Ok(0);
        }
        let len = (&self.then[self.at..]).read(into)?;
        self.at += len;
        if self.at == self.then.len() {
            self.at = 0;
            self.times -= 1;
        }
        Ok(len)
    }
}

/// Reads to the end, or to the error: packets, allocations after the first batch, and the most bytes that were held.
fn cost(reader: impl Read) -> (usize, usize, usize) {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let mut file = CaptureFile::new(reader).unwrap();
    let mut packets = 0;
    let mut calls = None;
    while let Ok(Some(batch)) = file.next_batch() {
        packets += batch.packets().count();
        calls.get_or_insert_with(|| CALLS.load(Ordering::Relaxed));
    }
    let calls =
        CALLS.load(Ordering::Relaxed) - calls.unwrap_or_else(|| CALLS.load(Ordering::Relaxed));
    (packets, calls, MOST.load(Ordering::Relaxed) - before)
}

// One test: the counters are the process's.
#[test]
fn memory_is_bounded_and_a_packet_allocates_nothing() {
    let repeated = |first: &[u8], then: &[u8], times: usize| {
        cost(Repeat {
            first,
            then,
            times,
            at: 0,
        })
    };

    let (packets, calls, most) = repeated(
        &header(Little, MICROS, 0, 1),
        &record(Little, (1, 2), 60, &[7; 60]),
        200_000,
    );
    assert_eq!((packets, calls), (200_000, 0));
    assert!(most < 400_000, "{most}");

    // With options behind each packet.
    let mut first = section(Little);
    first.extend(interface(Little, 1, 0, b""));
    let (packets, calls, most) = repeated(&first, &enhanced(Little, 0, 1, 60, &[7; 60]), 200_000);
    assert_eq!((packets, calls), (200_000, 0));
    assert!(most < 400_000, "{most}");

    // What a file announces is not allocated; only what is in it.
    let mut file = first.clone();
    file.extend(Little.u32(6));
    file.extend(Little.u32(16 * 1024 * 1024));
    let (_, _, most) = cost(&file[..]);
    assert!(most < 400_000, "{most}");
    file.resize(1_000_000, 0);
    let (_, _, most) = cost(&file[..]);
    assert!(most < 3_500_000, "{most}");

    // Sections and interfaces without end: 65 536 of them are a little over 4 MB.
    let mut file = section(Little);
    for _ in 0..1_000 {
        file.extend(interface(Little, 1, 0, b""));
    }
    let (_, _, most) = repeated(&[], &file, 200);
    assert!(most < 500_000, "{most}");
    let (_, _, most) = repeated(&section(Little), &interface(Little, 1, 0, b""), 200_000);
    assert!(most < 8_000_000, "{most}");
}
