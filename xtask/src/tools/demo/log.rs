//! A subscriber that writes a line for each flow that ended, in the manner of Zeek's conn.log.

use futures::StreamExt;
use netring::flow::extract::{FiveTupleKey, Orientation};
use netring::flow::{EndReason, FlowEvent, FlowStats, History};
use netring::{BroadcastRecvError, FlowSubscriber, Timestamp};

/// What a subscriber got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Events it read.
    pub(super) read: u64,
    /// Events it was told that it lost.
    pub(super) lost: u64,
    /// Of those it read, flows that began.
    pub(super) started: u64,
    /// Of those it read, flows that ended.
    pub(super) ended: u64,
}

impl Seen {
    pub(super) fn take<K>(&mut self, event: &FlowEvent<K>) {
        self.read += 1;
        match event {
            FlowEvent::Started { .. } => self.started += 1,
            FlowEvent::Ended { .. } => self.ended += 1,
            _ => {}
        }
    }
}

pub(super) async fn write(
    mut events: FlowSubscriber<FiveTupleKey>,
) -> Result<Seen, BroadcastRecvError> {
    let mut seen = Seen::default();
    println!(
        "time                 proto  from → to                              seconds  packets → ←    bytes → ←        end           history"
    );
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                seen.take(&event);
                if let FlowEvent::Ended {
                    key,
                    reason,
                    history,
                    stats,
                    ..
                } = &*event
                {
                    println!("{}", line(key, *reason, *history, stats));
                }
            }
            Err(BroadcastRecvError::Lagged(n)) => seen.lost += n,
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}

fn line(key: &FiveTupleKey, reason: EndReason, history: History, stats: &FlowStats) -> String {
    let (from, to) = match stats.initiator {
        Orientation::Forward => (key.a(), key.b()),
        Orientation::Reverse => (key.b(), key.a()),
    };
    let (out, back) = (stats.by_initiator(), stats.by_responder());
    let first: Timestamp = stats.first();
    format!(
        "{first} {:<6} {:<42} {:>7.3}  {:>5} {:<5}  {:>9} {:<9}  {:<12}  {history}",
        protocol(key.protocol()),
        format!("{from} → {to}"),
        stats.duration().as_secs_f64(),
        out.packets,
        back.packets,
        out.bytes,
        back.bytes,
        reason.as_str(),
    )
}

fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmp6".into(),
        132 => "sctp".into(),
        other => other.to_string(),
    }
}
