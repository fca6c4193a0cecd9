//! AF_XDP in copy mode over a wire, next to the same programs in C on libxdp: rate, CPU time and
//! system calls.

use xtask::netns::veth;

use super::ends::{SECOND, SECOND_FAR};
use super::live::Wire;
use super::measure::median;
use super::xdp_child::{Figures, Sink, Task, Who, run as run_child};
use super::{Options, Row, Table, Target};
use crate::Result;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _wire = Wire::new()?;
    veth(SECOND, SECOND_FAR)?;
    let sink = match Sink::new() {
        Ok(sink) => sink,
        Err(why) if options.peers => return Err(why),
        Err(why) => {
            table.note(format!("xdp: not measured; {why}"));
            return Ok(());
        }
    };
    for task in tasks(options) {
        rates(options, task, &sink, table)?;
    }
    Ok(())
}

fn tasks(options: &Options) -> Vec<Task> {
    let task = |verb, mode, bytes| Task { verb, mode, bytes };
    let mut tasks = vec![
        task("receive", "native", 64),
        task("transmit", "native", 64),
        task("forward", "native", 64),
        task("forward-bridge", "native", 64),
    ];
    if !options.quick {
        tasks.extend([
            task("receive-for", "native", 64),
            task("receive-capture", "native", 64),
            task("receive-tags", "native", 64),
            task("touch", "native", 64),
            task("transmit-slots", "native", 64),
            task("receive", "native", 1500),
            task("transmit", "native", 1500),
            task("forward", "native", 1500),
            task("forward-bridge", "native", 1500),
            task("receive", "generic", 64),
            task("receive-capture", "generic", 64),
            task("receive", "generic", 1500),
            task("forward", "generic", 64),
            task("forward", "generic", 1500),
        ]);
    }
    tasks
}

/// Measures both alternately, and adds the rows of a task.
fn rates(options: &Options, task: Task, sink: &Sink, table: &mut Table) -> Result<()> {
    let packets = if options.quick { 100_000 } else { 1_000_000 };
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    let round = |who: Who| run_child(&who.command(task, packets)?, task, sink);
    for _ in 0..options.rounds {
        ours.push(round(Who::Ours)?);
        if options.peers {
            peer.push(round(Who::Peer)?);
        }
    }
    let what = match task.kind() {
        "transmit" => format!("xdp: {}, {} B", task.verb, task.bytes),
        _ => format!("xdp: {}, {}, {} B", task.verb, task.mode, task.bytes),
    };
    let receives = matches!(task.kind(), "receive" | "touch");
    for figure in FIGURES.iter().filter(|figure| receives || !figure.received) {
        let row = Row::new(
            format!("{what}: {}", figure.what),
            figure.unit,
            figure.median(&ours),
        );
        let row = row.spread(figure.spread(&ours));
        table.add(if options.peers {
            let of_peer = figure.target_of_peer.filter(|_| task.is_the_same());
            row.peer("libxdp in C", figure.median(&peer))
                .peers_spread(figure.spread(&peer))
                .target(of_peer.or(figure.target))
        } else {
            row.target(figure.target)
        });
    }
    Ok(())
}

struct Figure {
    what: &'static str,
    unit: &'static str,
    of: fn(&Figures) -> f64,
    target: Option<Target>,
    target_of_peer: Option<Target>,
    /// Only for programs that receive.
    received: bool,
}

const FIGURES: [Figure; 5] = [
    Figure {
        what: "time",
        unit: "ns/packet",
        of: |figures| figures.time as f64 / figures.packets as f64,
        target: None,
        target_of_peer: Some(Target::OfPeer(1.0)),
        received: false,
    },
    Figure {
        what: "user + system time",
        unit: "ns/packet",
        of: |figures| figures.cpu as f64 / figures.packets as f64,
        target: None,
        target_of_peer: None,
        received: false,
    },
    Figure {
        what: "system calls",
        unit: "per packet",
        of: |figures| figures.calls as f64 / figures.packets as f64,
        target: Some(Target::AtMost(1.0 / 32.0)),
        target_of_peer: None,
        received: false,
    },
    Figure {
        what: "allocations",
        unit: "per run",
        of: |figures| figures.allocations as f64,
        target: Some(Target::AtMost(0.0)),
        target_of_peer: None,
        received: false,
    },
    // If the totals of a round do not add up, the bench fails.
    Figure {
        what: "lost meanwhile, of all offered",
        unit: "%",
        of: |figures| 100.0 * figures.lost as f64 / (figures.packets + figures.lost) as f64,
        target: None,
        target_of_peer: None,
        received: true,
    },
];

impl Figure {
    fn median(&self, rounds: &[Figures]) -> f64 {
        median(rounds.iter().map(self.of).collect())
    }

    /// Minimum and maximum of the rounds.
    fn spread(&self, rounds: &[Figures]) -> (f64, f64) {
        let figures = rounds.iter().map(self.of);
        figures.fold((f64::INFINITY, 0.0), |(least, most), figure| {
            (least.min(figure), most.max(figure))
        })
    }
}
