//! Flows out of any packet source; no kernel, no runtime.
#![deny(unsafe_code)]

pub mod extract;

mod config;
mod engine;
mod event;
mod flow_stats;
mod hash;
mod history;
mod parse;
mod prefetch;
mod table;
mod tcp;
mod tracker;
mod tracker_stats;
mod wheel;

pub use config::{Timeouts, TrackerConfig};
pub use event::{Anomaly, EndReason, FlowEvent, FlowId};
pub use flow_stats::{DirectionStats, FlowStats};
pub use history::History;
pub use tracker::FlowTracker;
pub use tracker_stats::{EndedStats, TrackerStats, UntrackedStats};
