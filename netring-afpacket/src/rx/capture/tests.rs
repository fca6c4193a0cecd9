//! A capture over a ring that no kernel fills: the tests write the blocks.

mod slots;

use std::mem::offset_of;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};

use netring_sys::kernel::packet::{TP_STATUS_LOSING, tpacket_block_desc, tpacket3_hdr};
use netring_sys::{Count, Memberships, PacketBatch};

use super::*;
use crate::internal::BlockBuilder;
use crate::rx::pace::Pace;
use crate::rx::parse::Context;
use crate::rx::ring::Ring;

const BLOCK: usize = 4096;
const BLOCKS: usize = 4;

fn capture() -> Capture {
    capture_of(None)
}

fn capture_of(slot_size: Option<usize>) -> Capture {
    let interface = Interface::by_name("lo").unwrap();
    // It never becomes readable, and no test here needs counters from it.
    let socket = OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let geometry = RingGeometry {
        block_size: BLOCK,
        block_count: BLOCKS,
        requested_blocks: BLOCKS,
        slot_size,
    };
    let context = Context {
        snap_len: usize::MAX,
        features: 0,
        offload: false,
        vlan_in_bytes: false,
    };
    let ring = Ring::without_kernel(geometry);
    let pace = Pace::new(geometry, Duration::from_millis(16));
    let reader = Reader::new(ring, geometry, context, pace);
    let waiter = Waiter::new(socket.as_fd(), &interface).unwrap();
    let (memberships, settings) = (Memberships::default(), CaptureBuilder::new());
    Capture::new(socket, waiter, reader, interface, memberships, settings)
}

/// A block of frames, each of one byte.
fn block(frames: &[u8]) -> BlockBuilder {
    let frames: Vec<_> = frames.iter().map(std::slice::from_ref).collect();
    BlockBuilder::with_frames(BLOCK, &frames)
}

fn bytes(batch: &Batch<'_>) -> Vec<u8> {
    batch.packets().map(|packet| packet.data()[0]).collect()
}

fn counted(capture: &Capture) -> (u64, u64) {
    let stats = capture.reader.stats(Count::Exact(0));
    (
        stats.delivered.exact().unwrap(),
        stats.invalid.exact().unwrap(),
    )
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn p5_a_ring_full_of_empty_blocks_is_given_back_at_once() {
    let mut capture = capture();
    for round in 0..3 {
        for n in 0..BLOCKS {
            capture.reader.ring_mut().fill(n, &block(&[]).bytes, 0);
        }
        assert_eq!(capture.ready().unwrap(), Readiness::Empty, "round {round}");
        assert!((0..BLOCKS).all(|n| capture.reader.ring_mut().is_kernels(n)));
    }
    assert_eq!(
        capture
            .next_batch_timeout(Duration::ZERO)
            .unwrap()
            .batch()
            .map(|batch| bytes(&batch)),
        None
    );
    assert_eq!(counted(&capture), (0, 0));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn p5_an_empty_block_between_others_is_skipped() {
    let mut capture = capture();
    capture.reader.ring_mut().fill(0, &block(&[]).bytes, 0);
    capture.reader.ring_mut().fill(1, &block(&[1, 2]).bytes, 0);
    capture.reader.ring_mut().fill(2, &block(&[]).bytes, 0);
    capture.reader.ring_mut().fill(3, &block(&[3]).bytes, 0);
    for expected in [&[1, 2][..], &[3]] {
        let batch = capture
            .next_batch_timeout(Duration::ZERO)
            .unwrap()
            .batch()
            .unwrap();
        assert_eq!(bytes(&batch), expected);
    }
    assert_eq!(capture.ready().unwrap(), Readiness::Empty);
    assert_eq!(counted(&capture), (3, 0));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn p6_what_was_announced_and_cannot_be_read_is_counted_once_by_every_way() {
    let mut forged = block(&[1, 2, 3, 4]);
    forged.set_field(2, offset_of!(tpacket3_hdr, tp_mac), u32::from(u16::MAX));
    let mut nothing = block(&[1, 2]);
    nothing.set_block_field(
        offset_of!(tpacket_block_desc, offset_to_first_pkt),
        u32::MAX,
    );
    let mut capture = capture();
    capture.reader.ring_mut().fill(0, &forged.bytes, 0);
    capture.reader.ring_mut().fill(1, &nothing.bytes, 0);
    capture.reader.ring_mut().fill(2, &forged.bytes, 0);
    capture.reader.ring_mut().fill(3, &forged.bytes, 0);
    // Iterated to its end, twice.
    let batch = capture
        .next_batch_timeout(Duration::ZERO)
        .unwrap()
        .batch()
        .unwrap();
    assert_eq!((bytes(&batch), bytes(&batch)), (vec![1, 2], vec![1, 2]));
    drop(batch);
    assert_eq!(counted(&capture), (2, 2));
    // One block has nothing to lend; the next is dropped after a look at its first packet.
    let batch = capture
        .next_batch_timeout(Duration::ZERO)
        .unwrap()
        .batch()
        .unwrap();
    assert!(batch.packets().next().is_some());
    drop(batch);
    assert_eq!(counted(&capture), (4, 6));
    // In a loop that breaks at each packet.
    for n in 1..=2 {
        let found = capture.try_for_each(|packet| ControlFlow::Break(packet.data()[0]));
        assert_eq!(found.unwrap(), Some(n));
    }
    assert_eq!(counted(&capture), (6, 8));
    assert!((0..BLOCKS).all(|n| capture.reader.ring_mut().is_kernels(n)));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn a_batch_that_is_leaked_is_lent_once_more_and_counted_once() {
    let mut capture = capture();
    capture.reader.ring_mut().fill(0, &block(&[1, 2]).bytes, 0);
    for _ in 0..2 {
        let batch = capture
            .next_batch_timeout(Duration::ZERO)
            .unwrap()
            .batch()
            .unwrap();
        assert_eq!(bytes(&batch), [1, 2]);
        std::mem::forget(batch);
    }
    assert_eq!(counted(&capture), (0, 0));
    assert!(!capture.reader.ring_mut().is_kernels(0));
    drop(capture.next_batch_timeout(Duration::ZERO).unwrap());
    assert_eq!(counted(&capture), (2, 0));
    assert!(capture.reader.ring_mut().is_kernels(0));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn s7_a_loop_that_panics_keeps_its_place_and_its_count() {
    let mut capture = capture();
    capture.reader.ring_mut().fill(0, &block(&[1, 2]).bytes, 0);
    capture.reader.ring_mut().fill(1, &block(&[3]).bytes, 0);
    for n in 1..=2 {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            capture.try_for_each(|packet| -> ControlFlow<()> {
                std::panic::panic_any(packet.data()[0])
            })
        }));
        assert_eq!(panicked.unwrap_err().downcast_ref::<u8>(), Some(&n));
        assert_eq!(counted(&capture), (u64::from(n), 0));
    }
    let found = capture.try_for_each(|packet| ControlFlow::Break(packet.data()[0]));
    assert_eq!((found.unwrap(), counted(&capture)), (Some(3), (3, 0)));
}

#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn what_was_not_looked_for_is_not_lent() {
    let mut capture = capture();
    assert_eq!(bytes(&capture.batch()), [0; 0]);
    // A block that arrives after the look waits for the next look.
    assert_eq!(capture.ready().unwrap(), Readiness::Empty);
    capture.reader.ring_mut().fill(0, &block(&[1]).bytes, 0);
    let batch = capture.batch();
    assert_eq!((bytes(&batch), batch.sequence()), (vec![], 0));
    drop(batch);
    assert!(!capture.reader.ring_mut().is_kernels(0));
    assert_eq!(capture.ready().unwrap(), Readiness::Ready);
    assert_eq!(bytes(&capture.batch()), [1]);
}

/// While blocks report lost packets, the kernel's counters are read. This socket has none, which is
/// the error.
#[test]
#[cfg_attr(miri, ignore = "Miri has neither epoll of sockets nor netlink")]
fn p3_counters_are_read_when_a_block_says_that_packets_are_lost() {
    let mut capture = capture();
    capture
        .reader
        .ring_mut()
        .fill(0, &block(&[1]).bytes, TP_STATUS_LOSING);
    let error = capture.ready().unwrap_err();
    assert!(error.to_string().contains("PACKET_STATISTICS"), "{error}");
    assert!(error.is_terminal());
}
