//! User instructions per packet, counted by callgrind: they rank programs even though the kernel
//! takes most of the time.
//!
//! Only the loop is counted, by the name of its function, for two numbers of packets: their
//! difference contains nothing but work per packet.

use std::process::{Command, Stdio};

use super::live::Wire;
use super::xdp_child::{Sink, Task, Who, run as run_child};
use super::{Options, Row, Table, Target};
use crate::Result;

const VERBS: [&str; 8] = [
    "receive",
    "receive-for",
    "receive-capture",
    "receive-tags",
    "touch",
    "transmit",
    "transmit-slots",
    "forward",
];
const FEW: u64 = 64 << 10;
const MANY: u64 = 192 << 10;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    // It needs the peer's program, and takes a while.
    if !options.peers || options.quick {
        return Ok(());
    }
    let valgrind = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !valgrind.is_ok_and(|status| status.success()) {
        return Err(
            "valgrind, which counts the instructions, is not installed: `apt-get install valgrind`"
                .into(),
        );
    }
    let _wire = Wire::new()?;
    let sink = Sink::new()?;
    for verb in VERBS {
        let task = Task {
            verb,
            mode: "native",
            bytes: 64,
        };
        let ours = per_packet(Who::Ours, task, &sink)?;
        let peer = per_packet(Who::Peer, task, &sink)?;
        let row = Row::new(
            format!("xdp: {verb}, 64 B"),
            "user instructions/packet",
            ours,
        );
        let target = task.is_the_same().then_some(Target::OfPeer(1.0));
        table.add(row.peer("libxdp in C", peer).target(target));
    }
    Ok(())
}

fn per_packet(who: Who, task: Task, sink: &Sink) -> Result<f64> {
    let count = |packets| -> Result<_> {
        let callgrind = [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=*measured_*",
        ];
        let mut words = callgrind.map(String::from).to_vec();
        words.extend(who.command(task, packets)?);
        let figures = run_child(&words, task, sink)?;
        if figures.instructions == 0 {
            return Err(format!("{} was not counted", words.join(" ")).into());
        }
        Ok(figures)
    };
    let (few, many) = (count(FEW)?, count(MANY)?);
    let packets = many.packets - few.packets;
    Ok((many.instructions as f64 - few.instructions as f64) / packets as f64)
}
