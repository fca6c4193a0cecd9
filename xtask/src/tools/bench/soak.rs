//! Full rate for as long as was asked, with balanced books. Nothing without `--soak`.

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
    // It checks the books itself.
    let round = capture(&Wire::new()?, &generator, Amount::Time(time))?;
    table.add(Row::new("soak: time", "s", round.sent.time.as_secs_f64()));
    table.add(Row::new(
        "soak: offered",
        "packets",
        round.sent.frames as f64,
    ));
    table.add(Row::new("soak: offered", "Mpps", round.rate()));
    let lost = Row::new("soak: lost", "packets", round.books.dropped as f64);
    table.add(lost.target(Target::AtMost(0.0)));
    table.note(format!(
        "soak: books balanced, {} sent = {} delivered + {} dropped + {} invalid",
        round.sent.frames, round.books.delivered, round.books.dropped, round.books.invalid
    ));
    Ok(())
}
