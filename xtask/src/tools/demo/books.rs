//! The balance: what the interface counted against what was captured, and flows that began against flows that ended.

use std::time::{Duration, Instant};

use netring::Stats;
use netring::flow::TrackerStats;

use super::log::Seen;
use super::{Broadcast, Result};

/// What everybody counted.
#[derive(Debug)]
pub(super) struct Books {
    /// What the interface counted both ways, where nothing else than the capture's time is in it.
    pub(super) wire: Option<u64>,
    stats: Stats,
    tracker: TrackerStats,
    log: Seen,
    slow: Seen,
}

/// Waits until no packet is on its way any more: nothing is in the ring, and nothing came for a while.
pub(super) async fn settle(broadcast: &Broadcast) -> Result<Books> {
    let give_up = Instant::now() + Duration::from_secs(3);
    let mut stats = broadcast.stats()?;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = broadcast.stats()?;
        // On a machine's own interface it may never be silent.
        if (now == stats && now.pending() == Some(0)) || Instant::now() > give_up {
            let tracker = broadcast.tracker_stats();
            let (log, slow) = (Seen::default(), Seen::default());
            let wire = None;
            return Ok(Books { wire, stats: now, tracker, log, slow });
        }
        stats = now;
    }
}

impl Books {
    /// Takes what the subscribers said, once the capture has ended.
    pub(super) fn with_subscribers(
        mut self,
        broadcast: &Broadcast,
        log: Seen,
        slow: Seen,
    ) -> Result<Self> {
        (self.stats, self.tracker) = (broadcast.stats()?, broadcast.tracker_stats());
        (self.log, self.slow) = (log, slow);
        Ok(self)
    }

    /// Prints the books; an error where they do not balance.
    pub(super) fn close(&self) -> Result<()> {
        let Self { stats, tracker, log, slow, .. } = self;
        let mut balance = Balance::default();
        let figure = |count: netring::Count| count.exact().unwrap_or(u64::MAX);
        let gone = [stats.delivered, stats.dropped, stats.invalid].map(figure);
        let captured: u64 = gone.iter().fold(0, |sum, n| sum.saturating_add(*n));
        let told = format!("{} delivered + {} dropped + {} invalid", gone[0], gone[1], gone[2]);
        match self.wire {
            Some(wire) => balance.line("packets", "on the wire", wire, &told, captured),
            None => {
                let rest = stats.pending().unwrap_or(0);
                let told = format!("{told} + {rest} in the ring");
                balance.line("packets", "offered", figure(stats.offered), &told, captured + rest);
            }
        }
        let (ended, active) = (tracker.ended.total(), log.started.saturating_sub(log.ended));
        balance.line(
            "flows",
            "started",
            tracker.flows_started,
            &format!("{ended} ended + {active} active"),
            ended + active,
        );
        let events = log.read + log.lost;
        balance.line(
            "events",
            "of the log",
            events,
            &format!("{} read + {} lost by the slow one", slow.read, slow.lost),
            slow.read + slow.lost,
        );
        if balance.off.is_empty() {
            println!("the books balance");
            return Ok(());
        }
        Err(format!("the books do not balance: {}", balance.off.join(", ")).into())
    }
}

#[derive(Debug, Default)]
struct Balance {
    off: Vec<&'static str>,
}

impl Balance {
    fn line(&mut self, what: &'static str, left: &str, this: u64, right: &str, that: u64) {
        let sign = if this == that { '=' } else { '≠' };
        println!("{what:<9} {this} {left} {sign} {right}");
        if this != that {
            self.off.push(what);
        }
    }
}
