//! Live receive at the generator's full rate, next to the minimal reader.
//!
//! The number of wake-ups varies from run to run. A round has 100 to 400 of them; each costs 25 to
//! 40 µs of processor time on a virtual machine (leaving the idle state, the timer of the wait,
//! cold caches), and that is a third of a reader's 5 to 10 ns for each packet. If the generator's
//! core is busy with other work, packets arrive more slowly and each bears a larger share of a
//! wake-up: in twelve rounds of the minimal reader against itself, on a machine with a load of 10,
//! user time was 4.4 to 6.1 ns/packet and system time 1.9 to 5.2, in step with the wake-ups (220 to
//! 431), so that single rounds differed by a factor of 0.76 to 1.24 and the medians by 5 %. So read
//! the row of wake-ups before that of the time, measure on an idle machine, and use more
//! `--rounds`.

use std::os::fd::AsFd;

use netring_afpacket::Capture;
use netring_sys::{Count, PacketBatch, PacketSource, Readiness};

use super::ends::NEAR;
use super::generator::{Amount, Generator, Traffic};
use super::live::{Round, Totals, Wire};
use super::measure::median;
use super::minimal::Reader;
use super::walk::touch;
use super::{Options, Row, Table, Target, peers};
use crate::Result;

/// The shortest possible frames, of 1024 flows.
pub(super) const fn traffic(options: &Options) -> Traffic {
    Traffic {
        frame: 64,
        flows: 1024,
        gap: options.gap,
    }
}

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let wire = Wire::new()?;
    let generator = Generator::new(traffic(options))?;
    table.note(generator.about());
    let amount = Amount::Frames(if options.quick { 400_000 } else { 3_000_000 });
    let (mut ours, mut minimal, mut pcap) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(capture(&wire, &generator, amount)?);
        minimal.push(minimal_reader(&wire, &generator, amount)?);
        if options.peers {
            pcap.push(peers::round("receive-pcap", &generator, amount)?);
        }
    }
    memory(table)?;
    for figure in &FIGURES {
        let ours = figure.median(&ours);
        let row = Row::new(figure.what, figure.unit, ours)
            .peer("minimal reader", figure.median(&minimal));
        table.add(row.target(figure.target));
        if options.peers {
            let row =
                Row::new(figure.what, figure.unit, ours).peer("pcap crate", figure.median(&pcap));
            table.add(row.target(figure.target_pcap));
        }
    }
    Ok(())
}

/// A figure of a round.
struct Figure {
    what: &'static str,
    unit: &'static str,
    of: fn(&Round) -> f64,
    target: Option<Target>,
    target_pcap: Option<Target>,
}

const FIGURES: [Figure; 5] = [
    Figure {
        what: "receive: lost",
        unit: "packets",
        of: |round| round.totals.dropped as f64,
        target: Some(Target::AtMost(0.0)),
        target_pcap: None,
    },
    Figure {
        what: "receive: user time",
        unit: "ns/packet",
        of: |round| round.per_packet(round.awake),
        target: Some(Target::OfPeer(1.3)),
        target_pcap: Some(Target::OfPeer(1.0 / 3.0)),
    },
    Figure {
        what: "receive: user + system time",
        unit: "ns/packet",
        of: |round| round.per_packet(round.usage.total()),
        target: Some(Target::OfPeer(1.1)),
        target_pcap: None,
    },
    Figure {
        what: "receive: wake-ups",
        unit: "per 1000 packets",
        of: |round| 1e3 * round.waits as f64 / round.totals.delivered as f64,
        target: None,
        target_pcap: None,
    },
    Figure {
        what: "receive: offered",
        unit: "Mpps",
        of: Round::rate,
        target: None,
        target_pcap: None,
    },
];

impl Figure {
    fn median(&self, rounds: &[Round]) -> f64 {
        median(rounds.iter().map(self.of).collect())
    }
}

/// The memory that a capture with default settings adds to its process.
fn memory(table: &mut Table) -> Result<()> {
    let before = resident()?;
    let capture = Capture::open(NEAR)?;
    let grown = resident()?.saturating_sub(before) as f64 / (1 << 20) as f64;
    drop(capture);
    // Rounded: besides the ring there are a few pages of names and buffers.
    table.add(
        Row::new("receive: memory, resident", "MiB", grown.round()).target(Target::AtMost(64.0)),
    );
    Ok(())
}

/// Resident bytes of this process. This counts each page; the cheap figure in `statm` does not.
pub(super) fn resident() -> Result<u64> {
    let maps = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = maps.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes
        .ok_or("no Rss in smaps_rollup")?
        .trim()
        .parse::<u64>()?
        << 10)
}

/// Runs a round of ours, and checks its totals.
pub(super) fn capture(wire: &Wire, generator: &Generator, amount: Amount) -> Result<Round> {
    let mut capture = Capture::open(NEAR)?;
    let (mut packets, mut sum) = (0, 0);
    let mut round = wire.round(generator, amount, &mut capture, Capture::as_fd, |capture| {
        // The same as `next_batch`, with the wait outside, so that it is not measured.
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
    round.totals = Totals {
        delivered: packets,
        dropped: exact(stats.dropped)?,
        invalid: exact(stats.invalid)?,
    };
    round.balance("netring")?;
    if stats.delivered != Count::Exact(packets) || stats.offered != Count::Exact(round.sent.frames)
    {
        return Err(format!(
            "{packets} packets read of {} sent, but the capture reports {stats:?}",
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
    round.totals = Totals {
        delivered: packets,
        dropped: reader.dropped()?,
        invalid: 0,
    };
    round.balance("the minimal reader")?;
    Ok(round)
}
