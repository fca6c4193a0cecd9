//! The state of both kinds of bridge between two steps: running, stopped, or ended by a side.

use std::time::Duration;

use super::frame::{Side, Way};
use super::lane::{Failed, Turn};
use crate::Error;
use crate::wait::{Step, StopHandle};

/// Whether a bridge continues, and how it pauses.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) stop: StopHandle,
    /// The side that ended the bridge.
    pub(super) lost: Option<Side>,
    pause: Pause,
}

impl Control {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self {
            stop: StopHandle::new()?,
            lost: None,
            pause: Pause::new(),
        })
    }

    /// A step: a turn in each direction, unless the bridge has ended. `turn` also says whether the
    /// sink's interface is down.
    pub(super) fn step(
        &mut self,
        mut turn: impl FnMut(Way) -> Result<(Turn, bool), Failed>,
    ) -> Result<Step, Error> {
        if self.stop.is_stopped() {
            return Ok(Step::Done);
        }
        if self.lost.is_some() {
            return Err(Error::Closed);
        }
        let mut turn = |way| {
            turn(way).map_err(|failed| {
                let (side, error) = failed.at(way);
                if error.is_terminal() {
                    self.lost = Some(side);
                }
                named(side, error)
            })
        };
        let (there, is_b_down) = turn(Way::AToB)?;
        let (back, is_a_down) = turn(Way::BToA)?;
        Ok(self.pause.next([there, back], [is_b_down, is_a_down]))
    }
}

/// The error of a direction, which names the side if it is the end.
pub(super) fn failure(way: Way, failed: Failed) -> Error {
    let (side, error) = failed.at(way);
    named(side, error)
}

fn named(side: Side, error: Error) -> Error {
    if !error.is_terminal() {
        return error;
    }
    Error::Source {
        what: side.to_string(),
        source: Box::new(error),
    }
}

/// The pauses between attempts while a sink has no room, each longer than the one before; and while
/// its interface is down.
const SHORTEST: Duration = Duration::from_micros(10);
const LONGEST: Duration = Duration::from_millis(1);
const DOWN: Duration = Duration::from_millis(100);

/// The state of a loop over steps.
#[derive(Debug)]
struct Pause(Duration);

impl Pause {
    const fn new() -> Self {
        Self(SHORTEST)
    }

    /// The outcome of a turn in both directions.
    fn next(&mut self, turns: [Turn; 2], are_down: [bool; 2]) -> Step {
        if turns.iter().any(|turn| turn.has_worked) {
            self.0 = SHORTEST;
            return Step::Busy;
        }
        if turns.iter().all(|turn| turn.is_done) {
            return Step::Done;
        }
        let mut at_most = None;
        if turns.iter().any(|turn| turn.retries) {
            // A sink that may have room soon is checked more often than one that is down.
            let all_down = turns
                .iter()
                .zip(are_down)
                .all(|(turn, is_down)| !turn.retries || is_down);
            let longest = if all_down { DOWN } else { LONGEST };
            at_most = Some(self.0);
            self.0 = (self.0 * 2).min(longest);
        }
        Step::Wait {
            on: turns.map(|turn| turn.reads),
            at_most,
        }
    }
}
