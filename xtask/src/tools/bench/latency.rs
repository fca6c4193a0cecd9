//! The latency from a packet's transmission to its reader, at a low rate.
//!
//! Each packet carries the time at which it was sent. One leaves about every millisecond, out of
//! step with the timer of a ring. The reader waits for each on the other core.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use netring_afpacket::{Capture, Profile};
use netring_sys::kernel::packet::ETH_P_ALL;
use netring_sys::{Interface, PacketBatch, PacketSource, syscall};
use nix::time::{ClockId, clock_gettime};
use xtask::wire::{Sender, number, numbered};

use super::ends::{FAR, NEAR};
use super::live::Wire;
use super::measure::{self, median};
use super::{Options, Row, Table, Target, chain};
use crate::Result;

/// The reported quantiles.
const QUANTILES: [(&str, usize); 2] = [("p50", 50), ("p99", 99)];

/// The configuration: a profile, and how long a wait spins before it sleeps.
type Kind = (Profile, Duration);

/// Longer than the pause between two packets.
const SPIN: Duration = Duration::from_millis(5);

const KINDS: [Kind; 4] = [
    (Profile::Immediate, SPIN),
    (Profile::Immediate, Duration::ZERO),
    (Profile::LowLatency, Duration::ZERO),
    (Profile::Default, Duration::ZERO),
];

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _wire = Wire::new()?;
    let count = if options.quick { 200 } else { 1000 };
    let mut ours = KINDS.map(|kind| (kind, Vec::new()));
    let mut plain = Vec::new();
    for _ in 0..options.rounds {
        plain.push(receive(count)?);
        for (kind, rounds) in &mut ours {
            rounds.push(capture(*kind, count)?);
        }
    }
    for ((profile, spin), rounds) in &ours {
        let spins = if spin.is_zero() { "" } else { ", spin" };
        for (of, (name, _)) in QUANTILES.into_iter().enumerate() {
            let figure = |rounds: &[[f64; 2]]| median(rounds.iter().map(|both| both[of]).collect());
            let row = Row::new(
                format!("latency, {profile:?}{spins}: {name}"),
                "µs",
                figure(rounds),
            );
            // A capture that spins must beat a call that sleeps.
            let most = if spin.is_zero() { 1.5 } else { 1.0 };
            let target = (*profile == Profile::Immediate).then_some(Target::OfPeer(most));
            table.add(row.peer("recvfrom", figure(&plain)).target(target));
        }
    }
    Ok(())
}

/// Latencies of a capture in microseconds.
fn capture((profile, spin): Kind, count: u64) -> Result<[f64; 2]> {
    let builder = Capture::builder().interface(NEAR).profile(profile);
    let mut capture = builder.spin(spin).build()?;
    latencies(count, |seen| {
        let batch = capture
            .next_batch()?
            .ok_or("the wait ended without a batch")?;
        batch.packets().for_each(|packet| seen(packet.data()));
        Ok(())
    })
}

/// Latencies of a packet socket that a blocking call reads.
fn receive(count: u64) -> Result<[f64; 2]> {
    let socket = syscall::packet_socket()?;
    let index = Interface::by_name(NEAR)?.index;
    syscall::bind_packet(socket.as_fd(), index, ETH_P_ALL)?;
    // It is not a UDP socket, but has the same calls: `recvfrom` without the address.
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(false)?;
    let mut buffer = [0; 2048];
    latencies(count, |seen| {
        let len = socket.recv(&mut buffer)?;
        seen(&buffer[..len]);
        Ok(())
    })
}

fn latencies(
    count: u64,
    mut read: impl FnMut(&mut dyn FnMut(&[u8])) -> Result<()>,
) -> Result<[f64; 2]> {
    measure::pin(measure::MEASURED_CORE);
    thread::scope(|scope| {
        let sending = scope.spawn(|| send(count).map_err(|why| chain(why.as_ref())));
        let mut times = Vec::with_capacity(count as usize);
        while times.len() < count as usize {
            read(&mut |frame| {
                // The time is taken before anything else is done with the packet.
                let now = nanos();
                let sent = number(frame).unwrap_or(now);
                times.push(now.saturating_sub(sent));
            })?;
        }
        sending.join().map_err(|_| "the sender panicked")??;
        times.sort_unstable();
        Ok(QUANTILES.map(|(_, percent)| times[times.len() * percent / 100] as f64 / 1e3))
    })
}

fn send(count: u64) -> Result<()> {
    measure::pin(measure::GENERATOR_CORE);
    let sender = Sender::on(FAR)?;
    for n in 0..count {
        thread::sleep(Duration::from_micros(800 + n * 7919 % 400));
        sender.send(&numbered(nanos(), 64))?;
    }
    Ok(())
}

/// The time on a clock that both threads read.
fn nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    now.as_nanos() as u64
}
