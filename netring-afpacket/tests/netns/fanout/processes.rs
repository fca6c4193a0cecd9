//! A group that two processes share, one of which is killed.
#![allow(
    clippy::print_stdout,
    reason = "a test that runs again reports by its output"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use netring_afpacket::{Fanout, FanoutGroup, FanoutMode};
use netring_sys::{Count, PacketBatch, PacketSource};
use xtask::netns::{Netns, veth};
use xtask::wire::Sender;

use super::{drain, of_flow, small, until_offered};

const ROLE: &str = "NETRING_ROLE";

/// Both processes request the same.
fn one_worker() -> FanoutGroup {
    let fanout = Fanout::new(FanoutMode::LoadBalance).id(9).workers(1);
    FanoutGroup::open(small("a"), fanout).unwrap()
}

/// The process that the other test starts; without a role it does nothing. It prints how many
/// packets it received.
#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn takes_its_share() {
    if std::env::var_os(ROLE).is_some() {
        let mut group = one_worker();
        println!("\njoined");
        let worker = &mut group.workers_mut()[0];
        let mut packets = 0;
        while let Some(batch) = worker.next_batch().unwrap() {
            packets += batch.packets().count();
            println!("{packets} packets");
        }
    }
}

/// The same program in this thread's namespace.
fn second_process() -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "fanout::processes::takes_its_share"]);
    command
        .args(["--ignored", "--nocapture"])
        .env(ROLE, "second");
    command.stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn two_processes_share_a_group_until_one_is_killed() {
    let _ns = Netns::enter().unwrap();
    veth("a", "b").unwrap();
    let sender = Sender::on("b").unwrap();
    let mut group = one_worker();
    let mut second = second_process();
    let said = BufReader::new(second.stdout.take().unwrap()).lines();
    let mut said = said.map(Result::unwrap);
    assert!(said.any(|line| line == "joined"));
    (0..100).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
    until_offered(&group, 50);
    assert!(said.any(|line| line == "50 packets"));
    second.kill().unwrap();
    second.wait().unwrap();
    // The kernel closes the sockets of a process that was killed before `wait` returns.
    (0..100).for_each(|n| sender.send(&of_flow(1, n)).unwrap());
    until_offered(&group, 150);
    assert_eq!(group.stats().unwrap().offered, Count::Exact(150));
    assert_eq!(drain(&mut group)[0].len(), 150);
}
