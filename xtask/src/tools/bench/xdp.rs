//! AF_XDP in copy mode over a wire, beside the same programs in C on libxdp: rate, CPU and system calls.

use super::live::Wire;
use super::measure::median;
use super::xdp_child::{Figures, Sink, Task, Who, run as run_child};
use super::{Options, Row, Table, Target};
use crate::Result;

/// Within this the rates of two programs are the same: in copy mode they are the kernel's, and those of one program vary by more.
const SAME_RATE: f64 = 1.05;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _wire = Wire::new()?;
    let sink = match Sink::new() {
        Ok(sink) => sink,
        Err(why) if options.peers => return Err(why),
        Err(why) => {
            table.note(format!("xdp: left out; {why}"));
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
    ];
    if !options.quick {
        tasks.extend([
            task("touch", "native", 64),
            task("receive", "native", 1500),
            task("transmit", "native", 1500),
            task("forward", "native", 1500),
            task("receive", "generic", 64),
            task("receive", "generic", 1500),
            task("forward", "generic", 64),
            task("forward", "generic", 1500),
        ]);
    }
    tasks
}

/// Both in turn, and the rows of a task.
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
    let what = match task.verb {
        "transmit" => format!("xdp: transmit, {} B", task.bytes),
        verb => format!("xdp: {verb}, {}, {} B", task.mode, task.bytes),
    };
    // The stack hands packets over one by one, and wakes the reader for each: it waits between them, and is not at its full rate.
    let waits = task.verb == "receive" && task.mode == "generic";
    for figure in &FIGURES {
        let target = figure.target.filter(|_| !waits || figure.what != CALLS);
        let row = Row::new(
            format!("{what}: {}", figure.what),
            figure.unit,
            figure.median(&ours),
        );
        table.add(if options.peers {
            row.peer("libxdp in C", figure.median(&peer))
                .target(figure.target_of_peer.or(target))
        } else {
            row.target(target)
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
}

const CALLS: &str = "system calls";

const FIGURES: [Figure; 4] = [
    Figure {
        what: "time",
        unit: "ns/packet",
        of: |figures| figures.time as f64 / figures.packets as f64,
        target: None,
        target_of_peer: Some(Target::OfPeer(SAME_RATE)),
    },
    Figure {
        what: "user + system time",
        unit: "ns/packet",
        of: |figures| figures.cpu as f64 / figures.packets as f64,
        target: None,
        target_of_peer: None,
    },
    Figure {
        what: CALLS,
        unit: "per packet",
        of: |figures| figures.calls as f64 / figures.packets as f64,
        target: Some(Target::AtMost(1.0 / 32.0)),
        target_of_peer: None,
    },
    Figure {
        what: "allocations",
        unit: "per run",
        of: |figures| figures.allocations as f64,
        target: Some(Target::AtMost(0.0)),
        target_of_peer: None,
    },
];

impl Figure {
    fn median(&self, rounds: &[Figures]) -> f64 {
        median(rounds.iter().map(self.of).collect())
    }
}
