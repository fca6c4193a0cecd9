//! `bench`: measures ours and its peers alternately, in one run.
//!
//! A bench is a file in this folder with a function `run`, and a line in [`BENCHES`]:
//!
//! ```ignore
//! pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
//!     let [ours, peer] = measure::in_turn(options, [&mut || our_cost(), &mut || their_cost()])?;
//!     let row = Row::new("what is measured", "ns/packet", ours).peer("who", peer);
//!     table.add(row.target(Target::OfPeer(0.25)));
//!     Ok(())
//! }
//! ```
//!
//! Every figure but `kept` is a cost: less is better. A missed target is printed but is not a
//! failure, because times depend on the machine; totals that do not add up are failures.

mod bridge;
mod broadcast;
mod channel;
mod compose;
mod conversations;
mod dedup;
mod ends;
mod expiry;
mod fanout;
mod files;
mod filter;
mod filter_programs;
mod flow;
mod flow_workers;
mod generator;
mod latency;
mod live;
mod measure;
mod merged;
mod minimal;
mod opening;
mod options;
mod pacing;
mod packet_broadcast;
mod pause;
mod peers;
mod reassembly;
mod receive;
mod replay;
mod sendmmsg;
mod sessions;
mod share;
mod soak;
mod table;
mod transmit;
mod tunnels;
mod walk;
mod xdp;
mod xdp_child;
mod xdp_instructions;
mod xdp_ours;

pub(crate) use measure::pin;
pub(crate) use options::Options;
pub(crate) use table::{Row, Table, Target};

use crate::Result;

/// All benches, by the name that `cargo xtask bench NAME` takes.
const BENCHES: &[(&str, Bench)] = &[
    ("walk", walk::run),
    ("filter", filter::run),
    ("dedup", dedup::run),
    ("flow", flow::run),
    ("tunnels", tunnels::run),
    ("reassembly", reassembly::run),
    ("sessions", sessions::run),
    ("expiry", expiry::run),
    ("conversations", conversations::run),
    ("broadcast", broadcast::run),
    ("channel", channel::run),
    ("packet-broadcast", packet_broadcast::run),
    ("receive", receive::run),
    ("pause", pause::run),
    ("opening", opening::run),
    ("merged", merged::run),
    ("latency", latency::run),
    ("share", share::run),
    ("fanout", fanout::run),
    ("flow-workers", flow_workers::run),
    ("transmit", transmit::run),
    ("pacing", pacing::run),
    ("replay", replay::run),
    ("bridge", bridge::run),
    ("xdp", xdp::run),
    ("xdp-instructions", xdp_instructions::run),
    ("files", files::run),
    ("soak", soak::run),
    ("compose", compose::run),
];

type Bench = fn(&Options, &mut Table) -> Result<()>;

/// Runs the requested benches, and prints one table.
pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some((xdp_child::OURS, words)) = args.split_first().map(|(verb, rest)| (&**verb, rest)) {
        return xdp_ours::main(words);
    }
    let names: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
    let Some(options) = Options::parse(args, &names)? else {
        println!("{}\nbenches: {}", options::HELP, names.join(", "));
        return Ok(());
    };
    let mut table = match options.checked {
        true => Table::of_counts(),
        false => Table::default(),
    };
    let mut failed = Vec::new();
    for (name, bench) in BENCHES.iter().filter(|(name, _)| options.wants(name)) {
        eprintln!("bench {name} …");
        if let Err(why) = bench(&options, &mut table) {
            eprintln!("bench {name}: {}", chain(why.as_ref()));
            failed.push(*name);
        }
    }
    println!("{table}");
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")).into())
    }
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(cause) => format!("{error}: {}", chain(cause)),
    }
}
