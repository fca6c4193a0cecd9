//! One capture, in a separate process: its report to its parent, and other ways to end.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::alarm;

use super::compare::differences;
use super::observe::observe;
use super::oracle;
use crate::Result;

/// The argument that selects this mode.
pub(super) const FLAG: &str = "--one";
/// The same with tunnels.
pub(super) const TUNNELS: &str = "--one-with-tunnels";

/// The exit code if the oracle is broken, and not the engine.
const BROKEN_ORACLE: i32 = 3;

/// Far more than any capture of a test suite needs.
const SECONDS: u32 = 60;
const MEMORY: u64 = 1 << 30;

/// How a process ended.
pub(super) enum Outcome {
    Done(Found),
    /// It was killed, panicked, or failed.
    Crashed(String),
}

/// The results of a process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether there was an oracle for it.
    pub(super) was_compared: bool,
    pub(super) packets: u64,
    pub(super) flows: u64,
    /// Later fragments that count in a flow.
    pub(super) followed: u64,
    /// The differences from the oracle, if there is one.
    pub(super) differences: Vec<String>,
    /// The engine's totals that do not add up.
    pub(super) imbalance: Vec<String>,
    /// Why the file could not be read to its end.
    pub(super) fault: Option<String>,
}

/// Runs a capture within limits, and prints what [`Found::parse`] reads.
pub(super) fn run(
    seconds: &str,
    capture: &Path,
    oracle: Option<&Path>,
    tunnels: bool,
) -> Result<()> {
    bound(seconds)?;
    let expected = oracle.map(oracle::read).transpose();
    let expected = expected.unwrap_or_else(|why| {
        eprintln!("{why}");
        std::process::exit(BROKEN_ORACLE);
    });
    let observed = observe(capture, tunnels)?;
    let expected = expected.filter(|expected| !(tunnels && oracle::has_tunnels(expected)));
    if let Some(expected) = &expected {
        println!("compared\t");
        for line in differences(expected, &observed) {
            println!("differs\t{line}");
        }
    }
    for line in &observed.imbalance {
        println!("unbalanced\t{line}");
    }
    if let Some(fault) = &observed.fault {
        println!("fault\t{fault}");
    }
    let (packets, flows, followed) = (observed.packets, observed.flows.len(), observed.followed);
    println!("done\t{packets}\t{flows}\t{followed}");
    Ok(())
}

/// Limits the time and the memory of this process. The kernel ends it if it exceeds them.
pub(super) fn bound(seconds: &str) -> Result<()> {
    alarm::set(seconds.parse()?);
    bound_memory()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}

/// Limits the memory of this process, which fails if it needs more.
pub(super) fn bound_memory() -> Result<()> {
    Ok(setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY)?)
}

/// Runs this program on a capture in a separate process, which limits itself.
pub(super) fn spawn(
    program: &Path,
    flag: &str,
    capture: &Path,
    oracle: Option<&Path>,
) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(["conformance", flag, &SECONDS.to_string()]);
    Ok(command.arg(capture).args(oracle).output()?)
}

/// How a process crashed.
pub(super) fn crash(output: &Output) -> String {
    let status = output.status;
    let why = String::from_utf8_lossy(&output.stderr);
    format!("{status}{} {}", meaning(status), why.trim())
}

/// Compares a capture in a separate process.
pub(super) fn begin(
    program: &Path,
    capture: &Path,
    oracle: Option<&Path>,
    tunnels: bool,
) -> Result<Outcome> {
    let flag = if tunnels { TUNNELS } else { FLAG };
    let output = spawn(program, flag, capture, oracle)?;
    let (said, status) = (String::from_utf8_lossy(&output.stdout), output.status);
    if let Some(found) = Found::parse(&said).filter(|_| status.success()) {
        return Ok(Outcome::Done(found));
    }
    if status.code() == Some(BROKEN_ORACLE) {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    Ok(Outcome::Crashed(crash(&output)))
}

/// The likely cause, from the signal that ended a process.
fn meaning(status: ExitStatus) -> String {
    let signal = status
        .signal()
        .and_then(|signal| Signal::try_from(signal).ok());
    match signal {
        Some(Signal::SIGALRM) => format!(" (it took longer than {SECONDS} s)"),
        Some(Signal::SIGABRT) => format!(" (perhaps it needed more than {} MiB)", MEMORY >> 20),
        _ => String::new(),
    }
}

impl Found {
    /// Parses what [`run`] printed, if it is complete.
    fn parse(said: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut done = false;
        for line in said.lines() {
            let (what, rest) = line.split_once('\t')?;
            match what {
                "compared" => found.was_compared = true,
                "differs" => found.differences.push(rest.to_owned()),
                "unbalanced" => found.imbalance.push(rest.to_owned()),
                "fault" => found.fault = Some(rest.to_owned()),
                "done" => {
                    let numbers = rest.split('\t').map(|number| number.parse().ok());
                    let numbers: Vec<u64> = numbers.collect::<Option<_>>()?;
                    [found.packets, found.flows, found.followed] = numbers.try_into().ok()?;
                    done = true;
                }
                _ => return None,
            }
        }
        done.then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_without_a_report_is_a_crash() {
        for (program, told) in [("false", "exit status: 1"), ("true", "exit status: 0")] {
            let capture = Path::new("none");
            match begin(Path::new(program), capture, None, false).unwrap() {
                Outcome::Crashed(how) => assert!(how.contains(told), "{how}"),
                Outcome::Done(found) => panic!("{found:?}"),
            }
        }
        let killed = ExitStatus::from_raw(Signal::SIGALRM as i32);
        assert!(meaning(killed).contains("longer than 60 s"));
    }

    #[test]
    fn a_report_that_has_no_end_is_none() {
        let whole = "compared\t\ndiffers\ta: b\nunbalanced\tc\nfault\td\ndone\t7\t2\t1\n";
        let found = Found::parse(whole).unwrap();
        assert_eq!((found.packets, found.flows, found.followed), (7, 2, 1));
        assert!(found.was_compared);
        assert_eq!(found.differences, ["a: b"]);
        assert_eq!(
            (found.imbalance.len(), found.fault.as_deref()),
            (1, Some("d"))
        );
        let cut = whole.split_once("done").unwrap().0;
        assert_eq!(Found::parse(cut), None);
        assert_eq!(Found::parse(""), None);
    }
}
