//! The interface goes down, comes up, and is removed.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use netring_afpacket::{Capture, LinkMonitor, LinkState, Profile};
use netring_sys::{Count, Error, Interface, PacketBatch, PacketSource, Readiness};
use xtask::load::{cost, wait_until};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect, number, numbered};

const SECOND: Duration = Duration::from_secs(1);

fn capture() -> Capture {
    let capture = Capture::builder()
        .interface("a")
        .profile(Profile::LowMemory);
    capture.build().unwrap()
}

/// Checks that the next report is that the link went down.
fn goes_down(capture: &mut Capture) {
    let next = capture.wait(Some(SECOND));
    assert!(
        matches!(&next, Err(Error::LinkDown { interface, was_up: true }) if interface == "a"),
        "{next:?}"
    );
}

/// Checks that from now on every call reports the removal.
fn is_removed(capture: &mut Capture) {
    for _ in 0..3 {
        let next = capture.wait(Some(SECOND));
        let Err(error) = next else {
            panic!("{next:?}");
        };
        assert!(matches!(&error, Error::InterfaceRemoved { interface } if interface == "a"));
        assert!(error.is_terminal());
    }
    let looped = capture.try_for_each(|_| ControlFlow::Break(()));
    assert!(
        matches!(looped, Err(Error::InterfaceRemoved { .. })),
        "{looped:?}"
    );
}

/// Checks that a second in which nothing happens costs next to nothing.
fn sleeps(capture: &mut Capture) {
    let (came, cost) = cost(|| collect(capture, 1, SECOND).unwrap());
    assert!(came.is_empty(), "{came:x?}");
    assert!(cost.sleeps < 10 && cost.cpu < SECOND / 20, "{cost:?}");
}

fn comes_up(interface: &str) {
    ip(&format!("link set dev {interface} up")).unwrap();
    for end in ["a", "b"] {
        wait_until("both ends are up", SECOND, || {
            Interface::by_name(end).unwrap().is_up()
        });
    }
}

/// Checks that frames sent now arrive, including the first.
fn packets_arrive(capture: &mut Capture, from: u64) {
    let sender = Sender::on("b").unwrap();
    for n in from..from + 3 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    let packets = collect(capture, 3, SECOND).unwrap();
    let numbers = packets.iter().map(|packet| number(packet.data()).unwrap());
    assert_eq!(numbers.collect::<Vec<_>>(), [from, from + 1, from + 2]);
}

fn link_downs(capture: &mut Capture) -> Count {
    capture.stats().unwrap().link_downs
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_down_and_up_is_one_report_and_packets_resume() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    packets_arrive(&mut capture, 0);
    for round in 1..=3 {
        ip("link set dev a down").unwrap();
        goes_down(&mut capture);
        // A notification about an interface that is still down does not count again.
        ip(&format!("link set dev a mtu {}", 1400 + round)).unwrap();
        sleeps(&mut capture);
        comes_up("a");
        packets_arrive(&mut capture, 10 * round);
        assert_eq!(link_downs(&mut capture), Count::Exact(round));
    }
    assert_eq!(capture.stats().unwrap().offered, Count::Exact(12));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_a_lost_carrier_is_a_link_down_too() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    ip("link set dev b down").unwrap();
    goes_down(&mut capture);
    sleeps(&mut capture);
    comes_up("b");
    packets_arrive(&mut capture, 0);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_down_and_up_again_before_the_reader_looks_is_one_report() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    ip("link set dev a down").unwrap();
    comes_up("a");
    goes_down(&mut capture);
    packets_arrive(&mut capture, 0);
    assert_eq!(link_downs(&mut capture), Count::Exact(1));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_earlier_packets_are_lent_before_the_link_down_is_reported_and_neither_is_lost() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    for round in 0..20 {
        let sender = Sender::on("b").unwrap();
        for n in 0..5 {
            sender.send(&numbered(n, 60)).unwrap();
        }
        // The block is handed over before, while, or after the link goes down.
        thread::sleep(Duration::from_millis(round));
        ip("link set dev a down").unwrap();
        let (mut packets, mut downs) = (0, 0);
        while packets < 5 || downs < 1 {
            match capture.wait(Some(SECOND)) {
                Ok(Readiness::Ready) => packets += capture.batch().packets().count(),
                Ok(_) => panic!("{packets} packets and {downs} reports in a second"),
                Err(Error::LinkDown { .. }) => downs += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((packets, downs), (5, 1), "round {round}");
        comes_up("a");
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_a_removed_interface_is_the_end() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    packets_arrive(&mut capture, 0);
    ip("link del dev a").unwrap();
    is_removed(&mut capture);
    // An interface of the same name is another one.
    veth("a", "b").unwrap();
    is_removed(&mut capture);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_an_interface_that_is_removed_while_it_is_down_is_the_end_too() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    ip("link set dev a down").unwrap();
    goes_down(&mut capture);
    sleeps(&mut capture);
    // It wakes a sleeping reader.
    let reader = thread::spawn(move || {
        let next = capture.next_batch().map(|batch| batch.is_some());
        (capture, next)
    });
    thread::sleep(Duration::from_millis(100));
    assert!(!reader.is_finished());
    ip("link del dev a").unwrap();
    let (mut capture, next) = reader.join().unwrap();
    assert!(
        matches!(next, Err(Error::InterfaceRemoved { .. })),
        "{next:?}"
    );
    is_removed(&mut capture);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_an_interface_that_is_moved_to_another_namespace_is_gone() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    let there = Netns::new().unwrap();
    there.take("a").unwrap();
    is_removed(&mut capture);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_last_packets_of_a_removed_interface_are_delivered_before_the_end() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let builder = Capture::builder()
        .interface("a")
        .profile(Profile::LowMemory);
    // Long enough for the removal to be known before the block is handed over.
    let mut capture = builder
        .retire_timeout(Duration::from_millis(300))
        .build()
        .unwrap();
    let sender = Sender::on("b").unwrap();
    for n in 0..5 {
        sender.send(&numbered(n, 60)).unwrap();
    }
    ip("link del dev a").unwrap();
    let (last, cost) = cost(|| collect(&mut capture, 5, SECOND));
    assert_eq!(last.unwrap().len(), 5);
    assert!(cost.sleeps < 10 && cost.cpu < SECOND / 20, "{cost:?}");
    is_removed(&mut capture);
    assert_eq!(capture.stats().unwrap().delivered, Count::Exact(5));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_a_capture_can_be_opened_on_an_interface_that_is_down() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    ip("link set dev a down").unwrap();
    let mut capture = capture();
    let down = capture.wait(Some(SECOND));
    let down = down.unwrap_err().to_string();
    assert_eq!(
        down,
        "the interface a is down; packets arrive when it is up"
    );
    sleeps(&mut capture);
    comes_up("a");
    packets_arrive(&mut capture, 0);
    // It did not go down: it was down.
    assert_eq!(link_downs(&mut capture), Count::Exact(0));
    ip("link set dev a down").unwrap();
    goes_down(&mut capture);
    assert_eq!(link_downs(&mut capture), Count::Exact(1));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_loop_goes_on_through_a_link_that_was_down() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    let reader = thread::spawn(move || {
        let found = capture.try_for_each(|packet| ControlFlow::Break(number(packet.data())));
        (found.unwrap(), link_downs(&mut capture))
    });
    thread::sleep(Duration::from_millis(50));
    ip("link set dev a down").unwrap();
    thread::sleep(Duration::from_millis(50));
    comes_up("a");
    assert!(!reader.is_finished());
    Sender::on("b").unwrap().send(&numbered(7, 60)).unwrap();
    assert_eq!(reader.join().unwrap(), (Some(Some(7)), Count::Exact(1)));
}

/// A bridge reports its ports with the message by which the kernel reports a deleted interface.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn an_interface_that_joins_and_leaves_a_bridge_is_neither_down_nor_removed() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    ip("link add name bridge type bridge").unwrap();
    let mut capture = capture();
    for change in ["master bridge", "nomaster"] {
        ip(&format!("link set dev a {change}")).unwrap();
        let next = capture.wait(Some(Duration::from_millis(200)));
        assert!(matches!(next, Ok(Readiness::Empty)), "{change}: {next:?}");
    }
    packets_arrive(&mut capture, 0);
    assert_eq!(link_downs(&mut capture), Count::Exact(0));
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn events_of_other_interfaces_are_not_reported() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let mut capture = capture();
    for change in ["set dev c down", "set dev c up", "del dev c"] {
        ip(&format!("link {change}")).unwrap();
    }
    sleeps(&mut capture);
    packets_arrive(&mut capture, 0);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn the_state_of_the_link_is_known_at_any_time_and_is_reported_nevertheless() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut capture = capture();
    assert_eq!(capture.link_state().unwrap(), LinkState::Up);
    ip("link set dev b down").unwrap();
    wait_until("the carrier is gone", Duration::from_secs(10), || {
        capture.link_state().unwrap() == LinkState::Down
    });
    goes_down(&mut capture);
    comes_up("b");
    assert_eq!(capture.link_state().unwrap(), LinkState::Up);
    ip("link del dev a").unwrap();
    assert_eq!(capture.link_state().unwrap(), LinkState::Removed);
    is_removed(&mut capture);
}

/// The changes of `a` until there are no more, seen by a thread that reads no packets.
fn changes(mut monitor: LinkMonitor) -> thread::JoinHandle<Vec<LinkState>> {
    thread::spawn(move || std::iter::from_fn(|| monitor.next_change().unwrap()).collect())
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_monitor_reports_each_change_to_another_thread_until_the_removal() {
    use LinkState::{Down, Removed, Up};
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    veth("c", "d").unwrap();
    let capture = capture();
    let mut late = capture.link_monitor().unwrap();
    assert_eq!(late.state(), Up);
    assert_eq!(late.look().unwrap(), None);
    let watching = changes(capture.link_monitor().unwrap());
    for end in ["a", "b"] {
        ip(&format!("link set dev {end} down")).unwrap();
        ip("link set dev c down").unwrap();
        comes_up(end);
    }
    ip("link del dev a").unwrap();
    let expected = [Down, Up, Down, Up, Down, Removed];
    assert_eq!(watching.join().unwrap(), expected);
    // A thread that reads only after the end misses nothing.
    let seen: Vec<_> = std::iter::from_fn(|| late.look().unwrap()).collect();
    assert_eq!((seen.as_slice(), late.state()), (&expected[..], Removed));
    assert!(late.is_ended());
    assert_eq!(late.next_change().unwrap(), None);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_monitor_ends_with_its_capture_and_by_a_handle_of_its_own() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    ip("link set dev a down").unwrap();
    let capture = capture();
    let own = LinkMonitor::new(capture.interface()).unwrap();
    assert_eq!(own.state(), LinkState::Down);
    let stops = [own.stop_handle(), capture.stop_handle()];
    let watching = [own, capture.link_monitor().unwrap()].map(changes);
    thread::sleep(Duration::from_millis(50));
    for (stop, thread) in stops.iter().zip(watching) {
        assert!(!thread.is_finished() && !capture.stop_handle().is_stopped());
        stop.stop();
        assert_eq!(thread.join().unwrap(), []);
    }
}
