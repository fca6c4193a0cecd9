//! Wireshark's recorder on the same wire.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use netring::pcap::CaptureFile;
use netring_sys::{PacketBatch, PacketSource};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use super::super::ends::NEAR;
use super::super::generator::{Amount, Generator};
use super::super::live::{QUIET, Round, Totals, Usage};
use super::super::{chain, measure};
use super::Folder;
use crate::Result;

/// Runs a round with the memory that our ring has, 64 MiB.
pub(super) fn round(generator: &Generator, amount: Amount, folder: &Folder) -> Result<Round> {
    let path = folder.file("theirs.pcapng");
    // A child process inherits the core of the thread that starts it.
    measure::pin(measure::MEASURED_CORE);
    let before = Usage::of_children()?;
    let mut child = Command::new("dumpcap")
        .args(["-q", "-B", "64", "-i", NEAR, "-w"])
        .arg(&path)
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|why| format!("dumpcap (Debian: apt-get install wireshark-common): {why}"))?;
    let mut lines = BufReader::new(child.stderr.take().ok_or("no output")?).lines();
    // It names its file once it captures.
    for line in lines.by_ref() {
        if line?.starts_with("File: ") {
            break;
        }
    }
    let mut round = Round::default();
    let sending = || generator.send(amount).map_err(|why| chain(why.as_ref()));
    let sent = thread::scope(|scope| scope.spawn(sending).join());
    round.sent = sent.map_err(|_| "the generator panicked")??;
    // Until its file does not grow any more.
    let (mut before_wait, mut len) = (u64::MAX, 0);
    while before_wait != len {
        before_wait = len;
        thread::sleep(QUIET + Duration::from_millis(500));
        len = std::fs::metadata(&path)?.len();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT)?;
    // Packets received/dropped on interface 'net0': 4/3 (pcap:1/dumpcap:2/flushed:0/…) (57.1%)
    let mut dropped: Option<u64> = None;
    for line in lines {
        let line = line?;
        let Some((_, causes)) = line.split_once(" (pcap:") else {
            continue;
        };
        // The last one repeats what the interface lost before the capture.
        let causes = format!("pcap:{causes}");
        let figures = causes.split('/').take(3);
        let figures = figures.map(|it| it.split_once(':').and_then(|(_, n)| n.parse::<u64>().ok()));
        dropped = figures.sum();
    }
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("dumpcap ended with {status}").into());
    }
    round.usage = Usage::of_children()?.since(before);
    let mut file = CaptureFile::open(&path)?;
    let mut delivered = 0;
    while let Some(batch) = file.next_batch()? {
        delivered += batch.packets().count() as u64;
    }
    std::fs::remove_file(&path)?;
    let counted = dropped.ok_or("dumpcap did not say what it dropped")?;
    let sent = round.sent.frames;
    if delivered + counted > sent {
        return Err(format!("dumpcap: {delivered} written and {counted} dropped of {sent}").into());
    }
    round.totals = Totals {
        delivered,
        // What it left in its ring at its end is not counted, and lost too.
        dropped: sent - delivered,
        invalid: 0,
    };
    round.balance("dumpcap")?;
    Ok(round)
}

impl Usage {
    /// CPU time of the child processes that have ended.
    fn of_children() -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let time =
            |value: nix::sys::time::TimeVal| Duration::from_micros(value.num_microseconds() as u64);
        Ok(Self {
            user: time(usage.user_time()),
            system: time(usage.system_time()),
        })
    }
}
