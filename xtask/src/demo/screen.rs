//! One screen that is redrawn on a terminal; a line each second elsewhere.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use netring::BroadcastStats;
use netring::flow::extract::FiveTupleKey;
use netring::flow::{FlowState, LiveFlow};

use super::board::{Board, Seen, Shared};
use super::{Broadcast, log, slow};

/// How often a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(250);
/// How often a line is printed if the screen cannot be redrawn.
const LINE: Duration = Duration::from_secs(1);
/// Flows in the list. The screen then has 23 lines.
const LARGEST: usize = 7;
/// Columns of the screen, if the terminal has them.
const WIDTH: usize = 100;

/// Where the demo shows its output.
#[derive(Debug)]
pub(super) struct Screen {
    title: String,
    /// The part that is redrawn, on a terminal.
    area: Option<ProgressBar>,
    log: bool,
}

impl Screen {
    pub(super) fn new(title: &str, log: bool) -> Self {
        let area = (!log && std::io::stdout().is_terminal()).then(|| {
            let area = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            area.with_style(ProgressStyle::with_template("{msg}").expect("a constant template"))
        });
        Self {
            title: title.into(),
            area,
            log,
        }
    }

    /// Whether flows that have ended are printed.
    pub(super) const fn log(&self) -> bool {
        self.log
    }

    /// Leaves the last screen in place.
    pub(super) fn close(&self) {
        if let Some(area) = &self.area {
            area.abandon();
        }
    }
}

/// Shows the figures until the capture fails.
pub(super) async fn redraw(
    screen: &Screen,
    broadcast: &Broadcast,
    board: &Shared,
) -> Box<dyn std::error::Error> {
    let every = if screen.area.is_some() { REDRAW } else { LINE };
    let mut tick = tokio::time::interval(every);
    let mut rates = Rates::new();
    let (mut largest, mut looked) = (Vec::new(), None::<Instant>);
    loop {
        tick.tick().await;
        let stats = match broadcast.stats().await {
            Ok(stats) => stats,
            Err(error) => return error.into(),
        };
        rates.update(&stats);
        // Less often, because the capture walks all flows for it.
        if screen.area.is_some() && looked.is_none_or(|at| at.elapsed() >= LINE) {
            largest = match broadcast.flows(LARGEST).await {
                Ok(flows) => flows.iter().map(row).collect(),
                Err(error) => return error.into(),
            };
            looked = Some(Instant::now());
        }
        match &screen.area {
            Some(area) => {
                let picture = picture(&screen.title, &rates, &stats, &largest, &board.lock());
                area.set_message(picture);
            }
            None if rates.is_known() => eprintln!("── {}", summary(&rates, &stats)),
            None => {}
        }
    }
}

/// Figures per second, over the last second.
#[derive(Debug)]
struct Rates {
    start: Instant,
    /// Packets, bytes and flows so far, at several moments of the last second.
    past: std::collections::VecDeque<(Instant, [u64; 3])>,
    now: [f64; 3],
}

impl Rates {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            past: std::collections::VecDeque::new(),
            now: [0.0; 3],
        }
    }

    fn update(&mut self, stats: &BroadcastStats) {
        let totals = [
            stats.capture.delivered.value().unwrap_or(0),
            stats.tracker.tracked_bytes,
            stats.tracker.flows_started,
        ];
        let now = Instant::now();
        self.past.push_back((now, totals));
        while self.past.len() > 2 && now - self.past[1].0 >= LINE {
            self.past.pop_front();
        }
        let (then, before) = self.past[0];
        let seconds = (now - then).as_secs_f64();
        if seconds > 0.0 {
            self.now = std::array::from_fn(|i| (totals[i] - before[i]) as f64 / seconds);
        }
    }

    fn is_known(&self) -> bool {
        self.past.len() > 1
    }
}

fn summary(rates: &Rates, stats: &BroadcastStats) -> String {
    let [packets, bytes, flows] = rates.now;
    format!(
        "{packets:.0} packets/s  {:.2} Mbit/s  {flows:.0} flows/s  {} active  {} packets lost",
        bytes * 8.0 / 1e6,
        stats.active_flows,
        stats.capture.dropped,
    )
}

/// The whole screen.
fn picture(
    title: &str,
    rates: &Rates,
    stats: &BroadcastStats,
    largest: &[String],
    board: &Board,
) -> String {
    let bold = |text: &str| console::style(text).bold().to_string();
    let dim = |text: &str| console::style(text).dim().to_string();
    let mut lines = vec![
        bold(&format!(
            "netring demo · {title} · {:.0} s",
            rates.start.elapsed().as_secs_f64()
        )),
        summary(rates, stats),
        String::new(),
        dim(&format!(
            "{:<6} {:<54} {:>9} {:>12}  {}",
            "", "largest flows", "packets", "bytes", "state"
        )),
    ];
    lines.extend_from_slice(largest);
    lines.resize(4 + LARGEST, String::new());
    lines.push(String::new());
    lines.push(dim(&format!(
        "{:<34} {:>10} {:>12} {:>10}",
        "subscribers", "read", "behind", "lost"
    )));
    let pause = format!("slow, {} ms for each event", slow::PAUSE.as_millis());
    for (name, seen) in [
        ("flow log", board.log),
        ("counter", board.live),
        (&*pause, board.slow),
    ] {
        lines.push(subscriber(name, seen, stats.events));
    }
    lines.push(String::new());
    lines.push(dim(log::COLUMNS));
    lines.extend(board.lines.iter().cloned());
    let width = console::Term::stdout().size().1.min(WIDTH as u16 * 2);
    let fits = |line: &String| console::truncate_str(line, usize::from(width), "…").into_owned();
    lines.iter().map(fits).collect::<Vec<_>>().join("\n")
}

fn row(flow: &LiveFlow<FiveTupleKey>) -> String {
    let text = format!(
        "{:<6} {:<54} {:>9} {:>12}  {}",
        log::protocol(flow.key.protocol()),
        log::ends(&flow.key, &flow.stats),
        flow.stats.packets(),
        flow.stats.bytes(),
        flow.state,
    );
    match flow.state {
        FlowState::TcpClosing => console::style(text).dim().to_string(),
        _ => text,
    }
}

/// Events that a subscriber has neither read nor lost are still in its queue.
fn subscriber(name: &str, seen: Seen, published: u64) -> String {
    let behind = published.saturating_sub(seen.read + seen.lost);
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write!(text, "{name:<34} {:>10} {behind:>12} ", seen.read);
    let lost = format!("{:>10}", seen.lost);
    match seen.lost {
        0 => text + &lost,
        _ => text + &console::style(lost).yellow().to_string(),
    }
}
