//! Waiting: as long as requested, not longer, and not after a stop.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Profile};
use netring_sys::{PacketBatch, PacketSource, Readiness, Timed};
use xtask::load::{Flood, SignalStorm, cost, wait_until};
use xtask::netns::{Netns, veth};
use xtask::wire::numbered;

/// What a loaded machine may add to a duration.
const LATE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(30);

fn idle() -> Capture {
    veth("a", "b").unwrap();
    let capture = Capture::builder()
        .interface("a")
        .profile(Profile::LowMemory);
    capture.build().unwrap()
}

/// A wait with this timeout ends in time: never early, and if it is late, as on a machine with
/// other work, one of the next is not.
#[track_caller]
fn ends_in_time(capture: &mut Capture, timeout: Duration) {
    let mut times = Vec::new();
    while times.last().is_none_or(|&took| took >= timeout + LATE) {
        assert!(times.len() < 20, "{times:?} of {timeout:?}");
        let took = none_after(capture, timeout);
        assert!(took >= timeout, "{took:?} of {timeout:?}");
        times.push(took);
    }
}

/// How long `next_batch_timeout` took to find nothing.
fn none_after(capture: &mut Capture, timeout: Duration) -> Duration {
    let start = Instant::now();
    assert!(capture.next_batch_timeout(timeout).unwrap().is_timed_out());
    start.elapsed()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p4_a_timeout_on_an_idle_interface_is_the_requested_one() {
    let _ns = Netns::enter().unwrap();
    let mut capture = idle();
    for millis in [1, 30, 400] {
        ends_in_time(&mut capture, Duration::from_millis(millis));
    }
    ends_in_time(&mut capture, Duration::ZERO);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s11_signals_do_not_restart_a_time_out() {
    let _ns = Netns::enter().unwrap();
    let mut capture = idle();
    let storm = SignalStorm::on_this_thread().unwrap();
    let timeout = Duration::from_millis(500);
    let (took, cost) = cost(|| none_after(&mut capture, timeout));
    let signals = storm.stop();
    assert!(
        (timeout..timeout + LATE).contains(&took),
        "{took:?} of {timeout:?}"
    );
    // Signals interrupted it repeatedly.
    assert!(
        signals > 10 && cost.sleeps > 10,
        "{signals} signals, {cost:?}"
    );
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s11_a_time_out_below_a_millisecond_is_neither_none_nor_a_millisecond() {
    let _ns = Netns::enter().unwrap();
    let mut capture = idle();
    let timeout = Duration::from_micros(200);
    let mut times: Vec<_> = (0..101)
        .map(|_| none_after(&mut capture, timeout))
        .collect();
    times.sort();
    assert!(times[0] >= timeout, "{:?}", times[0]);
    // One that is rounded is rounded each time; a machine with other work is late now and then.
    assert!(times[9] < Duration::from_millis(1), "{times:?}");
}

/// Starts a reader that waits forever, and stops it when it sleeps. Returns its result, and the
/// time from the stop to it.
fn stopped<T: Send + 'static>(
    capture: Capture,
    read: impl FnOnce(Capture) -> T + Send + 'static,
) -> (T, Duration) {
    let stop = capture.stop_handle();
    let (sender, result) = mpsc::channel();
    thread::spawn(move || sender.send((read(capture), Instant::now())));
    thread::sleep(Duration::from_millis(100));
    assert!(matches!(result.try_recv(), Err(mpsc::TryRecvError::Empty)));
    let start = Instant::now();
    stop.stop();
    let result = result.recv_timeout(Duration::from_secs(5));
    let (result, end) = result.expect("the reader was not woken");
    (result, end.saturating_duration_since(start))
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s8_a_stop_handle_wakes_a_reader_on_an_idle_interface() {
    let _ns = Netns::enter().unwrap();
    let (result, took) = stopped(idle(), |mut capture| {
        let first = capture.next_batch().map(|batch| batch.is_some());
        let again = capture.next_batch_timeout(Duration::from_secs(10));
        let again = again.map(|next| matches!(next, Timed::Ended));
        (first, again, capture.ready().unwrap())
    });
    assert!(
        matches!(result, (Ok(false), Ok(true), Readiness::Ended)),
        "{result:?}"
    );
    println!("woken after {took:?}");
    assert!(took < Duration::from_millis(50) + LATE, "{took:?}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s8_a_stop_ends_a_loop_without_an_error() {
    let _ns = Netns::enter().unwrap();
    let (result, took) = stopped(idle(), |mut capture| {
        let looped = capture.try_for_each(|_| ControlFlow::Break(()));
        looped.map(|value| value.is_none())
    });
    assert!(matches!(result, Ok(true)), "{result:?}");
    assert!(took < Duration::from_millis(50) + LATE, "{took:?}");
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p10_a_capture_is_closed_under_its_readers_hands_and_nothing_is_used_after_it() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let flood = Flood::on("b", |n| numbered(n, 200)).unwrap();
    for round in 0..40 {
        let builder = Capture::builder()
            .interface("a")
            .profile(Profile::LowMemory);
        let mut capture = builder.build().unwrap();
        let stop = capture.stop_handle();
        let late = stop.clone();
        let (reading, read) = mpsc::channel();
        let reader = thread::spawn(move || {
            loop {
                match capture.next_batch() {
                    Ok(Some(batch)) => {
                        let _ = reading.send(());
                        // A lent batch stays valid until it is returned, stopped or not.
                        thread::sleep(Duration::from_micros(300));
                        assert!(batch.packets().all(|packet| packet.data().len() == 200));
                    }
                    end => return end.map(drop),
                }
            }
        });
        read.recv().unwrap();
        thread::sleep(Duration::from_micros(100 * round));
        stop.stop();
        let end = reader.join().unwrap();
        assert!(matches!(end, Ok(())), "{end:?}");
        // The capture is gone: its handles do nothing, and are harmless.
        late.stop();
        assert!(late.is_stopped());
    }
    flood.stop();
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_capture_that_is_dropped_leaves_no_descriptor_and_no_mapping() {
    let _ns = Netns::enter().unwrap();
    let held = idle();
    // Only this thread's captures: other tests of this process have their own.
    let sockets = || {
        let lines = std::fs::read_to_string("/proc/thread-self/net/packet").unwrap();
        lines.lines().count() - 1
    };
    assert_eq!(sockets(), 1);
    for _ in 0..20 {
        let builder = Capture::builder()
            .interface("a")
            .profile(Profile::LowMemory);
        let capture = builder.build().unwrap();
        assert_eq!(sockets(), 2);
        drop(capture);
        wait_until("the socket is closed", PATIENCE, || sockets() == 1);
    }
    drop(held);
    wait_until("the socket is closed", PATIENCE, || sockets() == 0);
}
