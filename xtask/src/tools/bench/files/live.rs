//! A live capture at the generator's full rate that is recorded, next to dumpcap.

use std::os::fd::AsFd;

use netring::adapters::Tee;
use netring::pcap::{CaptureFile, CaptureWriter, Format};
use netring_afpacket::Capture;
use netring_sys::{Count, PacketBatch, PacketSource, Readiness};

use super::super::ends::NEAR;
use super::super::generator::{Amount, Generator};
use super::super::live::{Round, Totals, Wire};
use super::super::measure::median;
use super::super::receive::{capture, traffic};
use super::super::{Options, Row, Table, Target};
use super::{Folder, dumpcap};
use crate::Result;

pub(super) fn run(options: &Options, table: &mut Table, folder: &Folder) -> Result<()> {
    let wire = Wire::new()?;
    let generator = Generator::new(traffic(options))?;
    let amount = Amount::Frames(if options.quick { 400_000 } else { 2_000_000 });
    let (mut ours, mut alone, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        alone.push(capture(&wire, &generator, amount)?);
        ours.push(record(&wire, &generator, amount, folder)?);
        if options.peers {
            theirs.push(dumpcap::round(&generator, amount, folder)?);
        }
    }
    let of =
        |rounds: &[Round], figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let lost = |round: &Round| 100.0 * round.totals.dropped as f64 / round.sent.frames as f64;
    let cost = |round: &Round| round.per_packet(round.usage.total());
    for (what, unit, figure, target) in [
        (
            "files: record live, lost",
            "%",
            lost as fn(&Round) -> f64,
            Some(Target::AtMost(0.0)),
        ),
        ("files: record live, user + system", "ns/packet", cost, None),
        ("files: record live, offered", "Mpps", Round::rate, None),
    ] {
        let row = Row::new(what, unit, of(&ours, figure)).target(target);
        table.add(if options.peers {
            row.peer("dumpcap", of(&theirs, figure))
        } else {
            row
        });
    }
    let more = of(&ours, cost) - of(&alone, cost);
    table.add(Row::new(
        "files: record live, more than receiving",
        "ns/packet",
        more,
    ));
    Ok(())
}

/// Runs a round of ours, and checks its totals and its file.
fn record(wire: &Wire, generator: &Generator, amount: Amount, folder: &Folder) -> Result<Round> {
    let path = folder.file("ours.pcapng");
    let writer = CaptureWriter::create(&path, Format::PcapNg)?;
    let mut tee = Tee::new(Capture::open(NEAR)?, writer);
    let mut packets = 0;
    let mut round = wire.round(generator, amount, &mut tee, Tee::as_fd, |tee| {
        while tee.ready()? == Readiness::Ready {
            packets += tee.batch().packets().count() as u64;
        }
        Ok(())
    })?;
    let stats = tee.stats()?;
    let (written, missed) = (tee.written(), tee.missed());
    let (_, writer) = tee.finish()?;
    writer.finish()?;
    let exact = |count: Count| count.exact().ok_or("a count of ours is not exact");
    round.totals = Totals {
        delivered: packets,
        dropped: exact(stats.dropped)?,
        invalid: exact(stats.invalid)?,
    };
    round.balance("netring")?;
    let mut in_file = 0;
    let mut file = CaptureFile::open(&path)?;
    while let Some(batch) = file.next_batch()? {
        in_file += batch.packets().count() as u64;
    }
    std::fs::remove_file(&path)?;
    if (written, missed, in_file) != (packets, 0, packets) {
        return Err(format!(
            "{packets} packets lent, {written} written, {missed} missed, {in_file} in the file"
        )
        .into());
    }
    Ok(round)
}
