//! The figures, in one table.

use std::fmt;

/// The target of ours.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// At most this, in the row's own unit.
    AtMost(f64),
    /// At least this, in the row's own unit.
    AtLeast(f64),
    /// At most this part of the peer's figure: 0.25 is four times as fast.
    OfPeer(f64),
}

const COLUMNS: usize = 8;

/// One figure of ours, next to a peer's.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    ours: f64,
    peer: Option<(&'static str, f64)>,
    target: Option<Target>,
    /// Minimum and maximum of its rounds, and of the peer's.
    spread: Option<(f64, f64)>,
    peers_spread: Option<(f64, f64)>,
}

/// All rows, and the notes below them.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
    /// Targets of times are left out.
    counts_only: bool,
}

impl Row {
    /// A figure of ours: the median of its rounds.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            what: what.into(),
            unit,
            ours,
            peer: None,
            target: None,
            spread: None,
            peers_spread: None,
        }
    }

    /// The same figure of a peer, from the same run.
    #[must_use]
    pub(crate) fn peer(mut self, name: &'static str, figure: f64) -> Self {
        self.peer = Some((name, figure));
        self
    }

    /// Minimum and maximum of our rounds: their difference is noise.
    #[must_use]
    pub(crate) const fn spread(mut self, spread: (f64, f64)) -> Self {
        self.spread = Some(spread);
        self
    }

    /// Minimum and maximum of the peer's rounds.
    #[must_use]
    pub(crate) const fn peers_spread(mut self, spread: (f64, f64)) -> Self {
        self.peers_spread = Some(spread);
        self
    }

    /// The target of ours.
    #[must_use]
    pub(crate) fn target(mut self, target: impl Into<Option<Target>>) -> Self {
        self.target = target.into();
        self
    }

    /// Our figure divided by the peer's.
    fn ratio(&self) -> Option<f64> {
        let (_, peer) = self.peer?;
        (peer != 0.0).then(|| self.ours / peer)
    }

    fn holds(&self) -> Option<bool> {
        match self.target? {
            Target::AtMost(most) => Some(self.ours <= most),
            Target::AtLeast(least) => Some(self.ours >= least),
            Target::OfPeer(most) => Some(self.ratio()? <= most),
        }
    }

    fn cells(&self) -> [String; COLUMNS] {
        let (name, figure) = self
            .peer
            .map_or(("", String::new()), |(name, figure)| (name, number(figure)));
        let target = match self.target {
            None => String::new(),
            Some(Target::AtMost(most)) => format!("≤ {}", number(most)),
            Some(Target::AtLeast(least)) => format!("≥ {}", number(least)),
            Some(Target::OfPeer(most)) => format!("≤ {most:.2} ×"),
        };
        let verdict = match self.holds() {
            None => "",
            Some(true) => "  holds",
            Some(false) => "  MISSED",
        };
        [
            self.what.clone(),
            self.unit.into(),
            number(self.ours),
            figure,
            name.into(),
            self.ratio()
                .map_or_else(String::new, |ratio| format!("{ratio:.2} ×")),
            target + verdict,
            [self.spread, self.peers_spread]
                .into_iter()
                .flatten()
                .map(|(least, most)| format!("{}–{}", number(least), number(most)))
                .collect::<Vec<_>>()
                .join(", peer's "),
        ]
    }
}

impl Table {
    /// A table without targets of times, which an unoptimized build cannot reach.
    pub(crate) fn of_counts() -> Self {
        Self {
            counts_only: true,
            notes: vec!["checked build: counts and totals are judged, times are not".into()],
            ..Self::default()
        }
    }

    /// Adds a row, and prints it at once: a bench takes a while.
    pub(crate) fn add(&mut self, mut row: Row) {
        if self.counts_only && row.unit != "count" {
            row.target = None;
        }
        eprintln!("  {}", row.cells().join("  "));
        self.rows.push(row);
    }

    /// Adds a note below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "", "unit", "ours", "peer's", "peer", "ratio", "target", "spread",
        ]
        .map(String::from);
        let mut lines = vec![head];
        lines.extend(self.rows.iter().map(Row::cells));
        let width = |column: usize| {
            let widths = lines.iter().map(|cells| cells[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        for cells in &lines {
            let line = cells.iter().enumerate().map(|(column, cell)| {
                let width = widths[column];
                // Figures are aligned to the right.
                match column {
                    2 | 3 | 5 => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                }
            });
            writeln!(f, "{}", line.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        for note in &self.notes {
            writeln!(f, "- {note}")?;
        }
        Ok(())
    }
}

/// Three significant digits.
fn number(figure: f64) -> String {
    match figure.abs() {
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        1.0.. => format!("{figure:.2}"),
        0.0 => "0".into(),
        _ => format!("{figure:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_holds_by_the_figure_or_by_the_ratio() {
        let row = |ours| Row::new("walk", "ns", ours).peer("who", 8.0);
        assert_eq!(row(4.0).holds(), None);
        assert_eq!(row(4.0).target(Target::AtMost(4.0)).holds(), Some(true));
        assert_eq!(row(4.1).target(Target::AtMost(4.0)).holds(), Some(false));
        assert_eq!(row(2.0).target(Target::OfPeer(0.25)).holds(), Some(true));
        assert_eq!(row(2.1).target(Target::OfPeer(0.25)).holds(), Some(false));
        assert_eq!(row(5.0).target(Target::AtLeast(5.0)).holds(), Some(true));
        assert_eq!(row(4.9).target(Target::AtLeast(5.0)).holds(), Some(false));
    }

    #[test]
    fn a_missed_target_is_printed_as_missed() {
        let mut table = Table::default();
        table.add(Row::new("walk", "ns/packet", 5.0).target(Target::AtMost(4.0)));
        table.note("a word");
        let text = table.to_string();
        assert!(text.contains("5.00"), "{text}");
        assert!(text.contains("≤ 4.00  MISSED"), "{text}");
        assert!(text.ends_with("- a word\n"), "{text}");
    }
}
