//! Full rate for the requested time; checks the totals. Does nothing without `--soak`.

use super::generator::{Amount, Generator};
use super::live::Wire;
use super::receive::{capture, traffic};
use super::{Options, Row, Table, Target};
use crate::Result;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let Some(time) = options.soak else {
        return Ok(());
    };
    let generator = Generator::new(traffic(options))?;
    table.note(generator.about());
    // It checks the totals itself.
    let round = capture(&Wire::new()?, &generator, Amount::Time(time))?;
    table.add(Row::new("soak: time", "s", round.sent.time.as_secs_f64()));
    table.add(Row::new(
        "soak: offered",
        "packets",
        round.sent.frames as f64,
    ));
    table.add(Row::new("soak: offered", "Mpps", round.rate()));
    let lost = Row::new("soak: lost", "packets", round.totals.dropped as f64);
    table.add(lost.target(Target::AtMost(0.0)));
    table.note(format!(
        "soak: totals add up, {} sent = {} delivered + {} dropped + {} invalid",
        round.sent.frames, round.totals.delivered, round.totals.dropped, round.totals.invalid
    ));
    Ok(())
}
