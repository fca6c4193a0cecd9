//! The memory of a ring is resident from the start, without being locked; and locking it does
//! nothing, so there is no option for it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(unsafe_code, reason = "no safe function advises about memory")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use netring_afpacket::Capture;
use netring_sys::syscall::page_size;
use netring_sys::{PacketBatch, PacketSource};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, numbered};

/// A size that no other ring of the tests has.
const BLOCK_SIZE: usize = 64 << 10;
const BLOCKS: usize = 37;

/// Where the ring is mapped.
fn ring() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let starts = maps.lines().filter_map(|line| {
        let (range, _) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let [start, end] = [start, end].map(|at| usize::from_str_radix(at, 16).unwrap());
        let is_ring = line.contains("socket:[") && end - start == BLOCK_SIZE * BLOCKS;
        is_ring.then_some(start)
    });
    let starts: Vec<_> = starts.collect();
    let [start] = starts[..] else {
        panic!("{starts:?}");
    };
    start
}

/// Pages of the ring that are in the page table, so that accessing them causes no fault.
fn present(start: usize) -> usize {
    let pages = BLOCK_SIZE * BLOCKS / page_size();
    let mut entries = vec![0; 8 * pages];
    let file = File::open("/proc/self/pagemap").unwrap();
    let offset = start / page_size() * 8;
    file.read_exact_at(&mut entries, offset as u64).unwrap();
    let entries = entries.chunks_exact(8);
    let present = |entry: &&[u8]| u64::from_ne_bytes((*entry).try_into().unwrap()) >> 63 == 1;
    entries.filter(present).count()
}

/// KiB of the ring's mapping that count as this.
fn accounted(start: usize, what: &str) -> usize {
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let (_, ours) = maps.split_once(&format!("{start:x}-")).unwrap();
    let line = ours.lines().find_map(|line| line.strip_prefix(what));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn every_page_of_a_ring_is_present_at_once_and_stays() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = Capture::builder().interface("a").block_size(BLOCK_SIZE);
    let mut capture = builder.block_count(BLOCKS).build().unwrap();
    assert!(capture.why_ring_short().is_none());
    let (start, pages) = (ring(), BLOCK_SIZE * BLOCKS / page_size());
    assert_eq!(present(start), pages);

    // SAFETY: the range is that of the capture's ring, which lives; the advice changes no contents.
    let advised =
        unsafe { libc::madvise(start as *mut _, BLOCK_SIZE * BLOCKS, libc::MADV_PAGEOUT) };
    assert_eq!(advised, 0);
    assert_eq!(present(start), pages);

    // SAFETY: the range is that of the capture's ring, which lives; locking changes no contents.
    let locked = unsafe { libc::mlock(start as *const _, BLOCK_SIZE * BLOCKS) };
    assert_eq!((locked, accounted(start, "Locked:")), (0, 0));
    assert_eq!(accounted(start, "Rss:"), BLOCK_SIZE / 1024 * BLOCKS);

    // Packets are in this ring.
    let sender = Sender::on("b").unwrap();
    (0..10).for_each(|n| sender.send(&numbered(n, 1000)).unwrap());
    let batch = capture.next_batch().unwrap().unwrap();
    let inside = |packet: netring_sys::Packet<'_>| {
        let at = packet.data().as_ptr().addr();
        (start..start + BLOCK_SIZE * BLOCKS).contains(&at)
    };
    assert!(batch.packets().all(inside));
}
