//! The interface of a group goes down, comes up, and is removed.

use netring_afpacket::{Fanout, FanoutGroup, FanoutMode};
use netring_sys::{Count, Error, Interface, PacketSource, Timed};
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, collect};

use super::{PATIENCE, drain, of_flow, pair, small, until_offered};

fn comes_up() {
    ip("link set dev a up").unwrap();
    for end in ["a", "b"] {
        wait_until("both ends are up", PATIENCE, || {
            Interface::by_name(end).unwrap().is_up()
        });
    }
}

/// Every worker reports it once, and the sum counts it once. The kernel takes the members out of
/// the group and puts them back: afterwards each packet still goes to one of them.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn p12_a_group_outlives_a_link_that_goes_down_and_up() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut group = pair(FanoutMode::Hash);
    let sender = Sender::on("b").unwrap();
    for round in 1..=3 {
        (0..64).for_each(|flow| sender.send(&of_flow(flow, round)).unwrap());
        until_offered(&group, 64 * round);
        let read = drain(&mut group);
        assert!(read.iter().all(|packets| !packets.is_empty()));
        assert_eq!(read.iter().map(Vec::len).sum::<usize>(), 64);
        ip("link set dev a down").unwrap();
        for worker in group.workers_mut() {
            let down = worker.wait(Some(PATIENCE)).unwrap_err();
            assert!(matches!(down, Error::LinkDown { .. }), "{down}");
        }
        comes_up();
        let stats = group.stats().unwrap();
        assert_eq!(stats.link_downs, Count::Exact(round));
        assert_eq!(stats.offered, Count::Exact(64 * round));
    }
}

/// Since kernel 6.13 a socket joins a group while its interface is down; an older kernel refuses
/// it, and the error says so.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_group_is_opened_while_the_interface_is_down_or_the_reason_is_given() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    ip("link set dev a down").unwrap();
    let fanout = Fanout::default().workers(2);
    match FanoutGroup::open(small("a"), fanout) {
        Ok(mut group) => receives_once_it_is_up(&mut group),
        Err(error) => {
            let text = error.to_string();
            assert!(
                text.contains("before Linux 6.13 the interface has to be up"),
                "{text}"
            );
        }
    }
}

fn receives_once_it_is_up(group: &mut FanoutGroup) {
    for worker in group.workers_mut() {
        let down = worker.wait(Some(PATIENCE)).unwrap_err();
        assert!(
            matches!(down, Error::LinkDown { was_up: false, .. }),
            "{down}"
        );
    }
    comes_up();
    let sender = Sender::on("b").unwrap();
    (0..64).for_each(|flow| sender.send(&of_flow(flow, 0)).unwrap());
    until_offered(group, 64);
    let read = drain(group);
    assert!(read.iter().all(|packets| !packets.is_empty()));
    assert_eq!(read.iter().map(Vec::len).sum::<usize>(), 64);
    assert_eq!(group.stats().unwrap().link_downs, Count::Exact(0));
}

/// The last packets of every worker come first, then the removal, for good.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s10_a_removal_reaches_every_worker_behind_its_last_packets() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let mut group = pair(FanoutMode::LoadBalance);
    let sender = Sender::on("b").unwrap();
    (0..10).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
    until_offered(&group, 10);
    ip("link del dev a").unwrap();
    for worker in group.workers_mut() {
        assert_eq!(collect(worker, 5, PATIENCE).unwrap().len(), 5);
        for _ in 0..2 {
            match worker.next_batch_timeout(PATIENCE) {
                Err(Error::InterfaceRemoved { interface }) => assert_eq!(interface, "a"),
                Ok(Timed::Batch(_)) => panic!("a packet from nowhere"),
                other => panic!("{other:?}"),
            }
        }
    }
    let stats = group.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.delivered),
        (Count::Exact(10), Count::Exact(10))
    );
    drop(group);
}
