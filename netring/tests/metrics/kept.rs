//! A recorder that stores the values.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

/// Kind, unit and description.
pub(crate) type Described = (&'static str, Option<Unit>, String);

/// Stores each metric.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) described: Mutex<BTreeMap<String, Described>>,
    /// Bits of each value by name and labels. Relaxed: one thread reads and writes.
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

impl Kept {
    fn describe(&self, kind: &'static str, name: KeyName, unit: Option<Unit>, text: SharedString) {
        let facts = (kind, unit, text.to_string());
        let mut described = self.described.lock().unwrap();
        let before = described.insert(name.as_str().to_owned(), facts.clone());
        assert!(before.is_none_or(|before| before == facts), "{facts:?}");
    }

    pub(crate) fn counters(&self) -> BTreeMap<String, u64> {
        let counters = self.counters.lock().unwrap();
        let values = counters.iter();
        values
            .map(|(name, value)| (name.clone(), value.load(Ordering::Relaxed)))
            .collect()
    }

    pub(crate) fn gauges(&self) -> BTreeMap<String, f64> {
        let gauges = self.gauges.lock().unwrap();
        let values = gauges.iter();
        values
            .map(|(name, value)| (name.clone(), f64::from_bits(value.load(Ordering::Relaxed))))
            .collect()
    }
}

/// `name{label=value,…}`.
fn printed(key: &Key) -> String {
    let labels = key.labels();
    let labels: Vec<_> = labels
        .map(|label| format!("{}={}", label.key(), label.value()))
        .collect();
    format!("{}{{{}}}", key.name(), labels.join(","))
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("counter", name, unit, text);
    }
    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("gauge", name, unit, text);
    }
    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("{name:?} is a histogram");
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.counters.lock().unwrap();
        Counter::from_arc(counters.entry(printed(key)).or_default().clone())
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut gauges = self.gauges.lock().unwrap();
        Gauge::from_arc(gauges.entry(printed(key)).or_default().clone())
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("{key:?} is a histogram");
    }
}
