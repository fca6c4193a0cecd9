//! The ring under load: every packet is delivered or counted, and a block belongs to the reader
//! until it is returned.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Profile};
use netring_sys::{Count, Interface, PacketBatch, PacketBuf, PacketSource, Readiness, Timed};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use xtask::load::{Flood, cost};
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect, number, numbered};

const SILENCE: Duration = Duration::from_millis(300);

/// Four blocks of a page: about a hundred frames of 64 bytes. Frames sent in one go are in one
/// block if they fit, even on a loaded machine.
fn small() -> CaptureBuilder {
    Capture::builder()
        .interface("a")
        .block_size(4096)
        .block_count(4)
        .retire_timeout(Duration::from_millis(100))
}

fn send(sender: &Sender, numbers: std::ops::Range<u64>) {
    for n in numbers {
        sender.send(&numbered(n, 64)).unwrap();
    }
}

fn numbers<'a>(packets: impl IntoIterator<Item = &'a PacketBuf>) -> Vec<u64> {
    let numbers = packets.into_iter().map(|packet| number(packet.data()));
    numbers.map(|number| number.unwrap()).collect()
}

fn grow(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[0] < pair[1])
}

/// Returns how many descriptors are ready, at the latest at the timeout. A signal that stops and
/// continues the process, as from a debugger, only interrupts the wait.
fn woken(set: &Epoll, timeout: Duration) -> usize {
    let timeout = EpollTimeout::try_from(timeout).unwrap();
    loop {
        match set.wait(&mut [EpollEvent::empty(); 4], timeout) {
            Err(Errno::EINTR) => {}
            woken => return woken.unwrap(),
        }
    }
}

/// What `a` received by the kernel's own count.
fn received() -> u64 {
    Interface::by_name("a").unwrap().counters.rx_packets
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p2_delivered_and_dropped_are_what_was_sent_after_an_overflow() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let (sender, before) = (Sender::on("b").unwrap(), received());

    // The reader sleeps; meanwhile the counters are read twice.
    send(&sender, 0..3000);
    let first = capture.stats().unwrap();
    let second = capture.stats().unwrap();
    assert_eq!(first.offered, Count::Exact(3000));
    assert_eq!(second, first, "a read took counts away");
    send(&sender, 3000..5000);
    let packets = collect(&mut capture, usize::MAX, SILENCE).unwrap();

    let (stats, seen) = (capture.stats().unwrap(), numbers(&packets));
    assert_eq!(received() - before, 5000, "the wire itself lost packets");
    assert_eq!(stats.offered, Count::Exact(5000));
    assert_eq!(stats.delivered, Count::Exact(seen.len() as u64));
    assert_eq!(stats.dropped, Count::Exact(5000 - seen.len() as u64));
    assert_eq!(stats.invalid, Count::Exact(0));
    assert_eq!(stats.pending(), Some(0));
    // The ring holds what came first, and does not hold much.
    let first_ones: Vec<_> = (0..seen.len() as u64).collect();
    assert_eq!(seen, first_ones);
    assert!((60..200).contains(&seen.len()), "{}", seen.len());
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p2_the_books_balance_behind_a_slow_reader() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let before = received();
    let flood = Flood::on("b", |n| numbered(n, 64)).unwrap();
    let (mut seen, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let batch = capture
            .next_batch_timeout(SILENCE)
            .unwrap()
            .batch()
            .unwrap();
        seen.extend(batch.packets().map(|packet| number(packet.data()).unwrap()));
        // Too long for a ring that is full in less than a millisecond.
        thread::sleep(Duration::from_millis(1));
        drop(batch);
        reads.push(capture.stats().unwrap());
    }
    let sent = flood.stop();
    let rest = collect(&mut capture, usize::MAX, SILENCE).unwrap();
    seen.extend(numbers(&rest));

    let stats = capture.stats().unwrap();
    assert_eq!(received() - before, sent, "the wire itself lost packets");
    assert_eq!(stats.offered, Count::Exact(sent));
    assert_eq!(stats.delivered, Count::Exact(seen.len() as u64));
    assert_eq!(stats.dropped, Count::Exact(sent - seen.len() as u64));
    assert!(
        sent > 2 * seen.len() as u64,
        "nothing was forced: {stats:?}"
    );
    assert!(grow(&seen), "a packet came twice or out of order");
    let all = |count: fn(&netring_sys::Stats) -> Count| {
        let figures: Vec<_> = reads
            .iter()
            .map(|read| count(read).exact().unwrap())
            .collect();
        figures.is_sorted()
    };
    assert!(all(|s| s.offered) && all(|s| s.delivered) && all(|s| s.dropped) && all(|s| s.freezes));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p7_a_held_block_stalls_the_ring_which_is_counted_and_passes() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let sender = Sender::on("b").unwrap();
    send(&sender, 0..1);
    let held = capture
        .next_batch_timeout(SILENCE)
        .unwrap()
        .batch()
        .unwrap();
    // The ring runs full behind the held block. Nothing spins meanwhile: the capture has no thread
    // that could.
    send(&sender, 1..1000);
    drop(held);
    let stats = capture.stats().unwrap();
    assert_eq!(stats.freezes, Count::Exact(1));
    let dropped = stats.dropped.exact().unwrap();
    assert!((700..999).contains(&dropped), "{stats:?}");

    let before = collect(&mut capture, usize::MAX, SILENCE).unwrap();
    assert_eq!(before.len() as u64, 999 - dropped);
    // It continues by itself.
    send(&sender, 1000..1003);
    let after = collect(&mut capture, 3, SILENCE).unwrap();
    assert_eq!(numbers(&after), [1000, 1001, 1002]);
    let stats = capture.stats().unwrap();
    assert_eq!((stats.freezes, stats.pending()), (Count::Exact(1), Some(0)));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p8_a_wait_while_holding_the_newest_block_does_not_spin() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    // As a runtime registers it.
    let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let interest = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
    set.add(capture.as_fd(), interest).unwrap();
    send(&Sender::on("b").unwrap(), 0..2);
    let first = capture.try_for_each(|packet| ControlFlow::Break(number(packet.data())));
    assert_eq!(first.unwrap(), Some(Some(0)));

    let second = Duration::from_secs(1);
    let (wakes, holding) = cost(|| {
        (0..4)
            .map(|_| woken(&set, second))
            .take_while(|&woken| woken > 0)
            .count()
    });
    assert!(wakes <= 2, "{wakes} wake-ups for one block");
    assert!(holding.cpu < second / 20, "{holding:?}");

    // The rest of the block is ready at once. After it is returned, a blocking reader sleeps.
    assert_eq!(
        capture
            .next_batch_timeout(Duration::ZERO)
            .unwrap()
            .batch()
            .unwrap()
            .packets()
            .count(),
        1
    );
    let (none, waiting) = cost(|| capture.next_batch_timeout(second).unwrap().is_timed_out());
    assert!(
        none && waiting.cpu < second / 20 && waiting.sleeps <= 100,
        "{waiting:?}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p9_a_block_stays_as_it_is_while_it_is_held_and_comes_once() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let sender = Sender::on("b").unwrap();
    let (mut at, mut sequence) = (0, 0);
    let mut seen = Vec::new();
    for _ in 0..10 {
        send(&sender, at..at + 10);
        at += 10;
        let held = capture
            .next_batch_timeout(SILENCE)
            .unwrap()
            .batch()
            .unwrap();
        assert_eq!(held.sequence(), sequence + 1);
        let before: Vec<_> = held.packets().map(PacketBuf::from).collect();
        // Ten times the capacity of the ring.
        send(&sender, at..at + 1000);
        at += 1000;
        let after: Vec<_> = held.packets().map(PacketBuf::from).collect();
        assert_eq!(before.len(), after.len());
        assert!(before.iter().zip(&after).all(|(a, b)| a.data() == b.data()));
        seen.extend(numbers(&before));
        sequence = held.sequence();
        drop(held);
        while let Timed::Batch(batch) = capture.next_batch_timeout(SILENCE).unwrap() {
            assert_eq!(batch.sequence(), sequence + 1);
            sequence = batch.sequence();
            seen.extend(batch.packets().map(|packet| number(packet.data()).unwrap()));
        }
    }
    assert!(grow(&seen), "a packet came twice");
    assert_eq!(
        capture.stats().unwrap().delivered,
        Count::Exact(seen.len() as u64)
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p14_a_ring_holds_as_many_small_packets_as_its_bytes_whatever_the_snap_length() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for snap_len in [60, 65_535, u32::MAX] {
        let mut capture = Capture::builder()
            .interface("a")
            .profile(Profile::LowMemory)
            .snap_len(snap_len)
            .retire_timeout(Duration::from_millis(500))
            .build()
            .unwrap();
        // 144 bytes each: 909 in a block of 128 KiB. Three blocks remain for those that are handed
        // over before they are full, if sending is slow.
        let sender = Sender::on("b").unwrap();
        for n in 0..13 * 900 {
            sender.send(&numbered(n, 60)).unwrap();
        }
        let packets = collect(&mut capture, 13 * 900, Duration::from_secs(2)).unwrap();
        assert_eq!(packets.len(), 13 * 900, "snap length {snap_len}");
        assert_eq!(capture.stats().unwrap().dropped, Count::Exact(0));
    }
}

/// Receives this many packets, woken by edges: it never sleeps while there is one.
#[track_caller]
pub(crate) fn never_sleeps_over_a_packet(capture: &mut Capture, sent: u64) {
    let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
    let interest = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, 0);
    set.add(capture.as_fd(), interest).unwrap();
    let sender = Sender::on("b").unwrap();
    let traffic = thread::spawn(move || {
        for n in 0..sent {
            sender.send(&numbered(n, 60)).unwrap();
            // Now and then long enough for the reader to go to sleep, at varying moments.
            if n % 97 == 0 {
                thread::sleep(Duration::from_micros(n % 1500));
            }
        }
    });
    let mut seen = Vec::new();
    while (seen.len() as u64) < sent {
        assert_eq!(
            woken(&set, Duration::from_secs(5)),
            1,
            "slept for 5 s after {} packets: {:?}",
            seen.len(),
            capture.ready()
        );
        while capture.ready().unwrap() == Readiness::Ready {
            let batch = capture.batch();
            seen.extend(batch.packets().map(|packet| number(packet.data()).unwrap()));
        }
    }
    traffic.join().unwrap();
    assert!(seen.into_iter().eq(0..sent));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p15_an_edge_triggered_reader_never_sleeps_over_a_full_block() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = Capture::builder()
        .interface("a")
        .block_size(4096)
        .block_count(4096)
        .retire_timeout(Duration::from_millis(1))
        .build()
        .unwrap();
    never_sleeps_over_a_packet(&mut capture, 40_000);
    assert_eq!(capture.stats().unwrap().dropped, Count::Exact(0));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s7_a_loop_that_is_left_goes_on_behind_the_packet_that_broke() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = small().build().unwrap();
    let sender = Sender::on("b").unwrap();
    send(&sender, 0..20);
    let mut seen = Vec::new();
    // The loop ends after 1, 2, 3 … packets; once, the batch is dropped in the middle.
    for many in 1..=4 {
        let mut left = many;
        let broke = capture.try_for_each(|packet| {
            seen.push(number(packet.data()).unwrap());
            left -= 1;
            if left == 0 {
                ControlFlow::Break(many)
            } else {
                ControlFlow::Continue(())
            }
        });
        assert_eq!(broke.unwrap(), Some(many));
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    assert_eq!(capture.stats().unwrap().delivered, Count::Exact(10));
    // A batch that nobody iterates over was still lent: its packets count as delivered, once.
    let rest = capture
        .next_batch_timeout(SILENCE)
        .unwrap()
        .batch()
        .unwrap();
    assert_eq!(number(rest.packets().next().unwrap().data()), Some(10));
    drop(rest);
    let (stats, delivered) = (capture.stats().unwrap(), Count::Exact(20));
    assert_eq!((stats.delivered, stats.pending()), (delivered, Some(0)));
    send(&sender, 20..22);
    assert_eq!(
        numbers(&collect(&mut capture, 2, SILENCE).unwrap()),
        [20, 21]
    );
}
