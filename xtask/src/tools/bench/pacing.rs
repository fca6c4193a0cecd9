//! Sending at a given rate: its accuracy and its cost.

use std::time::{Duration, Instant};

use netring_afpacket::Injector;
use netring_sys::PacketSink;
use netring_sys::wait::Pacer;
use xtask::netns::{Netns, ip};
use xtask::wire::numbered;

use super::measure::{self, cpu_time};
use super::{Options, Row, Table, Target};
use crate::Result;

const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _ns = Netns::enter()?;
    measure::pin(measure::MEASURED_CORE);
    ip("link add ifb0 type ifb")?;
    ip("link set ifb0 up")?;
    while !netring_sys::Interface::by_name("ifb0")?.is_up() {
        std::thread::sleep(Duration::from_millis(1));
    }
    for rate in [100, 10_000, 100_000, 1_000_000] {
        let pacer = Pacer::packets_per_second(rate)?;
        paced(
            options,
            table,
            &format!("{rate} packets/s"),
            pacer,
            rate,
            60,
        )?;
    }
    let pacer = Pacer::bits_per_second(1_000_000_000)?.overhead(24);
    let rate = 1_000_000_000 / (8 * 1538);
    paced(options, table, "1 Gbit/s of 1514 bytes", pacer, rate, 1514)
}

/// The deviation of a run from its rate, and the share of a core that it took.
fn paced(
    options: &Options,
    table: &mut Table,
    what: &str,
    pacer: Pacer,
    rate: u64,
    len: usize,
) -> Result<()> {
    let seconds = if options.quick { 1 } else { 4 };
    let frame = numbered(1, len);
    let (mut deviations, mut shares, mut lost) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..options.rounds {
        let mut injector = Injector::builder("ifb0").qdisc_bypass(true).build()?;
        let mut pacer = pacer.clone();
        let (start, before) = (Instant::now(), cpu_time());
        let intervals = seconds * rate;
        for _ in 0..=intervals {
            pacer.send(&mut injector, &frame)?;
        }
        let took = start.elapsed().as_secs_f64();
        let used = (cpu_time() - before).as_secs_f64();
        injector.flush()?;
        if injector.drain(LIMIT)? > 0 {
            return Err("frames are left".into());
        }
        deviations.push((took / seconds as f64 - 1.0).abs() * 1e6);
        shares.push(used / took * 100.0);
        lost += pacer.lost();
    }
    // The last frame may be late by a sleep, or by the time slice of another process.
    let row = Row::new(
        format!("paced, {what}: deviation"),
        "ppm",
        measure::median(deviations),
    );
    table.add(row.target(Target::AtMost(1000.0)));
    let row = Row::new(
        format!("paced, {what}: of a core"),
        "%",
        measure::median(shares),
    );
    table.add(row.target((rate <= 100_000).then_some(Target::AtMost(50.0))));
    if !lost.is_zero() {
        table.note(format!(
            "paced, {what}: {lost:?} in all were not made up for"
        ));
    }
    Ok(())
}
