//! Live receive at the generator's full rate, beside the minimal reader.

use std::os::fd::AsFd;

use netring_afpacket::Capture;
use netring_sys::{Count, PacketBatch, PacketSource, Readiness};

use super::generator::{Amount, Generator, Traffic};
use super::live::{Books, NEAR, Round, Wire};
use super::measure::median;
use super::minimal::Reader;
use super::walk::touch;
use super::{Options, Row, Table, Target};
use crate::Result;

const TRAFFIC: Traffic = Traffic {
    frame: 64,
    flows: 1024,
    gap: 0,
};

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let wire = Wire::new()?;
    let generator = Generator::new(TRAFFIC)?;
    table.note(generator.about());
    let amount = Amount::Frames(if options.quick { 400_000 } else { 3_000_000 });
    let (mut ours, mut minimal) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(capture(&wire, &generator, amount)?);
        minimal.push(minimal_reader(&wire, &generator, amount)?);
    }
    let of = |rounds: &[Round], figure: &dyn Fn(&Round) -> f64| {
        median(rounds.iter().map(figure).collect())
    };
    let mut row = |what: &str, unit, figure: &dyn Fn(&Round) -> f64, target: Option<Target>| {
        let row =
            Row::new(what, unit, of(&ours, figure)).peer("minimal reader", of(&minimal, figure));
        table.add(match target {
            Some(target) => row.target(target),
            None => row,
        });
    };
    row("receive, offered", "Mpps", &|round| round.rate(), None);
    row(
        "receive, lost",
        "packets",
        &|round| round.books.dropped as f64,
        Some(Target::AtMost(0.0)),
    );
    row(
        "receive, awake",
        "ns/packet",
        &|round| round.per_packet(round.awake),
        Some(Target::OfPeer(1.3)),
    );
    row(
        "receive, user",
        "ns/packet",
        &|round| round.per_packet(round.usage.user),
        Some(Target::OfPeer(1.3)),
    );
    row(
        "receive, user + system",
        "ns/packet",
        &|round| round.per_packet(round.usage.total()),
        Some(Target::OfPeer(1.1)),
    );
    row(
        "receive, waits",
        "per 1000 packets",
        &|round| 1e3 * round.waits as f64 / round.books.delivered as f64,
        None,
    );
    Ok(())
}

/// A round of ours, its books balanced.
pub(super) fn capture(wire: &Wire, generator: &Generator, amount: Amount) -> Result<Round> {
    let mut capture = Capture::open(NEAR)?;
    let (mut packets, mut sum) = (0, 0);
    let mut round = wire.round(generator, amount, &mut capture, Capture::as_fd, |capture| {
        // As `next_batch` does it; here the wait is outside, so that it is not measured.
        while capture.ready()? == Readiness::Ready {
            for packet in capture.batch().packets() {
                packets += 1;
                sum ^= touch(&packet);
            }
        }
        Ok(())
    })?;
    std::hint::black_box(sum);
    let stats = capture.stats()?;
    let exact = |count: Count| count.exact().ok_or("a count of ours is not exact");
    round.books = Books {
        delivered: packets,
        dropped: exact(stats.dropped)?,
        invalid: exact(stats.invalid)?,
    };
    round.balance("netring")?;
    if stats.delivered != Count::Exact(packets) || stats.offered != Count::Exact(round.sent.frames)
    {
        return Err(format!(
            "{packets} packets read, of {} sent, and told: {stats:?}",
            round.sent.frames
        )
        .into());
    }
    Ok(round)
}

fn minimal_reader(wire: &Wire, generator: &Generator, amount: Amount) -> Result<Round> {
    let mut reader = Reader::open(NEAR)?;
    let (mut packets, mut sum) = (0, 0);
    let mut round = wire.round(generator, amount, &mut reader, Reader::as_fd, |reader| {
        let (count, word) = reader.read();
        packets += count;
        sum ^= word;
        Ok(())
    })?;
    std::hint::black_box(sum);
    round.books = Books {
        delivered: packets,
        dropped: reader.dropped()?,
        invalid: 0,
    };
    round.balance("the minimal reader")?;
    Ok(round)
}
