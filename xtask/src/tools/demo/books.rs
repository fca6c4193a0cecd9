//! The balance: what the interface counted against what was captured, flows that began against
//! flows that ended, and what was published against what each subscriber read and lost.

use std::time::{Duration, Instant};

use netring::{BroadcastStats, Count};

use super::log::Seen;
use super::{Broadcast, Result};

/// What everybody counted.
#[derive(Debug)]
pub(super) struct Books {
    /// What the interface counted both ways up to `before_end`, where nothing else than what was
    /// captured can be in it.
    pub(super) wire: Option<u64>,
    /// When the last packet was in, and flows were still open.
    pub(super) before_end: BroadcastStats,
    /// When the capture had ended.
    pub(super) end: BroadcastStats,
    pub(super) log: Seen,
    pub(super) slow: Seen,
}

/// Waits until no packet is on its way any more: none is in the ring, and none came for a while.
pub(super) async fn settle(broadcast: &Broadcast) -> Result<BroadcastStats> {
    // The wire of a machine may never be silent.
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

impl Books {
    /// Prints the books; an error where they do not balance.
    pub(super) fn close(&self) -> Result<()> {
        let Self {
            before_end,
            end,
            log,
            slow,
            ..
        } = self;
        let capture = &before_end.capture;
        let [offered, delivered, dropped, invalid] = [
            capture.offered,
            capture.delivered,
            capture.dropped,
            capture.invalid,
        ]
        .map(exact);
        let captured = delivered + dropped + invalid;
        let words = format!("{delivered} delivered + {dropped} dropped + {invalid} invalid");
        let mut off = Vec::new();
        let mut line = |what, left: String, this, right: String, that: u64| {
            let sign = if this == that { '=' } else { '≠' };
            println!("{what:<9} {left} {sign} {right}");
            if this != that {
                off.push(what);
            }
        };
        match self.wire {
            Some(wire) => line(
                "packets",
                format!("{wire} on the wire"),
                wire,
                words,
                captured,
            ),
            None => {
                let in_ring = capture.pending().unwrap_or(0);
                let words = format!("{words} + {in_ring} left in the ring");
                line(
                    "packets",
                    format!("{offered} offered"),
                    offered,
                    words,
                    captured + in_ring,
                );
            }
        }
        for (when, stats) in [("flows", before_end), ("", end)] {
            let (started, ended) = (stats.tracker.flows_started, stats.tracker.ended.total());
            let active = stats.active_flows as u64;
            let words = format!("{ended} ended + {active} active");
            line(
                when,
                format!("{started} started"),
                started,
                words,
                ended + active,
            );
        }
        let tracked = end.tracker;
        line(
            "log",
            format!(
                "{} flows started, {} ended",
                tracked.flows_started,
                tracked.ended.total()
            ),
            tracked.flows_started + tracked.ended.total(),
            format!("{} begins and {} ends in the log", log.started, log.ended),
            log.started + log.ended,
        );
        for (who, seen) in [("events", log), ("", slow)] {
            let name = if who.is_empty() {
                "slow subscriber"
            } else {
                "log"
            };
            let words = format!("{} read + {} lost by the {name}", seen.read, seen.lost);
            line(
                who,
                format!("{} published", end.events),
                end.events,
                words,
                seen.read + seen.lost,
            );
        }
        if off.is_empty() {
            println!("the books balance");
            return Ok(());
        }
        Err(format!("the books do not balance: {}", off.join(", ")).into())
    }
}

/// A figure that this backend always has.
fn exact(count: Count) -> u64 {
    count.exact().unwrap_or_default()
}
