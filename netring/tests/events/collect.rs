//! A subscriber that records events.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default, set_global_default};
use tracing::{Event, Metadata, Subscriber};

/// An event as it was emitted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emitted {
    pub(crate) target: String,
    pub(crate) level: String,
    pub(crate) message: String,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

/// The events of the threads for which it was installed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collected(Arc<Mutex<Vec<Emitted>>>);

impl Collected {
    /// Collects the events of this thread until the guard is dropped.
    pub(crate) fn here() -> (Self, DefaultGuard) {
        let collected = Self::default();
        let guard = collected.on_this_thread();
        (collected, guard)
    }

    /// Collects the events of this thread too.
    pub(crate) fn on_this_thread(&self) -> DefaultGuard {
        // A callsite that another thread reaches for the first time while this subscriber is
        // installed can stay disabled, unless the process has a subscriber that wants it.
        static PROCESS: Once = Once::new();
        PROCESS.call_once(|| set_global_default(Collector(None)).unwrap());
        set_default(Collector(Some(self.clone())))
    }

    /// The events since the last call.
    pub(crate) fn take(&self) -> Vec<Emitted> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// `LEVEL target: message` of the events since the last call.
    pub(crate) fn lines(&self) -> Vec<String> {
        let events = self.take();
        events.iter().map(Emitted::line).collect()
    }
}

impl Emitted {
    pub(crate) fn line(&self) -> String {
        format!("{} {}: {}", self.level, self.target, self.message)
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        &self.fields[name]
    }
}

/// `None` discards the events.
struct Collector(Option<Collected>);

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("netring")
    }
    fn event(&self, event: &Event<'_>) {
        let Some(collected) = &self.0 else {
            return;
        };
        let mut emitted = Emitted {
            target: event.metadata().target().to_owned(),
            level: event.metadata().level().to_string(),
            ..Emitted::default()
        };
        event.record(&mut emitted);
        collected.0.lock().unwrap().push(emitted);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for Emitted {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => drop(self.fields.insert(name, text)),
        }
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}
