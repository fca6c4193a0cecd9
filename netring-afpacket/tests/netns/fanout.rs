//! Fanout groups: each packet goes to one worker, and which one.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod figures;
mod link;
mod modes;
mod processes;
mod psock;
mod refused;
mod start;

use std::time::Duration;

use netring_afpacket::{Capture, CaptureBuilder, Fanout, FanoutGroup, FanoutMode, Profile};
use netring_sys::PacketBuf;
use xtask::load::wait_until;
use xtask::wire::{Sender, collect, udp4};

const SILENCE: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(10);

/// A capture with a small ring, whose blocks are handed over early.
fn small(interface: &str) -> CaptureBuilder {
    let builder = Capture::builder().interface(interface);
    let builder = builder.profile(Profile::LowMemory);
    builder.retire_timeout(Duration::from_millis(2))
}

/// Two workers on the interface "a".
fn pair(mode: FanoutMode) -> FanoutGroup {
    FanoutGroup::open(small("a"), Fanout::new(mode).workers(2)).unwrap()
}

/// A frame of flow `flow`, with its number in the flow.
fn of_flow(flow: u16, number: u64) -> Vec<u8> {
    udp4(10_000 + flow, 2000, &number.to_be_bytes())
}

/// The flow and the number of a frame that [`of_flow`] made.
fn flow_of(frame: &[u8]) -> (u16, u64) {
    let flow = u16::from_be_bytes(*frame[34..].first_chunk().unwrap()) - 10_000;
    (
        flow,
        u64::from_be_bytes(*frame[42..].first_chunk().unwrap()),
    )
}

/// Waits until the kernel has given `count` packets to the workers, which are not read meanwhile.
fn until_offered(group: &FanoutGroup, count: u64) {
    wait_until("all packets arrived", PATIENCE, || {
        group.stats().unwrap().offered.exact().unwrap() >= count
    });
}

/// All packets that each worker has.
fn drain(group: &mut FanoutGroup) -> Vec<Vec<PacketBuf>> {
    let workers = group.workers_mut().iter_mut();
    workers
        .map(|worker| collect(worker, usize::MAX, SILENCE).unwrap())
        .collect()
}

/// Two flows whose hashes select different workers: the first and the second.
fn two_flows(sender: &Sender) -> [u16; 2] {
    let mut group = pair(FanoutMode::Hash);
    (0..64).for_each(|flow| sender.send(&of_flow(flow, 0)).unwrap());
    until_offered(&group, 64);
    let first = |packets: &Vec<PacketBuf>| flow_of(packets[0].data()).0;
    let flows: Vec<_> = drain(&mut group).iter().map(first).collect();
    flows.try_into().unwrap()
}
