//! The cost of reading a capture through a merge with many idle ones, and the time that a new
//! interface takes to join.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use netring_afpacket::{Capture, Captures, JoinEvent, Profile};
use netring_sys::wait::Merge;
use netring_sys::{PacketBatch, PacketSource, Readiness};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{Sender, numbered};

use super::walk::touch;
use super::{Options, Row, Table, measure};
use crate::Result;

/// Packets of a round, which the default ring holds.
const PACKETS: u64 = 100_000;
const IDLE: usize = 20;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _ns = Netns::enter()?;
    veth("near", "far")?;
    let silent: Vec<_> = (0..IDLE).map(|n| format!("idle{n}")).collect();
    for (n, name) in silent.iter().enumerate() {
        veth(name, &format!("end{n}"))?;
    }
    measure::pin(measure::MEASURED_CORE);
    let open = || Capture::open("near");
    let idle = |name: &String| {
        let builder = Capture::builder().profile(Profile::LowMemory);
        builder.interface(name).build()
    };
    let [ours, alone] = measure::in_turn(
        options,
        [
            &mut || {
                let sources = std::iter::once(open()).chain(silent.iter().map(idle));
                let sources: std::result::Result<Vec<_>, _> = sources.collect();
                read(Merge::new(sources?)?)
            },
            &mut || read(open()?),
        ],
    )?;
    let what = format!("capture merged with {IDLE} idle ones");
    table.add(Row::new(what, "ns/packet", ours).peer("alone", alone));
    for profile in [Profile::LowMemory, Profile::Default] {
        let row = Row::new(
            format!("joining: {profile:?}"),
            "ms",
            joining(options, profile)?,
        );
        table.add(row);
    }
    Ok(())
}

/// Nanoseconds of this thread for each packet of a ring that is full of them.
fn read(mut source: impl PacketSource) -> Result<f64> {
    // The first look at each reads how its interface is.
    while source.ready()? != Readiness::Empty {}
    let sender = Sender::on("far")?;
    for n in 0..PACKETS {
        sender.send(&numbered(n, 64))?;
    }
    // The last block is handed over.
    std::thread::sleep(Duration::from_millis(50));
    let start = measure::cpu_time();
    let (mut count, mut sum) = (0, 0);
    while count < PACKETS {
        let Some(batch) = source.next_batch()? else {
            break;
        };
        for packet in batch.packets() {
            sum ^= touch(&packet);
            count += 1;
        }
    }
    let time = measure::cpu_time().saturating_sub(start);
    std::hint::black_box(sum);
    let stats = source.stats()?;
    if stats.offered.exact() != Some(PACKETS) || stats.delivered != stats.offered {
        return Err(format!("{PACKETS} sent, and {stats}").into());
    }
    Ok(time.as_nanos() as f64 / PACKETS as f64)
}

/// Milliseconds from when `ip` returns until the ring of the interface receives.
fn joining(options: &Options, profile: Profile) -> Result<f64> {
    let (events, joined): (_, Receiver<Instant>) = channel();
    let builder = Captures::builder(Capture::builder().profile(profile));
    let builder = builder.matching(|interface| interface.name.starts_with("new"));
    let builder = builder.on_event(move |event| {
        if let JoinEvent::Joined(_) = event {
            // The bench may have failed.
            let _ = events.send(Instant::now());
        }
    });
    let _captures = builder.join(true).build()?;
    let mut times = Vec::new();
    for n in 0..options.rounds {
        ip(&format!("link add name new{n} type bridge"))?;
        let start = Instant::now();
        let time = joined.recv()?.saturating_duration_since(start);
        times.push(time.as_secs_f64() * 1e3);
        ip(&format!("link del dev new{n}"))?;
    }
    Ok(measure::median(times))
}
