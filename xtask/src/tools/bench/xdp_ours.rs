//! A program for AF_XDP on netring-xdp: the same as `xtask/peers/c/xsk.c`, line by line where
//! possible.
//!
//! `receive` drops what it receives, and `touch` reads the first 64 bytes before; `transmit` sends
//! frames that are prepared in packet memory; `forward` swaps the link layer addresses and sends
//! back out. Frames are sent 64 at a time; rings are of 2048, with a chunk for each entry. Each
//! ends after the given number of packets, once sent ones are completed, and prints a line `NAME
//! NUMBER` for each figure: `packets`, `time` (ns since the first), `cpu` (ns of this thread),
//! `calls` (system calls made), `allocations` (ours only), `lost` (at the socket, meanwhile), and
//! `done`. At the end of its input, sending has ended, and it prints the fate of the rest:
//! `lost_in_all`, and the number `left` in the ring.
//!
//! Variants do the same work through another interface: `receive-for` by a `for` loop,
//! `receive-capture` by an [`XdpCapture`] and the packets of its batches, `transmit-slots` by a
//! slot for each frame, `forward-bridge` by an [`XdpBridge`] to a second wire. `receive-tags` is
//! `receive-capture` with the driver's metadata of each packet, which the peer does not request.

use std::hint::black_box;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use netring_sys::{Interface, PacketBatch, PacketSink, PacketSlot, PacketSource, Stats};
use netring_xdp::program::{AttachMode, Program};
use netring_xdp::{
    CopyMode, DriverMetadata, Receiver, Transmitter, Umem, UmemConfig, XdpCapture, XdpSocket,
};

use netring::bridge::{Step, Verdict, XdpBridge};
use netring_sys::syscall::poll_readable_any;

use super::ends::SECOND;
use super::measure::cpu_time;
use crate::Result;

const LIMIT: Duration = Duration::from_secs(1);
/// How long a wait lets packets gather.
const MODERATION: Duration = Duration::from_micros(50);

/// The results of a loop.
#[derive(Debug)]
struct Done {
    packets: u64,
    first: Instant,
}

/// `VERB INTERFACE native|generic BYTES PACKETS`
pub(super) fn main(words: &[String]) -> Result<()> {
    let [verb, interface, mode, bytes, packets] = words else {
        return Err("VERB INTERFACE native|generic BYTES PACKETS".into());
    };
    let (bytes, packets) = (bytes.parse()?, packets.parse()?);
    let interface = Interface::by_name(interface)?;
    let mode = match &**mode {
        "generic" => AttachMode::Generic,
        _ => AttachMode::Native,
    };
    let metadata = match &**verb {
        "receive-capture" => Some(DriverMetadata::No),
        "receive-tags" => Some(DriverMetadata::Try),
        _ => None,
    };
    if let Some(metadata) = metadata {
        return capture(&interface.name, mode, metadata, packets);
    }
    if verb == "forward-bridge" {
        return bridge(&interface.name, packets);
    }
    let memory = UmemConfig::new();
    let mut why = None;
    let outcome = Umem::scope(&memory, |umem| {
        let builder = XdpSocket::builder(&interface.name, 0)
            .copy_mode(CopyMode::Copy)
            .moderation(MODERATION);
        let _attached;
        let (mut rx, mut tx) = builder.open(umem)?.split();
        if !verb.starts_with("transmit") {
            let mut attached = Program::redirect()
                .queues(1)
                .load()?
                .attach(&interface, mode)?;
            attached.set_socket(0, rx.as_fd())?;
            _attached = attached;
        }
        why = (|| {
            report(|| match &**verb {
                "receive" => measured_receive(&mut rx, packets),
                "receive-for" => measured_receive_for(&mut rx, packets),
                "touch" => measured_touch(&mut rx, packets),
                "transmit" => measured_transmit(&mut tx, packets, bytes),
                "transmit-slots" => measured_transmit_slots(&mut tx, packets, bytes),
                "forward" => measured_forward(&mut rx, &mut tx, packets),
                other => Err(format!("unknown verb {other:?}").into()),
            })?;
            println!("calls {}", rx.system_calls() + tx.kicks());
            let lost = || -> Result<_> {
                let stats = rx.stats()?;
                Ok(stats.ring_full + stats.no_chunk + stats.invalid)
            };
            println!("lost {}", lost()?);
            wait_for_the_end()?;
            println!("lost_in_all {}", lost()?);
            println!("left {}", umem.census().receive);
            Ok(())
        })()
        .err();
        Ok(())
    });
    match why {
        Some(why) => Err(why),
        None => Ok(outcome?),
    }
}

/// Prints that it is done, and waits until sending ends.
fn wait_for_the_end() -> Result<()> {
    println!("done 0");
    std::io::stdout().flush()?;
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// Runs the loop, and prints what it cost.
fn report(run: impl FnOnce() -> Result<Done>) -> Result<()> {
    println!("ready");
    std::io::stdout().flush()?;
    let before = cpu_time();
    let mut done = None;
    let allocations = allocation_counter::measure(|| done = Some(run()));
    let cpu = cpu_time() - before;
    let done = done.ok_or("the loop did not run")??;
    println!("time {}", done.first.elapsed().as_nanos());
    println!("packets {}", done.packets);
    println!("cpu {}", cpu.as_nanos());
    println!("allocations {}", allocations.count_total);
    Ok(())
}

impl Done {
    fn new() -> Self {
        Self {
            packets: 0,
            first: Instant::now(),
        }
    }

    fn wait(&mut self, rx: &mut Receiver<'_>) -> Result<()> {
        if !rx.wait(LIMIT)? {
            return Err("no packet arrived for a second".into());
        }
        if self.packets == 0 {
            self.first = Instant::now();
        }
        Ok(())
    }
}

#[inline(never)]
fn measured_receive(rx: &mut Receiver<'_>, packets: u64) -> Result<Done> {
    let (mut done, mut sum) = (Done::new(), 0);
    while done.packets < packets {
        let mut count = 0;
        rx.receive().iter().for_each(|frame| {
            count += 1;
            sum += frame.len();
        });
        done.packets += count;
        if count == 0 {
            done.wait(rx)?;
        }
    }
    black_box(sum);
    Ok(done)
}

#[inline(never)]
fn measured_receive_for(rx: &mut Receiver<'_>, packets: u64) -> Result<Done> {
    let (mut done, mut sum) = (Done::new(), 0);
    while done.packets < packets {
        let mut count = 0;
        for frame in &rx.receive() {
            count += 1;
            sum += frame.len();
        }
        done.packets += count;
        if count == 0 {
            done.wait(rx)?;
        }
    }
    black_box(sum);
    Ok(done)
}

/// An [`XdpCapture`] with the same rings and chunks as the others.
fn capture(
    interface: &str,
    mode: AttachMode,
    metadata: DriverMetadata,
    packets: u64,
) -> Result<()> {
    let builder = XdpCapture::builder()
        .interface(interface)
        .metadata(metadata);
    let builder = builder
        .attach_mode(mode)
        .copy_mode(CopyMode::Copy)
        .moderation(MODERATION);
    let mut capture = builder.chunks(2048).build()?;
    report(|| measured_receive_capture(&mut capture, packets))?;
    println!("calls {}", capture.system_calls());
    let lost = |stats: &Stats| stats.dropped.value().zip(stats.invalid.value());
    let lost = |stats: &Stats| lost(stats).map_or(0, |(dropped, invalid)| dropped + invalid);
    println!("lost {}", lost(&capture.stats()?));
    wait_for_the_end()?;
    let stats = capture.stats()?;
    println!("lost_in_all {}", lost(&stats));
    // Uses the program's own count of redirected packets.
    println!("left {}", stats.pending().unwrap_or(0));
    Ok(())
}

/// An [`XdpBridge`] to the second wire, which looks at the packets and changes nothing.
fn bridge(interface: &str, packets: u64) -> Result<()> {
    let mut why = None;
    let outcome = XdpBridge::scope(interface, SECOND, |bridge| {
        why = (|| {
            report(|| measured_bridge(bridge, packets))?;
            println!("calls {}", bridge.system_calls());
            let lost = |bridge: &mut XdpBridge<'_>| -> Result<_> {
                Ok(bridge.stats()?.a_to_b.source.dropped.value().unwrap_or(0))
            };
            println!("lost {}", lost(bridge)?);
            wait_for_the_end()?;
            println!("lost_in_all {}", lost(bridge)?);
            println!("left 0");
            Ok(())
        })()
        .err();
        Ok(())
    });
    match why {
        Some(why) => Err(why),
        None => Ok(outcome?),
    }
}

#[inline(never)]
fn measured_bridge(bridge: &mut XdpBridge<'_>, packets: u64) -> Result<Done> {
    let mut done = Done::new();
    while done.packets < packets {
        let before = done.packets;
        let step = bridge.step(|_, frame| {
            black_box(frame.first());
            done.packets += 1;
            match done.packets > packets {
                // The peer, too, sends no more than it is to.
                true => Verdict::Drop,
                false => Verdict::Forward,
            }
        })?;
        if before == 0 && done.packets > 0 {
            done.first = Instant::now();
        }
        if let Step::Wait { at_most, .. } = step {
            poll_readable_any(bridge.descriptors(), Some(at_most.unwrap_or(LIMIT)))?;
        }
    }
    done.packets = packets;
    while bridge.stats()?.a_to_b.in_flight > 0 {
        bridge.step(|_, _| Verdict::Drop)?;
    }
    Ok(done)
}

#[inline(never)]
fn measured_receive_capture(capture: &mut XdpCapture, packets: u64) -> Result<Done> {
    let (mut done, mut sum, mut tags) = (Done::new(), 0, 0);
    while done.packets < packets {
        let Some(batch) = capture.next_batch_timeout(LIMIT)?.batch() else {
            return Err("no packet arrived for a second".into());
        };
        if done.packets == 0 {
            done.first = Instant::now();
        }
        for packet in batch.packets() {
            done.packets += 1;
            sum += packet.data().len();
            tags += usize::from(packet.vlan().is_some());
        }
    }
    black_box((sum, tags));
    Ok(done)
}

#[inline(never)]
fn measured_touch(rx: &mut Receiver<'_>, packets: u64) -> Result<Done> {
    let (mut done, mut sum) = (Done::new(), 0);
    while done.packets < packets {
        let mut count = 0;
        rx.receive().iter().for_each(|frame| {
            count += 1;
            sum += frame.len() as u64;
            sum ^= touched(frame);
        });
        done.packets += count;
        if count == 0 {
            done.wait(rx)?;
        }
    }
    black_box(sum);
    Ok(done)
}

#[inline]
fn touched(frame: &[u8]) -> u64 {
    let Some(front) = frame.first_chunk::<64>() else {
        return 0;
    };
    let words = front.as_chunks::<8>().0.iter();
    words.fold(0, |sum, word| sum ^ u64::from_ne_bytes(*word))
}

#[inline(never)]
fn measured_transmit(tx: &mut Transmitter<'_>, packets: u64, bytes: usize) -> Result<Done> {
    let mut done = Done::new();
    while done.packets < packets {
        let batch = (packets - done.packets).min(64);
        done.packets += tx.send_each(batch as usize, |_| bytes)? as u64;
        tx.flush()?;
    }
    tx.drain(LIMIT)?;
    Ok(done)
}

#[inline(never)]
fn measured_transmit_slots(tx: &mut Transmitter<'_>, packets: u64, bytes: usize) -> Result<Done> {
    let mut done = Done::new();
    while done.packets < packets {
        let batch = (packets - done.packets).min(64);
        for _ in 0..batch {
            // Its frame is already prepared, as for the others.
            let Some(slot) = tx.slot(bytes)? else { break };
            slot.commit();
            done.packets += 1;
        }
        tx.flush()?;
    }
    tx.drain(LIMIT)?;
    Ok(done)
}

#[inline(never)]
fn measured_forward<'umem>(
    rx: &mut Receiver<'umem>,
    tx: &mut Transmitter<'umem>,
    packets: u64,
) -> Result<Done> {
    let mut done = Done::new();
    while done.packets < packets {
        let sent = rx.receive().forward(tx, swap_addresses).sent;
        done.packets += sent;
        // Frames that are pending need another flush, and their chunks are not available for
        // receiving.
        if tx.flush()? == 0 && sent == 0 {
            done.wait(rx)?;
        }
    }
    tx.drain(LIMIT)?;
    Ok(done)
}

#[inline]
fn swap_addresses(frame: &mut [u8]) -> bool {
    if frame.len() < 12 {
        return false;
    }
    let (target, rest) = frame.split_at_mut(6);
    target.swap_with_slice(&mut rest[..6]);
    true
}
