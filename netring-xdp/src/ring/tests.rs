//! Both halves of a ring in one process: against an oracle, and (under `--cfg loom`) in every order
//! that two threads can take.

use netring_sys::kernel::xdp::XDP_RING_NEED_WAKEUP;

use super::{Consumer, Entry, Memory, Producer};
use crate::sync::Ordering;

fn pair<E: Entry>(size: u32, start: u32) -> (Producer<E>, Consumer<E>, Memory) {
    let memory = Memory::alone(size as usize * E::WORDS, start);
    (
        Producer::new(memory.clone()),
        Consumer::new(memory.clone()),
        memory,
    )
}

#[cfg(not(loom))]
mod oracle {
    use super::*;
    use netring_sys::kernel::xdp::xdp_desc;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn starts() -> impl Strategy<Value = u32> {
        prop_oneof![
            Just(0),
            any::<u32>(),
            (0_u32..64).prop_map(|n| u32::MAX - n)
        ]
    }

    /// `n` up to 40 is a write of that many entries, from 41 on a read.
    fn run<E: Entry + PartialEq>(size: u32, start: u32, steps: &[u8], make: impl Fn(u64) -> E) {
        let (mut producer, mut consumer, _) = pair::<E>(size, start);
        let mut oracle = VecDeque::new();
        let mut number = 0;
        for step in steps.iter().map(|&step| u32::from(step)) {
            if step <= 40 {
                let room = size - oracle.len() as u32;
                let mut writer = producer.writer(step);
                assert_eq!(writer.room(), room.min(step));
                for _ in 0..step {
                    if writer.push(make(number)) {
                        oracle.push_back(make(number));
                        number += 1;
                    } else {
                        assert_eq!(oracle.len(), size as usize);
                    }
                }
            } else {
                let wanted = step - 40;
                let found = consumer.available(wanted);
                assert!(found as usize <= oracle.len());
                assert!(found >= wanted.min(oracle.len() as u32));
                let take = found.min(wanted);
                let read: Vec<_> = consumer.entries(take).collect();
                assert_eq!(consumer.entries(take).len(), take as usize);
                assert!(read.iter().eq(oracle.iter().take(take as usize)));
                consumer.release(take);
                oracle.drain(..take as usize);
            }
            assert_eq!(producer.outstanding() as usize, oracle.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 512 }))]

        #[test]
        fn what_goes_in_comes_out_in_order_also_where_positions_wrap(
            bits in 0_u32..6, start in starts(), steps in prop::collection::vec(0_u8..80, 0..100)
        ) {
            run::<u64>(1 << bits, start, &steps, |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            run::<xdp_desc>(1 << bits, start, &steps, |n| xdp_desc {
                addr: n << 40 | n, len: !(n as u32), options: n as u32,
            });
        }
    }

    #[test]
    fn an_entry_lies_as_the_kernel_has_it() {
        let (mut producer, _, memory) = pair::<xdp_desc>(2, 0);
        producer.writer(1).push(xdp_desc {
            addr: 0x0102_0304_0506_0708,
            len: 0x1112_1314,
            options: 0x2122_2324,
        });
        let second = memory.entries()[1].load(Ordering::Relaxed).to_ne_bytes();
        assert_eq!(second[..4], 0x1112_1314_u32.to_ne_bytes());
        assert_eq!(second[4..], 0x2122_2324_u32.to_ne_bytes());
    }

    #[test]
    fn x10_positions_that_cannot_be_do_no_harm() {
        for forged in [5, 1 << 31, u32::MAX - 4] {
            let (mut producer, mut consumer, memory) = pair::<u64>(4, 0);
            memory.producer().store(forged, Ordering::Relaxed);
            assert_eq!(consumer.available(1), 4);
            assert_eq!(consumer.entries(u32::MAX).count(), 4);
            consumer.release(u32::MAX);

            memory.consumer().store(forged, Ordering::Relaxed);
            assert_eq!(producer.writer(5).room(), 0, "{forged}");
        }
    }

    #[test]
    fn entries_are_seen_once_the_writer_is_gone_and_not_before() {
        let (mut producer, mut consumer, _) = pair::<u64>(4, u32::MAX - 1);
        let mut writer = producer.writer(4);
        for n in 0..3 {
            assert!(writer.push(n));
        }
        assert_eq!(consumer.available(1), 0);
        drop(writer);
        assert_eq!(consumer.available(1), 3);
        // The copy of the position suffices while it has entries.
        assert!(producer.writer(1).push(3));
        assert_eq!(consumer.available(1), 3);
        assert_eq!(consumer.available(4), 4);
    }

    #[test]
    fn what_is_staged_is_seen_once_it_is_published() {
        let (mut producer, mut consumer, _) = pair::<u64>(2, u32::MAX);
        assert!(producer.stage(1) && producer.stage(2) && !producer.stage(3));
        assert_eq!((producer.staged(), consumer.available(1)), (2, 0));
        producer.publish();
        assert_eq!((producer.staged(), consumer.available(1)), (0, 2));
        assert_eq!(consumer.entries(2).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn the_flag_is_read_anew_each_time() {
        let (producer, _, memory) = pair::<u64>(4, 0);
        assert!(!producer.needs_wakeup());
        memory
            .flags()
            .store(XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
        assert!(producer.needs_wakeup());
        memory
            .flags()
            .store(!XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
        assert!(!producer.needs_wakeup());
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test -p netring-xdp --lib --release ring`
#[cfg(loom)]
mod model {
    use super::*;
    use crate::sync::{AtomicU32, fence};
    use loom::sync::Arc;
    use loom::thread;

    /// A ring of one entry, through which two go, while the positions wrap.
    #[test]
    fn entries_are_read_as_they_were_written() {
        // Both wait in loops: without a bound loom would try every number of rounds.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let (mut producer, mut consumer, _) = pair::<u64>(1, u32::MAX);
            let writing = thread::spawn(move || {
                let mut number = 1;
                while number <= 2 {
                    let mut writer = producer.writer(2);
                    while number <= 2 && writer.push(number) {
                        number += 1;
                    }
                    drop(writer);
                    thread::yield_now();
                }
            });
            let mut expected = 1;
            while expected <= 2 {
                let found = consumer.available(1);
                for entry in consumer.entries(found) {
                    assert_eq!(entry, expected);
                    expected += 1;
                }
                consumer.release(found);
                thread::yield_now();
            }
            writing.join().unwrap();
        });
    }

    /// S19: a consumer that goes to sleep, and a producer that publishes, cannot miss each other.
    #[test]
    fn s19_a_sleeping_consumer_is_woken() {
        loom::model(|| {
            let (mut producer, mut consumer, memory) = pair::<u64>(2, 0);
            let kicks = Arc::new(AtomicU32::new(0));
            let counted = kicks.clone();
            let writing = thread::spawn(move || {
                assert!(producer.writer(1).push(7));
                if producer.needs_wakeup() {
                    counted.store(1, Ordering::Relaxed);
                }
            });
            // The kernel's part: it finds nothing, sets the flag, and looks once more.
            let mut found = consumer.available(1);
            if found == 0 {
                memory
                    .flags()
                    .store(XDP_RING_NEED_WAKEUP, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                found = consumer.available(1);
            }
            writing.join().unwrap();
            assert!(
                found == 1 || kicks.load(Ordering::Relaxed) == 1,
                "published, not seen, and nobody was woken"
            );
        });
    }
}
