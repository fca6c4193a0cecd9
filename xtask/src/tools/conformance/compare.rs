//! The differences between two sets of flows, a line for each.

use super::observe::Observed;
use super::oracle::{Figures, Flows, Key};

/// The differences, in the order of keys.
pub(super) fn differences(expected: &Flows, observed: &Observed) -> Vec<String> {
    let mut lines = Vec::new();
    let mut found = observed.flows.clone();
    for (key, expected) in expected {
        match found.remove(key) {
            Some(figures) => figures_differ(key, expected, &figures, &mut lines),
            None => lines.push(format!("{key}: missing, {}", packets(expected))),
        }
    }
    for (key, figures) in found {
        lines.push(format!("{key}: not expected, {}", packets(&figures)));
    }
    lines
}

fn packets(figures: &Figures) -> String {
    let [ab, ba] = figures.sent;
    format!("{} + {} packets", ab.packets, ba.packets)
}

fn figures_differ(key: &Key, expected: &Figures, found: &Figures, lines: &mut Vec<String>) {
    let mut differ = |name: &str, expected: i128, found: i128| {
        if expected != found {
            lines.push(format!("{key}: {name} {found}, expected {expected}"));
        }
    };
    for (way, expected, found) in [
        ("AB", &expected.sent[0], &found.sent[0]),
        ("BA", &expected.sent[1], &found.sent[1]),
    ] {
        differ(
            &format!("pkts{way}"),
            expected.packets.into(),
            found.packets.into(),
        );
        differ(
            &format!("bytes{way}"),
            expected.bytes.into(),
            found.bytes.into(),
        );
        for (at, flag) in ["syn", "fin", "rst"].iter().enumerate() {
            differ(
                &format!("{flag}{way}"),
                expected.flags[at].into(),
                found.flags[at].into(),
            );
        }
    }
    differ("first (ns)", expected.first.into(), found.first.into());
    differ("last (ns)", expected.last.into(), found.last.into());
}
