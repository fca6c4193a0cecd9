//! Peers that need a C library: the programs of `xtask/peers`, on the same wire.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::ends::NEAR;
use super::generator::{Amount, Generator};
use super::live::{Round, Totals, Usage};
use super::{chain, measure};
use crate::Result;

/// Where `cargo xtask bench --peers` builds them.
const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/peers/target/release/netring-peers"
);

/// The program in C on libxdp.
pub(super) fn xsk() -> Result<String> {
    Ok(output(&["where-xsk"])?.trim().to_owned())
}

/// The output of a peer that needs no wire.
pub(super) fn output(args: &[&str]) -> Result<String> {
    measure::pin(measure::MEASURED_CORE);
    let output = Command::new(PROGRAM).args(args).output().map_err(|why| {
        format!("the peers are not built ({why}): run `cargo xtask bench --peers`")
    })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("netring-peers: {}", why.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Nanoseconds of CPU that a peer takes for each of the packets of a file.
pub(super) fn file(peer: &str, path: &Path, count: u64) -> Result<f64> {
    cost(&[OsStr::new(peer), path.as_os_str()], count)
}

/// Nanoseconds of CPU that libpcap takes to write each packet of a file.
pub(super) fn written(path: &Path, len: usize, count: u64) -> Result<f64> {
    let (len, packets) = (len.to_string(), count.to_string());
    let words = [
        OsStr::new("write-pcap"),
        path.as_os_str(),
        OsStr::new(&len),
        OsStr::new(&packets),
    ];
    cost(&words, count)
}

fn cost(words: &[&OsStr], count: u64) -> Result<f64> {
    measure::pin(measure::MEASURED_CORE);
    let output = Command::new(PROGRAM).args(words).output();
    let output = output.map_err(|why| {
        format!("the peers are not built ({why}): run `cargo xtask bench --peers`")
    })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("netring-peers: {}", why.trim()).into());
    }
    let mut round = Round::default();
    for line in String::from_utf8(output.stdout)?.lines() {
        take(&mut round, line)?;
    }
    let packets = round.totals.delivered;
    if packets != count {
        return Err(format!("{words:?}: {packets} packets of {count}").into());
    }
    Ok(round.awake.as_nanos() as f64 / count as f64)
}

/// Starts a peer at the near end of the wire.
fn start(peer: &str) -> Result<(Child, Option<ChildStdin>, Lines<BufReader<ChildStdout>>)> {
    if !Path::new(PROGRAM).exists() {
        return Err("the peers are not built: run `cargo xtask bench --peers`".into());
    }
    // A child process inherits the core of the thread that starts it.
    measure::pin(measure::MEASURED_CORE);
    let mut child = Command::new(PROGRAM)
        .args([peer, NEAR])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let lines = BufReader::new(output.ok_or("no output")?).lines();
    Ok((child, input, lines))
}

/// libpcap with its default settings, not read until `end`.
#[derive(Debug)]
pub(super) struct Paused {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Paused {
    pub(super) fn open() -> Result<Self> {
        let (child, input, mut lines) = start("paused-pcap")?;
        match lines.next().transpose()?.as_deref() {
            Some("ready") => Ok(Self {
                child,
                input,
                lines,
            }),
            other => Err(format!("paused-pcap printed {other:?}").into()),
        }
    }

    /// Ends the pause, and returns how many packets it dropped.
    pub(super) fn dropped(mut self) -> Result<u64> {
        drop(self.input.take());
        let mut round = Round::default();
        for line in self.lines {
            take(&mut round, &line?)?;
        }
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("paused-pcap ended with {status}").into());
        }
        Ok(round.totals.dropped)
    }
}

/// Runs a round of a peer, and checks its totals.
pub(super) fn round(peer: &str, generator: &Generator, amount: Amount) -> Result<Round> {
    let (mut child, input, mut lines) = start(peer)?;
    let mut round = Round::default();
    if lines.next().transpose()?.as_deref() == Some("ready") {
        let sending = || generator.send(amount).map_err(|why| chain(why.as_ref()));
        let sent = thread::scope(|scope| scope.spawn(sending).join());
        round.sent = sent.map_err(|_| "the generator panicked")??;
    }
    drop(input);
    for line in lines {
        take(&mut round, &line?)?;
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{peer} ended with {status}").into());
    }
    round.balance(peer)?;
    Ok(round)
}

/// Parses a line `NAME NUMBER`.
fn take(round: &mut Round, line: &str) -> Result<()> {
    let unknown = || format!("a peer printed {line:?}");
    let (name, number) = line.split_once(' ').ok_or_else(unknown)?;
    let number: u64 = number.parse()?;
    let Round {
        totals: Totals {
            delivered, dropped, ..
        },
        usage: Usage { user, system },
        awake,
        waits,
        ..
    } = round;
    match name {
        "delivered" => *delivered = number,
        "dropped" => *dropped = number,
        "waits" => *waits = number,
        "awake" => *awake = Duration::from_nanos(number),
        "user" => *user = Duration::from_nanos(number),
        "system" => *system = Duration::from_nanos(number),
        _ => return Err(unknown().into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_taken_and_nothing_else() {
        let mut round = Round::default();
        for line in [
            "delivered 7",
            "dropped 1",
            "awake 1500",
            "user 20",
            "system 3",
            "waits 2",
        ] {
            take(&mut round, line).unwrap();
        }
        assert_eq!((round.totals.delivered, round.totals.dropped), (7, 1));
        assert_eq!(round.awake, Duration::from_nanos(1500));
        assert_eq!(round.usage.total(), Duration::from_nanos(23));
        assert_eq!(round.waits, 2);
        for line in ["", "delivered", "delivered x", "other 1"] {
            assert!(take(&mut round, line).is_err(), "{line}");
        }
    }
}
