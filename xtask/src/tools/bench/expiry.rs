//! How long the start, expiry and end of many flows block the loop: the longest single call, next
//! to flowscope's sweep.
//!
//! The figures are CPU time of the thread, page faults and the allocator's work included.

mod load;

use flowscope::PacketView;
use flowscope::extract::FiveTuple as TheirTuple;
use xtask::wire;

use self::load::{Alone, Load, Longest, Sessions, Streams};
use super::{Options, Row, Table, Target, measure};
use crate::Result;

/// Flows of the tracker alone.
const FLOWS: u32 = 1_000_000;
/// Flows that are reassembled, each with bytes behind a hole.
const HELD: u32 = 100_000;
/// Bytes of a segment: few, because glibc keeps small free blocks apart and merges all of them at
/// once now and then.
const LEN: usize = 100;
/// The longest that a call may take, in microseconds.
const LONGEST: f64 = 1000.0;
/// Rounds, each of which starts the flows three times.
const ROUNDS: usize = 3;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let template = wire::tcp4(4000, 443, 1, 16, &[7; LEN]);
    let load = |flows, held| Load {
        template: &template,
        flows,
        held,
        clock: measure::cpu_time,
    };
    let rounds = if options.quick { 1 } else { ROUNDS };
    let peer = median(rounds, || Ok([sweep(&template)]))?[0];
    let name = "pause, 1,000,000 flows";
    let alone = longest(rounds, || load(FLOWS, false).run(|| Alone::new(FLOWS)))?;
    rows(table, name, alone, Some(peer));
    let name = "pause, 100,000 reassembled flows with held bytes";
    let streams = longest(rounds, || load(HELD, true).run(|| Streams::new(HELD)))?;
    rows(table, name, streams, None);
    let name = "pause, 100,000 sessions with held bytes";
    let sessions = longest(rounds, || load(HELD, true).run(|| Sessions::new(HELD)))?;
    rows(table, name, sessions, None);
    Ok(())
}

fn rows(table: &mut Table, name: &str, [start, busy, silent, finish]: [f64; 4], peer: Option<f64>) {
    for (call, figure, has_peer) in [
        ("track_batch of 256 as they start", start, false),
        ("track_batch of 256 as they idle out", busy, true),
        ("expire as they idle out", silent, true),
        ("finish", finish, false),
    ] {
        let row = Row::new(format!("{name}: {call}"), "µs", figure);
        let row = row.target(Target::AtMost(LONGEST));
        table.add(match peer {
            Some(peer) if has_peer => row.peer("flowscope's sweep", peer),
            _ => row,
        });
    }
}

fn longest(
    rounds: usize,
    mut round: impl FnMut() -> std::result::Result<Longest, String>,
) -> Result<[f64; 4]> {
    median(rounds, || Ok(round()?.figures()))
}

/// The median of each figure over the rounds.
fn median<const N: usize>(
    rounds: usize,
    mut round: impl FnMut() -> Result<[f64; N]>,
) -> Result<[f64; N]> {
    let figures = (0..rounds).map(|_| round()).collect::<Result<Vec<_>>>()?;
    Ok(std::array::from_fn(|n| {
        measure::median(figures.iter().map(|round| round[n]).collect())
    }))
}

/// The time of a sweep that ends all flows, in microseconds.
fn sweep(template: &[u8]) -> f64 {
    let mut config = flowscope::FlowTrackerConfig::default();
    config.max_flows = 2 * FLOWS as usize;
    let mut theirs =
        flowscope::FlowTracker::<TheirTuple>::with_config(TheirTuple::bidirectional(), config);
    let mut frame = template.to_vec();
    for flow in 0..FLOWS {
        frame[26..30].copy_from_slice(&(0x0b00_0000 + flow).to_be_bytes());
        let view = PacketView::new(&frame, flowscope::Timestamp::new(1, 0));
        std::hint::black_box(theirs.track(view));
    }
    let start = measure::cpu_time();
    std::hint::black_box(theirs.sweep(flowscope::Timestamp::new(10_000, 0)));
    (measure::cpu_time() - start).as_secs_f64() * 1e6
}
