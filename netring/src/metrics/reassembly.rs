//! The figures of a reassembler.

use super::{Metric, Publish, Publisher, Unit};
use crate::flow::reassembly::ReassemblyStats;

const SUBSCRIBED: Metric = Metric::count(
    "netring_reassembly_flows_total",
    "Flows that were subscribed to",
);
const RECEIVED: Metric = bytes(
    "netring_reassembly_received_bytes_total",
    "Bytes of TCP payload that arrived",
);
const DELIVERED: Metric = bytes(
    "netring_reassembly_delivered_bytes_total",
    "Bytes that were delivered",
);
const DUPLICATE: Metric = bytes(
    "netring_reassembly_duplicate_bytes_total",
    "Bytes that came before",
);
const DISCARDED: Metric = bytes(
    "netring_reassembly_discarded_bytes_total",
    "Bytes that were neither delivered nor duplicates, by the cause",
);
const GAPS: Metric = Metric::count("netring_reassembly_gaps_total", "Gaps that were reported");
const MISSING: Metric = bytes(
    "netring_reassembly_missing_bytes_total",
    "Bytes that were missing in gaps",
);
const FORCED_GAPS: Metric = Metric::count(
    "netring_reassembly_forced_gaps_total",
    "Gaps that were declared early to stay within a bound",
);
const INCONSISTENCIES: Metric = Metric::count(
    "netring_reassembly_inconsistencies_total",
    "Reports of two different contents for the same range",
);
const GIVEN_UP: Metric = Metric::count(
    "netring_reassembly_given_up_flows_total",
    "Flows that were given up to stay within a bound",
);
const UNREADABLE: Metric = Metric::count(
    "netring_reassembly_unreadable_segments_total",
    "TCP segments without a readable header",
);
const HELD: Metric = bytes(
    "netring_reassembly_held_bytes",
    "Bytes that are held because others before them are missing",
);
const MEMORY: Metric = bytes("netring_reassembly_memory_bytes", "Memory for held bytes");
const MEMORY_PEAK: Metric = bytes(
    "netring_reassembly_memory_peak_bytes",
    "The most memory for held bytes so far",
);

const fn bytes(name: &'static str, description: &'static str) -> Metric {
    Metric::new(name, Unit::Bytes, description)
}

impl Publish for ReassemblyStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&SUBSCRIBED, self.subscribed);
        to.counter(&RECEIVED, self.received);
        to.counter(&DELIVERED, self.delivered);
        to.counter(&DUPLICATE, self.duplicate);
        for (cause, bytes) in [
            ("reset", self.discarded.reset),
            ("out_of_window", self.discarded.out_of_window),
            ("after_end", self.discarded.after_end),
            ("other_syn", self.discarded.other_syn),
            ("forged", self.discarded.forged),
            ("urgent", self.discarded.urgent),
            ("given_up", self.discarded.given_up),
            ("unwanted", self.discarded.unwanted),
        ] {
            to.counter_by(&DISCARDED, ("cause", cause), bytes);
        }
        to.counter(&GAPS, self.gaps);
        to.counter(&MISSING, self.missing);
        to.counter(&FORCED_GAPS, self.forced_gaps);
        to.counter(&INCONSISTENCIES, self.inconsistencies);
        to.counter(&GIVEN_UP, self.given_up);
        to.counter(&UNREADABLE, self.unreadable);
        to.gauge(&HELD, self.held as f64);
        to.gauge(&MEMORY, self.memory as f64);
        to.gauge(&MEMORY_PEAK, self.memory_peak as f64);
    }
}
