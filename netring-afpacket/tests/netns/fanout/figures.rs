//! One sum for all workers, while they run on other threads and after they are dropped; and one
//! stop.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Fanout, FanoutGroup, FanoutHandle, FanoutMode, Profile};
use netring_sys::{Count, PacketSource, Readiness, Stats};
use xtask::load::Flood;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, collect};

use super::{PATIENCE, drain, of_flow, pair, small, two_flows, until_offered};

fn sent_by(stats: &Stats) -> [u64; 4] {
    let figures = [stats.offered, stats.delivered, stats.dropped, stats.invalid];
    figures.map(|figure| figure.exact().unwrap())
}

/// Two threads read and lose packets while they poll their own statistics, and a third polls the
/// sum. Reading resets the kernel's counters, and nothing is counted twice or missed.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_sum_is_exact_although_three_threads_read_the_counters() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    // Rings of 50 packets, which overflow.
    let tiny = Capture::builder()
        .interface("a")
        .profile(Profile::Immediate);
    let tiny = tiny.block_size(4096).block_count(2).snap_len(60);
    let group = FanoutGroup::open(tiny, Fanout::default().workers(2)).unwrap();
    let handle = group.handle();
    let stop = handle.stop_handle();
    let read = |mut worker: Capture| {
        let mut read = 0;
        while worker.wait(None).unwrap() == Readiness::Ready {
            drop(worker.batch());
            read += 1;
            if read % 64 == 0 {
                thread::sleep(Duration::from_micros(500));
            }
            let stats = worker.stats().unwrap();
            assert_eq!(stats.delivered, Count::Exact(read));
        }
        (worker, read)
    };
    let watch = |handle: FanoutHandle| {
        let mut last = [0; 4];
        while !handle.stop_handle().is_stopped() {
            let now = sent_by(&handle.stats().unwrap());
            assert!(
                now.iter().zip(last).all(|(now, last)| *now >= last),
                "{now:?} after {last:?}"
            );
            assert!(now[1] + now[2] <= now[0], "{now:?}");
            last = now;
        }
    };
    let flood = Flood::on("b", |n| of_flow((n % 64) as u16, n)).unwrap();
    let (sent, workers) = thread::scope(|scope| {
        let readers: Vec<_> = group
            .into_workers()
            .into_iter()
            .map(|worker| scope.spawn(move || read(worker)))
            .collect();
        let watcher = handle.clone();
        let watcher = scope.spawn(move || watch(watcher));
        thread::sleep(Duration::from_millis(700));
        let sent = flood.stop();
        xtask::load::wait_until("everything arrived", PATIENCE, || {
            handle.stats().unwrap().offered == Count::Exact(sent)
        });
        stop.stop();
        watcher.join().unwrap();
        let workers: Vec<_> = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect();
        (sent, workers)
    });
    let mut sum = [0; 4];
    for (mut worker, read) in workers {
        let stats = worker.stats().unwrap();
        assert_eq!(stats.delivered, Count::Exact(read));
        sum.iter_mut()
            .zip(sent_by(&stats))
            .for_each(|(sum, own)| *sum += own);
    }
    assert_eq!(sent_by(&handle.stats().unwrap()), sum);
    let [offered, delivered, dropped, invalid] = sum;
    assert_eq!((offered, invalid), (sent, 0));
    assert!(dropped > 0 && delivered > 0, "{sum:?}");
    assert_eq!(handle.stats().unwrap().freezes, Count::Unavailable);
}

/// A worker that is dropped leaves its figures, its flows go to the others, and what was in its
/// ring stays pending.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_worker_that_is_dropped_leaves_its_figures_and_its_flows_to_the_others() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let flows = two_flows(&sender);
    let group = pair(FanoutMode::Hash);
    let handle = group.handle();
    let send = |n| {
        flows
            .iter()
            .for_each(|flow| sender.send(&of_flow(*flow, n)).unwrap())
    };
    (0..10).for_each(send);
    until_offered(&group, 20);
    let mut workers = group.into_workers();
    let mut first = workers.remove(0);
    assert_eq!(collect(&mut first, 10, PATIENCE).unwrap().len(), 10);
    sender.send(&of_flow(flows[0], 10)).unwrap();
    xtask::load::wait_until("the 21st packet arrived", PATIENCE, || {
        handle.stats().unwrap().offered == Count::Exact(21)
    });
    drop(first);
    assert_eq!(sent_by(&handle.stats().unwrap()), [21, 10, 0, 0]);
    (11..20).for_each(send);
    let rest = collect(&mut workers[0], 28, PATIENCE).unwrap();
    assert_eq!(rest.len(), 28);
    assert_eq!(sent_by(&handle.stats().unwrap()), [39, 38, 0, 0]);
    assert_eq!(handle.stats().unwrap().pending(), Some(1));
    let each = handle.worker_stats().unwrap();
    let each: Vec<_> = each.iter().map(sent_by).collect();
    assert_eq!(each, [[11, 10, 0, 0], [28, 28, 0, 0]]);
    drop(workers);
    sender.send(&of_flow(flows[0], 20)).unwrap();
    assert_eq!(sent_by(&handle.stats().unwrap()), [39, 38, 0, 0]);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_sum_counts_a_packet_when_a_loop_breaks_at_it() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let fanout = Fanout::default().workers(1);
    let mut group = FanoutGroup::open(small("a"), fanout).unwrap();
    (0..10).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
    until_offered(&group, 10);
    for lent in 1..=10 {
        let worker = &mut group.workers_mut()[0];
        assert_eq!(
            worker.try_for_each(|_| ControlFlow::Break(lent)).unwrap(),
            Some(lent)
        );
        assert_eq!(sent_by(&group.stats().unwrap()), [10, lent, 0, 0]);
    }
}

/// 50 packets of one flow for two rings of 20 slots, of which the kernel takes one with 5 or fewer
/// free slots for full when it looks for another. In the mode it looks for each packet: 15 in each
/// ring, then 5 more in the first, and 15 are dropped. With the flag it looks once the first is
/// full: 20 there, 15 in the other.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn rollover_stats_are_those_of_the_packets_that_moved() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let flow = two_flows(&sender)[0];
    let open = |fanout: Fanout| {
        let builder = Capture::builder().interface("a");
        let builder = builder.profile(Profile::Immediate);
        let builder = builder.block_size(4096).block_count(20);
        FanoutGroup::open(builder, fanout.workers(2)).unwrap()
    };
    let plain = open(Fanout::default());
    assert_eq!(plain.handle().rollover_stats().unwrap(), None);
    assert_eq!(plain.workers()[0].rollover_stats().unwrap(), None);
    drop(plain);

    let mode = Fanout::new(FanoutMode::Rollover);
    let flag = Fanout::default().rollover(true);
    for (fanout, moved, failed) in [(mode, 30, 20), (flag, 15, 15)] {
        let mut group = open(fanout);
        let handle = group.handle();
        let figures = || {
            let stats = handle.rollover_stats().unwrap().unwrap();
            (stats.moved, stats.huge, stats.failed)
        };
        assert_eq!(figures(), (0, 0, 0));
        (0..50).for_each(|n| sender.send(&of_flow(flow, n)).unwrap());
        until_offered(&group, 50);
        assert_eq!(figures(), (moved, 0, failed));
        let own = |worker: &Capture| worker.rollover_stats().unwrap().unwrap();
        let owns = group.workers().iter().map(own);
        let owns: Vec<_> = owns.map(|own| (own.moved, own.failed)).collect();
        assert_eq!(owns, [(moved, failed), (0, 0)]);
        let read: Vec<_> = drain(&mut group).iter().map(Vec::len).collect();
        assert_eq!(read, [20, 15]);
        assert_eq!(sent_by(&group.stats().unwrap()), [50, 35, 15, 0]);
        drop(group);
        assert_eq!(figures(), (moved, 0, failed));
    }
}

/// Rings of blocks: what the second worker has are the packets that moved, and the kernel's
/// counters agree with each other to the packet.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn packets_roll_over_between_rings_of_blocks_too() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let flow = two_flows(&sender)[0];
    let tiny = Capture::builder()
        .interface("a")
        .block_size(4096)
        .block_count(16);
    let tiny = tiny.retire_timeout(Duration::from_millis(2));
    let fanout = Fanout::default().workers(2).rollover(true);
    let mut group = FanoutGroup::open(tiny, fanout).unwrap();
    // A block of 4 KiB holds 28 of them.
    const SENT: u64 = 2000;
    (0..SENT).for_each(|n| sender.send(&of_flow(flow, n)).unwrap());
    until_offered(&group, SENT);
    let rollover = group.handle().rollover_stats().unwrap().unwrap();
    let own = |worker: &mut Capture| sent_by(&worker.stats().unwrap());
    let [first, second] = group.workers_mut() else {
        panic!("two workers");
    };
    let (first, second) = (own(first), own(second));
    assert_eq!(first[0] + second[0], SENT);
    assert_eq!(second[0], rollover.moved);
    assert_eq!(second[2], 0, "no packet moves to a ring that is full");
    assert!(
        rollover.moved > 28 && first[2] > 0,
        "{first:?} {second:?} {rollover:?}"
    );
    let read: usize = drain(&mut group).iter().map(Vec::len).sum();
    assert_eq!(read as u64 + first[2], SENT);
    assert_eq!(
        sent_by(&group.stats().unwrap()),
        [SENT, read as u64, first[2], 0]
    );
}

/// A worker whose ring was full takes packets of others again once it is read, although none of its
/// own packets shows the kernel that it has room.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_worker_that_was_full_is_rolled_over_to_again_once_it_is_read() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let flow = two_flows(&sender)[0];
    let builder = Capture::builder().interface("a");
    let builder = builder.profile(Profile::Immediate);
    let builder = builder.block_size(4096).block_count(20);
    let fanout = Fanout::default().workers(2).rollover(true);
    let mut group = FanoutGroup::open(builder, fanout).unwrap();
    for round in 1..=5 {
        (0..50).for_each(|n| sender.send(&of_flow(flow, n)).unwrap());
        until_offered(&group, 50 * round);
        let read: Vec<_> = drain(&mut group).iter().map(Vec::len).collect();
        assert_eq!(read, [20, 15], "round {round}");
    }
    assert_eq!(sent_by(&group.stats().unwrap()), [250, 175, 75, 0]);
}

/// One call ends the waits of all, on an idle interface, and so does the handle of any worker.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s8_one_stop_wakes_all_workers() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    for by_worker in [false, true] {
        let group = FanoutGroup::open(small("a"), Fanout::default().workers(3)).unwrap();
        let handle = group.handle();
        let stop = match by_worker {
            true => group.workers()[2].stop_handle(),
            false => group.stop_handle(),
        };
        let (ended, ends) = mpsc::channel();
        for mut worker in group.into_workers() {
            let ended = ended.clone();
            thread::spawn(move || {
                let end = worker.next_batch().map(|batch| batch.is_none());
                ended.send((end, Instant::now())).unwrap();
            });
        }
        thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        stop.stop();
        for _ in 0..3 {
            let (end, at) = ends.recv_timeout(PATIENCE).unwrap();
            assert!(end.unwrap());
            // 50 ms, plus what a loaded machine needs to schedule a thread.
            assert!(at - start < Duration::from_millis(550), "{:?}", at - start);
        }
        assert!(handle.stop_handle().is_stopped());
    }
}
