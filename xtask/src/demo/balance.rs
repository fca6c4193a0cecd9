//! The balance: packets counted by the interface against packets captured, flows started against
//! flows ended, and events published against events read and lost by each subscriber.

use std::time::{Duration, Instant};

use netring::{BroadcastStats, Count};

use super::board::Seen;
use super::{Broadcast, Result};

/// The figures of every participant.
#[derive(Debug)]
pub(super) struct Balance {
    /// Packets that the interface counted in both directions up to `before_end`, while the capture
    /// saw all of them.
    pub(super) wire: Option<u64>,
    /// When the last packet had been captured, and flows were still open.
    pub(super) before_end: BroadcastStats,
    /// When the capture had ended.
    pub(super) end: BroadcastStats,
    pub(super) log: Seen,
    pub(super) slow: Seen,
}

/// Waits until no packet is in flight: none is in the ring, and none has arrived for a while.
pub(super) async fn settle(broadcast: &Broadcast) -> Result<BroadcastStats> {
    // A wire with other traffic may never be silent.
    let give_up = Instant::now() + Duration::from_secs(2);
    let mut last = broadcast.stats().await?;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = broadcast.stats().await?;
        let silent = now.capture == last.capture && now.capture.pending() == Some(0);
        if silent || Instant::now() > give_up {
            return Ok(now);
        }
        last = now;
    }
}

impl Balance {
    /// Prints the balance; an error if two sides differ.
    pub(super) fn close(&self) -> Result<()> {
        let mut sheet = Sheet::default();
        self.packets(&mut sheet);
        for (when, stats) in [("flows", &self.before_end), ("", &self.end)] {
            let (started, ended) = (stats.tracker.flows_started, stats.tracker.ended.total());
            let active = stats.active_flows as u64;
            sheet.line(
                when,
                (format!("{started} started"), started),
                (format!("{ended} ended + {active} active"), ended + active),
            );
        }
        let log = self.log;
        // A log that lost events cannot have every flow.
        if log.lost == 0 {
            let (started, ended) = (
                self.end.tracker.flows_started,
                self.end.tracker.ended.total(),
            );
            sheet.line(
                "flow log",
                (
                    format!("{started} flows started, {ended} ended"),
                    started + ended,
                ),
                (
                    format!("{} starts, {} ends in the log", log.started, log.ended),
                    log.started + log.ended,
                ),
            );
        }
        let events = self.end.events;
        for (what, name, seen) in [
            ("events", "flow log", log),
            ("", "slow subscriber", self.slow),
        ] {
            sheet.line(
                what,
                (format!("{events} published"), events),
                (
                    format!("{} read + {} lost by the {name}", seen.read, seen.lost),
                    seen.read + seen.lost,
                ),
            );
        }
        sheet.close()
    }

    fn packets(&self, sheet: &mut Sheet) {
        let capture = &self.before_end.capture;
        let [offered, delivered, dropped, invalid] = [
            capture.offered,
            capture.delivered,
            capture.dropped,
            capture.invalid,
        ]
        .map(exact);
        let captured = delivered + dropped + invalid;
        let words = format!("{delivered} delivered + {dropped} dropped + {invalid} invalid");
        let in_ring = capture.pending().unwrap_or(0);
        let (left, right) = match self.wire {
            Some(wire) => ((format!("{wire} on the wire"), wire), (words, captured)),
            None => (
                (format!("{offered} offered"), offered),
                (
                    format!("{words} + {in_ring} left in the ring"),
                    captured + in_ring,
                ),
            ),
        };
        sheet.line("packets", left, right);
    }
}

/// Lines with two sides that must be equal.
#[derive(Default)]
struct Sheet {
    off: Vec<String>,
}

impl Sheet {
    fn line(&mut self, what: &str, (left, this): (String, u64), (right, that): (String, u64)) {
        let sign = if this == that { '=' } else { '≠' };
        println!("{what:<12} {left} {sign} {right}");
        if this != that {
            self.off.push(left);
        }
    }

    fn close(self) -> Result<()> {
        if self.off.is_empty() {
            println!("everything is accounted for");
            return Ok(());
        }
        Err(format!("the counters do not add up: {}", self.off.join(", ")).into())
    }
}

/// A figure that this backend always has.
fn exact(count: Count) -> u64 {
    count.exact().unwrap_or_default()
}
