//! The events of a capture as text, which the conditions of an `expect.tsv` test.

use std::fmt::Display;
use std::io::{BufWriter, Write, stdout};
use std::path::Path;

use netring::pcap::CaptureFile;
use netring_flow::extract::FiveTuple;
use netring_flow::{FlowEvent, FlowStats, FlowTracker, TrackerStats};
use netring_sys::{PacketSource, Timestamp};

use super::one;
use crate::Result;

/// The argument that selects this mode.
pub(super) const FLAG: &str = "--events";

/// Prints each event of a capture, within limits, and then the figures of the tracker and of the
/// file.
pub(super) fn run(seconds: &str, capture: &Path) -> Result<()> {
    one::bound(seconds)?;
    let mut out = BufWriter::new(stdout().lock());
    print(capture, &mut out)?;
    Ok(out.flush()?)
}

fn print(capture: &Path, out: &mut impl Write) -> Result<()> {
    let mut file = match CaptureFile::open(capture) {
        Ok(file) => file,
        Err(error) => return Ok(writeln!(out, "OPEN ERROR {error}")?),
    };
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
    let mut events = Vec::new();
    let mut in_flows = 0;
    loop {
        match file.next_batch() {
            Ok(Some(batch)) => tracker.track_batch(&batch, &mut events),
            Ok(None) => break,
            Err(error) => {
                writeln!(out, "FILE ERROR {error}")?;
                break;
            }
        }
        in_flows += print_events(&mut events, out)?;
    }
    while tracker.finish(&mut events) {}
    in_flows += print_events(&mut events, out)?;
    let (stats, active) = (tracker.stats(), tracker.active_flows());
    print_figures(&stats, active, out)?;
    let file = file.stats()?;
    writeln!(out, "FILE {file:?}")?;
    let untracked = stats.icmp_errors + stats.untracked.total();
    for (left, right) in [
        (file.delivered.exact(), stats.packets),
        (Some(stats.packets), stats.tracked + untracked),
        (Some(in_flows), stats.tracked),
        (
            Some(stats.flows_started),
            stats.ended.total() + active as u64,
        ),
    ] {
        if left != Some(right) {
            return Err(format!("totals do not add up: {left:?} and {right}: {stats:?}").into());
        }
    }
    Ok(())
}

fn print_figures(stats: &TrackerStats, active: usize, out: &mut impl Write) -> Result<()> {
    writeln!(
        out,
        "STATS packets={} tracked={} cut={} bytes={} icmp_errors={} untracked={} started={} established={} ended={} active={active} back={}",
        stats.packets,
        stats.tracked,
        stats.cut,
        stats.tracked_bytes,
        stats.icmp_errors,
        stats.untracked.total(),
        stats.flows_started,
        stats.flows_established,
        stats.ended.total(),
        stats.time_went_back,
    )?;
    if stats.untracked.total() > 0 {
        writeln!(out, "  {:?}", stats.untracked)?;
    }
    Ok(())
}

/// Prints the events, and returns the number of packets in flows that ended.
fn print_events<K: Display>(events: &mut Vec<FlowEvent<K>>, out: &mut impl Write) -> Result<u64> {
    let mut packets = 0;
    for event in events.drain(..) {
        match event {
            FlowEvent::Started {
                key,
                flow,
                time,
                initiator,
            } => writeln!(
                out,
                "#{flow} {} STARTED {key} init={initiator:?}",
                seconds(time)
            )?,
            FlowEvent::Established {
                flow,
                time,
                initiator,
                ..
            } => writeln!(
                out,
                "#{flow} {} ESTABLISHED init={initiator:?}",
                seconds(time)
            )?,
            FlowEvent::Tick { flow, time, .. } => writeln!(out, "#{flow} {} TICK", seconds(time))?,
            FlowEvent::IcmpError {
                flow, time, error, ..
            } => writeln!(out, "#{flow} {} ICMP {error:?}", seconds(time))?,
            FlowEvent::Anomaly {
                flow, time, kind, ..
            } => writeln!(out, "{flow:?} {} ANOMALY {kind:?}", seconds(time))?,
            FlowEvent::Ended {
                key,
                flow,
                time,
                reason,
                history,
                stats,
            } => {
                packets += stats.packets();
                write!(
                    out,
                    "#{flow} {} ENDED {key} {reason} [{history}] ",
                    seconds(time)
                )?;
                print_flow(&stats, out)?;
            }
            // The cases have one line for the end of a flow: that with its figures.
            FlowEvent::Closed { .. } => {}
            _ => writeln!(out, "OTHER")?,
        }
    }
    Ok(packets)
}

fn print_flow(stats: &FlowStats, out: &mut impl Write) -> Result<()> {
    writeln!(
        out,
        "est={} cut={} first={} dur={:?}",
        stats.established,
        stats.cut,
        seconds(stats.first()),
        stats.duration()
    )?;
    for (end, sent) in [
        ("init", stats.by_initiator()),
        ("resp", stats.by_responder()),
    ] {
        writeln!(
            out,
            "     {end}: pk={} by={} pay={} syn={} fin={} rst={} rtx={}",
            sent.packets,
            sent.bytes,
            sent.payload_bytes,
            sent.syn,
            sent.fin,
            sent.rst,
            sent.retransmitted
        )?;
    }
    Ok(())
}

/// Seconds since the epoch, with nine decimals.
fn seconds(time: Timestamp) -> String {
    const SECOND: u128 = 1_000_000_000;
    let nanos = time.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = i128::from(nanos).unsigned_abs();
    format!("{sign}{}.{:09}", nanos / SECOND, nanos % SECOND)
}
