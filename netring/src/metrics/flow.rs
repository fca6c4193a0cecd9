//! The figures of a flow tracker.

use super::{Metric, Publish, Publisher, Unit};
use crate::flow::{DefragmentStats, TrackerStats};

const PACKETS: Metric = Metric::count("netring_flow_packets_total", "Packets given to the tracker");
const TRACKED: Metric = Metric::count(
    "netring_flow_tracked_packets_total",
    "Packets that count in a flow",
);
const CUT: Metric = Metric::count(
    "netring_flow_cut_packets_total",
    "Tracked packets that a snap length cut",
);
const MALFORMED: Metric = Metric::count(
    "netring_flow_malformed_packets_total",
    "Tracked packets that were malformed on the wire",
);
const TRACKED_BYTES: Metric = Metric::new(
    "netring_flow_tracked_bytes_total",
    Unit::Bytes,
    "Bytes on the wire of the tracked packets",
);
const ICMP_ERRORS: Metric = Metric::count(
    "netring_flow_icmp_errors_total",
    "ICMP errors that quote a flow in the table",
);
const UNTRACKED: Metric = Metric::count(
    "netring_flow_untracked_packets_total",
    "Packets that count in no flow, by the cause",
);
const WAITING: Metric = Metric::count(
    "netring_flow_waiting_fragments",
    "Fragments that wait for the first of their packet now",
);
const TOO_DEEP: Metric = Metric::count(
    "netring_flow_too_deep_packets_total",
    "Tracked packets with more tunnels than are looked into",
);
const FRAGMENTS: Metric = Metric::count(
    "netring_flow_fragments_total",
    "Fragments, by what was seen of them; one may count under several",
);
const BEGUN: Metric = Metric::count(
    "netring_flow_fragmented_packets_total",
    "Packets of which fragments were kept to reassemble them",
);
const REASSEMBLED: Metric = Metric::count(
    "netring_flow_reassembled_packets_total",
    "Packets that were reassembled",
);
const INCOMPLETE: Metric = Metric::count(
    "netring_flow_incomplete_packets_total",
    "Packets that were not reassembled, by the cause",
);
const OPEN: Metric = Metric::count(
    "netring_flow_open_fragmented_packets",
    "Packets that wait for more fragments now",
);
const MEMORY: Metric = Metric::new(
    "netring_flow_defragment_memory_bytes",
    Unit::Bytes,
    "Memory for packets that are reassembled",
);
const MEMORY_PEAK: Metric = Metric::new(
    "netring_flow_defragment_memory_peak_bytes",
    Unit::Bytes,
    "The most memory for packets that are reassembled so far",
);
const STARTED: Metric = Metric::count("netring_flow_started_total", "Flows started");
const ESTABLISHED: Metric =
    Metric::count("netring_flow_established_total", "TCP handshakes completed");
const CLOSED: Metric = Metric::count("netring_flow_closed_total", "TCP connections closed");
const OUT_OF_WINDOW: Metric = Metric::count(
    "netring_flow_out_of_window_segments_total",
    "TCP segments with RST or FIN outside their receiver's window",
);
const ENDED: Metric = Metric::count("netring_flow_ended_total", "Flows ended, by the reason");
const TICKS: Metric = Metric::count(
    "netring_flow_ticks_total",
    "Reports of flows that lived for longer than the active timeout",
);
const EMERGENCIES: Metric = Metric::count(
    "netring_flow_emergencies_total",
    "How often the table came close to its bound",
);
const TIME_WENT_BACK: Metric = Metric::count(
    "netring_flow_time_went_back_total",
    "How often packet time went back by more than a minute",
);
const ACTIVE: Metric = Metric::count(
    "netring_flow_active",
    "Flows that have started and not ended",
);

impl Publish for TrackerStats {
    fn publish(&self, to: &mut Publisher) {
        to.counter(&PACKETS, self.packets);
        to.counter(&TRACKED, self.tracked);
        to.counter(&CUT, self.cut);
        to.counter(&MALFORMED, self.malformed);
        to.counter(&TRACKED_BYTES, self.tracked_bytes);
        to.counter(&ICMP_ERRORS, self.icmp_errors);
        for (cause, packets) in [
            ("link_type", self.untracked.link_type),
            ("not_ip", self.untracked.not_ip),
            ("ip_version", self.untracked.ip_version),
            ("ip_header_length", self.untracked.ip_header_length),
            ("ip_total_length", self.untracked.ip_total_length),
            ("short", self.untracked.short),
            ("too_deep", self.untracked.too_deep),
            ("fragments", self.untracked.fragments),
            ("icmp_errors", self.untracked.icmp_errors),
            ("no_key", self.untracked.no_key),
            ("after_close", self.untracked.after_close),
        ] {
            to.counter_by(&UNTRACKED, ("cause", cause), packets);
        }
        to.gauge(&WAITING, self.untracked.waiting as f64);
        to.counter(&TOO_DEEP, self.too_deep);
        for (seen, fragments) in [
            ("first", self.fragments.first),
            ("followed", self.fragments.followed),
            ("duplicate", self.fragments.duplicate),
            ("overlapping", self.fragments.overlapping),
            ("tiny", self.fragments.tiny),
            ("reused", self.fragments.reused),
            ("forgotten", self.fragments.forgotten),
        ] {
            to.counter_by(&FRAGMENTS, ("seen", seen), fragments);
        }
        publish_defragment(&self.fragments.defragment, to);
        to.counter(&STARTED, self.flows_started);
        to.counter(&ESTABLISHED, self.flows_established);
        to.counter(&CLOSED, self.flows_closed);
        to.counter(&OUT_OF_WINDOW, self.out_of_window);
        for (reason, flows) in [
            ("finished", self.ended.finished),
            ("reset", self.ended.reset),
            ("idle_timeout", self.ended.idle_timeout),
            ("port_reuse", self.ended.port_reuse),
            ("emergency", self.ended.emergency),
            ("table_full", self.ended.table_full),
            ("source_ended", self.ended.source_ended),
        ] {
            to.counter_by(&ENDED, ("reason", reason), flows);
        }
        to.counter(&TICKS, self.ticks);
        to.counter(&EMERGENCIES, self.emergencies);
        to.counter(&TIME_WENT_BACK, self.time_went_back);
        let active = self.flows_started.saturating_sub(self.ended.total());
        to.gauge(&ACTIVE, active as f64);
    }
}

fn publish_defragment(stats: &DefragmentStats, to: &mut Publisher) {
    to.counter(&BEGUN, stats.begun);
    to.counter(&REASSEMBLED, stats.reassembled);
    for (cause, packets) in [
        ("timed_out", stats.incomplete.timed_out),
        ("displaced", stats.incomplete.displaced),
        ("overlapping", stats.incomplete.overlapping),
        ("contradictory", stats.incomplete.contradictory),
        ("mixed", stats.incomplete.mixed),
        ("cut", stats.incomplete.cut),
        ("reused", stats.incomplete.reused),
        ("unreadable", stats.incomplete.unreadable),
        ("source_ended", stats.incomplete.source_ended),
    ] {
        to.counter_by(&INCOMPLETE, ("cause", cause), packets);
    }
    to.gauge(&OPEN, stats.open as f64);
    to.gauge(&MEMORY, stats.memory as f64);
    to.gauge(&MEMORY_PEAK, stats.memory_peak as f64);
}
