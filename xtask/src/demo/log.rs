//! A subscriber that writes a line for each connection that closes and each flow that ends, in the
//! style of Zeek's conn.log.

use std::time::SystemTime;

use futures::StreamExt;
use jiff::Zoned;
use jiff::tz::TimeZone;
use netring::flow::extract::{FiveTupleKey, Orientation};
use netring::flow::{FlowEvent, FlowStats};
use netring::{BroadcastRecvError, FlowSubscriber, Timestamp};

use super::board::{Seen, Shared};

/// The columns of [`line()`].
pub(super) const COLUMNS: &str = "time          proto  from → to                                     seconds  packets → ←      bytes → ←          end           history";

pub(super) async fn read(
    mut events: FlowSubscriber<FiveTupleKey>,
    board: Shared,
    print: bool,
) -> Result<Seen, BroadcastRecvError> {
    if print {
        println!("{COLUMNS}");
    }
    while let Some(event) = events.next().await {
        let mut board = board.lock();
        match event {
            Ok(event) => {
                board.log.take(&event);
                if let Some(line) = line(&event) {
                    if print {
                        println!("{line}");
                    }
                    board.line(line);
                }
            }
            Err(BroadcastRecvError::Lagged(lost)) => board.log.lost += lost,
            Err(error) => return Err(error),
        }
    }
    Ok(board.lock().log)
}

/// A connection gets a line as soon as it closes; each flow gets one with its figures when it ends.
fn line(event: &FlowEvent<FiveTupleKey>) -> Option<String> {
    match event {
        FlowEvent::Closed {
            key, time, reason, ..
        } => Some(format!(
            "{}  {:<5}  {:<44}  closed: {reason}",
            local_time(*time),
            protocol(key.protocol()),
            format!("{} – {}", key.a(), key.b()),
        )),
        FlowEvent::Ended {
            key,
            reason,
            history,
            stats,
            ..
        } => {
            let (out, back) = (stats.by_initiator(), stats.by_responder());
            Some(format!(
                "{}  {:<5}  {:<44}  {:>8.3}  {:>7} {:<7}  {:>9} {:<9}  {:<12}  {history}",
                local_time(stats.first()),
                protocol(key.protocol()),
                ends(key, stats),
                stats.duration().as_secs_f64(),
                out.packets,
                back.packets,
                out.bytes,
                back.bytes,
                reason.as_str(),
            ))
        }
        _ => None,
    }
}

/// `10.0.0.1:40000 → 10.0.0.2:80`, from the initiator to the responder.
pub(super) fn ends(key: &FiveTupleKey, stats: &FlowStats) -> String {
    let (from, to) = match stats.initiator {
        Orientation::Forward => (key.a(), key.b()),
        Orientation::Reverse => (key.b(), key.a()),
    };
    format!("{from} → {to}")
}

/// The local time of day, to the millisecond.
fn local_time(time: Timestamp) -> String {
    match jiff::Timestamp::try_from(SystemTime::from(time)) {
        Ok(time) => Zoned::new(time, TimeZone::system())
            .strftime("%H:%M:%S%.3f")
            .to_string(),
        Err(_) => time.to_string(),
    }
}

pub(super) fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmp6".into(),
        132 => "sctp".into(),
        other => other.to_string(),
    }
}
