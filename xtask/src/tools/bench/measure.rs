//! Alternating rounds, medians, and a core for the measured program alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

use super::Options;
use crate::Result;

/// The core of the generator.
pub(crate) const GENERATOR_CORE: usize = 0;
/// The core of the program under test.
pub(crate) const MEASURED_CORE: usize = 1;

/// Pins this thread to a core, if the machine has it.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    if set.set(core).is_ok() {
        // On a machine with a single core, or in a container without this one, it runs elsewhere.
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}

/// The median cost of each of several programs. They alternate, so that a disturbance of the
/// machine affects all of them.
pub(crate) fn in_turn<const N: usize>(
    options: &Options,
    mut programs: [&mut dyn FnMut() -> Result<f64>; N],
) -> Result<[f64; N]> {
    let mut figures: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..options.rounds {
        for (program, figures) in programs.iter_mut().zip(&mut figures) {
            figures.push(program()?);
        }
    }
    Ok(figures.map(median))
}

/// The median; of an even number of figures the mean of the two in the middle.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => figures[middle],
        _ => f64::midpoint(figures[middle - 1], figures[middle]),
    }
}

/// The CPU time of this thread in nanoseconds.
pub(crate) fn cpu_time() -> Duration {
    // Reading the clock of a running thread cannot fail.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Nanoseconds of this thread for each unit of work. The work is repeated for 100 ms (20 ms with
/// `--quick`), and returns how many units it did.
pub(crate) fn cost<T>(options: &Options, mut work: impl FnMut() -> (u64, T)) -> f64 {
    let time = Duration::from_millis(if options.quick { 20 } else { 100 });
    let (before, start, mut units) = (cpu_time(), Instant::now(), 0);
    loop {
        let (done, result) = work();
        black_box(result);
        units += done;
        if start.elapsed() >= time {
            return (cpu_time() - before).as_nanos() as f64 / units as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }
}
