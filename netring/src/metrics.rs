//! Statistics as counters and gauges of the crate [`metrics`], for any recorder that a program
//! installs: Prometheus, StatsD, or a custom one.
//!
//! The library itself counts in 64 bits. A [`Publisher`] passes those figures on when you call it,
//! once a second for example, so a packet costs nothing more.
//!
//! ```no_run
//! # #[cfg(feature = "afpacket")]
//! # fn main() -> Result<(), netring::Error> {
//! use netring::metrics::Publisher;
//! use netring::{Capture, PacketSource};
//! use std::time::{Duration, Instant};
//!
//! let mut capture = Capture::open("eth0")?;
//! let mut publisher = Publisher::new([("interface", "eth0")]);
//! let mut published = Instant::now();
//! loop {
//!     capture.next_batch_timeout(Duration::from_secs(1))?;
//!     if published.elapsed() >= Duration::from_secs(1) {
//!         publisher.publish(&capture.stats()?);
//!         published = Instant::now();
//!     }
//! }
//! # }
//! # #[cfg(not(feature = "afpacket"))]
//! # fn main() {}
//! ```
//!
//! # Names
//!
//! All metrics have the labels of their [`Publisher`], and those in this table. A counter only
//! grows.
//!
//! | metric | kind | unit | labels | from |
//! |---|---|---|---|---|
//! | `netring_capture_offered_packets_total` | counter | count | | [`Stats`](crate::Stats) |
//! | `netring_capture_delivered_packets_total` | counter | count | | [`Stats`](crate::Stats) |
//! | `netring_capture_left_out_packets_total` | counter | count | | [`Stats`](crate::Stats) |
//! | `netring_capture_dropped_packets_total` | counter | count | | [`Stats`](crate::Stats) |
//! | `netring_capture_invalid_packets_total` | counter | count | | [`Stats`](crate::Stats) |
//! | `netring_capture_freezes_total` | counter | count | | [`Stats`](crate::Stats) |
//! | `netring_capture_link_downs_total` | counter | count | | [`Stats`](crate::Stats) |
//! | `netring_capture_pending_packets` | gauge | count | | [`Stats`](crate::Stats) |
//! | `netring_injector_committed_frames_total` | counter | count | | [`SinkStats`](crate::SinkStats) |
//! | `netring_injector_sent_frames_total` | counter | count | | [`SinkStats`](crate::SinkStats) |
//! | `netring_injector_dropped_frames_total` | counter | count | | [`SinkStats`](crate::SinkStats) |
//! | `netring_injector_rejected_frames_total` | counter | count | | [`SinkStats`](crate::SinkStats) |
//! | `netring_injector_refused_frames_total` | counter | count | | [`SinkStats`](crate::SinkStats) |
//! | `netring_injector_pending_frames` | gauge | count | | [`SinkStats`](crate::SinkStats) |
//! | `netring_replay_read_packets_total` | counter | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_committed_packets_total` | counter | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_refused_packets_total` | counter | count | `reason` | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_unsent_packets_total` | counter | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_segmented_packets_total` | counter | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_frames_total` | counter | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_bytes_total` | counter | bytes | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_backwards_packets_total` | counter | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_link_downs_total` | counter | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_in_flight_frames` | gauge | count | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_duration_seconds` | gauge | seconds | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_latest_seconds` | gauge | seconds | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_replay_lost_seconds` | gauge | seconds | | [`ReplayStats`](crate::replay::ReplayStats) |
//! | `netring_bridge_received_frames_total` | counter | count | `direction` | [`BridgeStats`](crate::bridge::BridgeStats), with [`Stats`](crate::Stats) of the source of each direction |
//! | `netring_bridge_split_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_forwarded_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_bytes_total` | counter | bytes | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_dropped_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_undecided_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_outgoing_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_refused_frames_total` | counter | count | `direction`, `reason` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_link_down_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_rejected_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_queue_dropped_frames_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_link_downs_total` | counter | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_waiting_frames` | gauge | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_bridge_in_flight_frames` | gauge | count | `direction` | [`BridgeDirectionStats`](crate::bridge::BridgeDirectionStats) |
//! | `netring_lower_bound` | gauge | | `metric` | each figure that may be inexact |
#![cfg_attr(
    feature = "flow",
    doc = include_str!("metrics/flow.md")
)]
#![cfg_attr(
    all(feature = "flow", feature = "async"),
    doc = include_str!("metrics/broadcast.md")
)]
#![cfg_attr(
    feature = "pcap",
    doc = include_str!("metrics/pcap.md")
)]
#![cfg_attr(
    feature = "rotation",
    doc = include_str!("metrics/rotation.md")
)]
//!
//! # Figures that are not exact
//!
//! A figure that a backend cannot know ([`Count::Unavailable`]) has no series at all, rather than a
//! series of 0. For each other figure that may be inexact, `netring_lower_bound` with the label
//! `metric` is 0 while it is exact, and 1 once it is a lower bound ([`Count::AtLeast`]), as link
//! downs are after the kernel lost notifications. A gauge that is no longer known is NaN.
//!
//! # Restarts
//!
//! A counter is set to the figure of the library, and never goes back. If a capture is closed and
//! another one publishes with the same labels, its counters stay constant until they pass the old
//! figures. Add up the statistics of both (`closed += capture.stats()?`), or give each its own
//! label. The same applies to two sources at once: publish their sum, as [`Stats`](crate::Stats)
//! add up.
//!
//! # Types of your own
//!
//! [`Publish`] for a type of yours publishes its figures in the same way.

mod bridge;
#[cfg(all(feature = "async", feature = "flow"))]
mod broadcast;
mod capture;
#[cfg(feature = "pcap")]
mod files;
#[cfg(feature = "flow")]
mod flow;
mod injector;
#[cfg(feature = "flow")]
mod reassembly;
mod replay;
#[cfg(feature = "flow")]
mod sessions;

use std::fmt;

use ::metrics::{Counter, Gauge, Key, KeyName, Label, Level, Metadata, with_recorder};

pub use ::metrics::Unit;

use crate::Count;
use crate::replay::Refused;

/// Reports whether another metric is a lower bound.
const LOWER_BOUND: Metric = Metric {
    name: "netring_lower_bound",
    unit: None,
    description: "1 if the metric is at least this, 0 if it is exact",
};

/// A metric: its name, unit and description.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    name: &'static str,
    unit: Option<Unit>,
    description: &'static str,
}

impl Metric {
    /// Describes a metric. By convention the name of a counter ends in `_total`, and that of a
    /// metric with a unit of measure in its unit: `_bytes_total`.
    pub const fn new(name: &'static str, unit: Unit, description: &'static str) -> Self {
        Self {
            name,
            unit: Some(unit),
            description,
        }
    }

    /// A number of things.
    const fn count(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Unit::Count, description)
    }
}

/// Figures that a [`Publisher`] passes to the recorder.
///
/// ```
/// use netring::metrics::{Metric, Publish, Publisher, Unit};
///
/// /// What a proxy did.
/// struct Proxied {
///     bytes: u64,
///     open: u32,
/// }
///
/// impl Publish for Proxied {
///     fn publish(&self, to: &mut Publisher) {
///         const BYTES: Metric = Metric::new("proxy_bytes_total", Unit::Bytes, "Bytes passed on");
///         const OPEN: Metric = Metric::new("proxy_open", Unit::Count, "Open connections");
///         to.counter(&BYTES, self.bytes);
///         to.gauge(&OPEN, self.open.into());
///     }
/// }
///
/// Publisher::new([("port", "443")]).publish(&Proxied { bytes: 7, open: 1 });
/// ```
pub trait Publish {
    /// Publishes each figure.
    fn publish(&self, to: &mut Publisher);
}

/// Passes figures on to the recorder of the program, all with the same labels.
///
/// It finds the series of each metric once, when it is first published, and then only stores
/// figures: after the first time nothing is allocated. So install the recorder first; otherwise
/// figures are discarded, even later.
///
/// Types that can be published implement [`Publish`]; one publisher can serve several types.
///
/// ```no_run
/// # #[cfg(all(feature = "afpacket", feature = "async", feature = "flow"))]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use netring::AsyncCapture;
/// use netring::flow::extract::FiveTuple;
/// use netring::metrics::Publisher;
///
/// let capture = AsyncCapture::open("eth0")?;
/// let broadcast = capture.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
/// let mut publisher = Publisher::new([("interface", "eth0")]);
/// loop {
///     tokio::time::sleep(std::time::Duration::from_secs(1)).await;
///     publisher.publish(&broadcast);
///     publisher.publish(&broadcast.stats().await?);
/// }
/// # }
/// ```
pub struct Publisher {
    labels: Vec<Label>,
    /// In the order in which they were first published.
    series: Vec<Series>,
    /// Labels besides those, for now.
    scope: Vec<(&'static str, &'static str)>,
    /// Where the next one probably is: the same figures come in the same order.
    next: usize,
}

/// The handle of a metric with its labels.
struct Series {
    name: &'static str,
    scope: Vec<(&'static str, &'static str)>,
    value: &'static str,
    handle: Handle,
}

enum Handle {
    Counter(Counter),
    Gauge(Gauge),
}

impl Publisher {
    /// A publisher whose metrics all have these labels: pairs of a name and a value.
    pub fn new<N: Into<String>, V: Into<String>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        let labels = labels.into_iter();
        let labels = labels.map(|(name, value)| Label::new(name.into(), value.into()));
        Self {
            labels: labels.collect(),
            series: Vec::new(),
            scope: Vec::new(),
            next: 0,
        }
    }

    /// Publishes figures as they are now.
    pub fn publish<T: Publish + ?Sized>(&mut self, figures: &T) {
        figures.publish(self);
    }

    /// Publishes in `publish` with one more label, which distinguishes figures of the same kind.
    ///
    /// ```
    /// use netring::Stats;
    /// use netring::metrics::{Publish, Publisher};
    ///
    /// /// Two captures.
    /// struct Both(Stats, Stats);
    ///
    /// impl Publish for Both {
    ///     fn publish(&self, to: &mut Publisher) {
    ///         to.with_label(("side", "a"), |to| to.publish(&self.0));
    ///         to.with_label(("side", "b"), |to| to.publish(&self.1));
    ///     }
    /// }
    /// ```
    pub fn with_label(
        &mut self,
        label: (&'static str, &'static str),
        publish: impl FnOnce(&mut Self),
    ) {
        self.scope.push(label);
        publish(self);
        self.scope.pop();
    }

    /// Sets a counter, which only grows.
    pub fn counter(&mut self, metric: &'static Metric, value: u64) {
        self.set_counter(metric, ("", ""), value);
    }

    /// Sets a counter that has a label of its own besides those of the publisher.
    pub fn counter_by(
        &mut self,
        metric: &'static Metric,
        label: (&'static str, &'static str),
        value: u64,
    ) {
        self.set_counter(metric, label, value);
    }

    /// Sets a counter to a figure that may be inexact or unavailable; see
    /// [the module](self#figures-that-are-not-exact).
    pub fn count(&mut self, metric: &'static Metric, value: Count) {
        let known = match value {
            Count::Exact(n) | Count::AtLeast(n) => Some(n),
            Count::Unavailable => None,
        };
        if let Some(n) = known {
            self.set_counter(metric, ("", ""), n);
        } else if self.position(metric.name, "").is_none() {
            return;
        }
        // A figure that was available is at least its last value.
        let is_bound = value.exact().is_none();
        let label = ("metric", metric.name);
        self.set_gauge(&LOWER_BOUND, label, f64::from(u8::from(is_bound)));
    }

    /// Sets a gauge.
    pub fn gauge(&mut self, metric: &'static Metric, value: f64) {
        self.set_gauge(metric, ("", ""), value);
    }

    /// Sets a gauge to a figure that may be unknown; NaN if it was known before.
    pub fn gauge_if_known(&mut self, metric: &'static Metric, value: Option<f64>) {
        match value {
            Some(value) => self.gauge(metric, value),
            None if self.position(metric.name, "").is_none() => {}
            None => self.gauge(metric, f64::NAN),
        }
    }

    fn set_counter(
        &mut self,
        metric: &'static Metric,
        label: (&'static str, &'static str),
        n: u64,
    ) {
        if let Handle::Counter(counter) = self.series(metric, label, register_counter) {
            counter.absolute(n);
        }
    }

    fn set_gauge(&mut self, metric: &'static Metric, label: (&'static str, &'static str), n: f64) {
        if let Handle::Gauge(gauge) = self.series(metric, label, register_gauge) {
            gauge.set(n);
        }
    }

    /// The series of a metric, which is registered the first time.
    fn series(
        &mut self,
        metric: &'static Metric,
        (label, value): (&'static str, &'static str),
        register: fn(&Metric, &Key) -> Handle,
    ) -> &Handle {
        let index = self.position(metric.name, value).unwrap_or_else(|| {
            let mut labels = self.labels.clone();
            let scope = self.scope.iter();
            labels.extend(scope.map(|(name, value)| Label::from_static_parts(name, value)));
            if !label.is_empty() {
                labels.push(Label::from_static_parts(label, value));
            }
            let handle = register(metric, &Key::from_parts(metric.name, labels));
            self.series.push(Series {
                name: metric.name,
                scope: self.scope.clone(),
                value,
                handle,
            });
            self.series.len() - 1
        });
        self.next = index + 1;
        &self.series[index].handle
    }

    fn position(&self, name: &str, value: &str) -> Option<usize> {
        let is_it = |series: &Series| {
            series.name == name && series.value == value && series.scope == self.scope
        };
        if self.series.get(self.next).is_some_and(is_it) {
            return Some(self.next);
        }
        self.series.iter().position(is_it)
    }
}

/// Frames or packets that were not sent, by reason.
fn refused(to: &mut Publisher, metric: &'static Metric, refused: &Refused) {
    for (reason, count) in [
        ("cut", refused.cut),
        ("link_type", refused.link_type),
        ("too_long", refused.too_long),
        ("unsegmentable", refused.unsegmentable),
        ("checksum", refused.checksum),
        ("too_short", refused.too_short),
    ] {
        to.counter_by(metric, ("reason", reason), count);
    }
}

fn register_counter(metric: &Metric, key: &Key) -> Handle {
    with_recorder(|recorder| {
        let name = KeyName::from(metric.name);
        recorder.describe_counter(name, metric.unit, metric.description.into());
        Handle::Counter(recorder.register_counter(key, &METADATA))
    })
}

fn register_gauge(metric: &Metric, key: &Key) -> Handle {
    with_recorder(|recorder| {
        let name = KeyName::from(metric.name);
        recorder.describe_gauge(name, metric.unit, metric.description.into());
        Handle::Gauge(recorder.register_gauge(key, &METADATA))
    })
}

static METADATA: Metadata<'static> = Metadata::new("netring", Level::INFO, Some("netring"));

/// Its labels; the figures are the recorder's.
impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}
