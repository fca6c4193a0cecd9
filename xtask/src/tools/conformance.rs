//! `conformance`: compares the flows in a folder of captures with the expected ones. There are two
//! kinds of folders.
//!
//! One kind has `index.tsv`, `exact.txt` and `oracle/`, which holds the flows as other tools found
//! them, or as they were written by hand. Every capture in the oracle is compared. If the oracle is
//! wrong, or makes a debatable choice, `deviations.tsv` lists each difference with the reason.
//! Captures without an oracle run too: they must not make the engine crash, hang or grow.
//!
//! The other kind has `expect.tsv`: conditions that the printed events of each capture must meet.
//!
//! A separate process reads each capture, with limits on time and memory.

mod compare;
mod deviations;
mod events;
pub(crate) mod expect;
mod folder;
mod live;
mod observe;
mod one;
mod oracle;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use nix::sys::resource::{UsageWho, getrusage};

use crate::Result;
use deviations::Deviation;
use folder::Capture;
use one::{Found, Outcome};

const HELP: &str = "\
cargo xtask conformance DIR [--all | --tunnels | --live]

Compares the flows in the captures of DIR with those in DIR/oracle: packets, bytes, first and last time, and TCP segments with SYN, FIN
and RST, for each key and direction. Later fragments have lines of their own there, by protocol and addresses; they are compared as
well, whether they count in a flow or not. The only permitted differences are those
that xtask/src/tools/conformance/deviations.tsv lists, each with its reason. Captures in DIR/index.tsv without an oracle run too, and
the engine's totals have to add up. Each capture has to end without a crash within 60 s and 1 GiB. If DIR has no index.tsv, that is what
all captures in DIR and below have to do.

If DIR has an expect.tsv, checks its conditions instead. A line has, separated by tabs, the name of a capture in DIR or below it, a tag
for readers, and conditions on the events that are printed for it: flows=N and !flows=N (flows that start), open<=N (flows open at the
same time), ticks>=N, ~REGEX (matches somewhere), !REGEX (matches nowhere). Captures without a line have to end without a crash.

--all also prints the cases that hold. --tunnels looks into tunnels of all kinds: captures in whose oracle there are none have to come out
the same, and the others have to end without a crash and with totals that add up.

--live passes the captures of DIR through three more paths instead: replayed over veth pairs, in a network namespace of its own, and
captured by AF_PACKET, by AF_XDP in native and in generic mode. The packets have to arrive byte for byte, in order, and a tracker and a
reassembler have to report the same of them as of the file: each event, with all figures of its flow, and the bytes of each stream, at
the times of the file; with tunnels off, and with all tunnels, tunnel ids and VLANs on. If a packet is not Ethernet, the network packet
in it, with its VLAN tags, MPLS labels and PPPoE header, is sent behind an Ethernet header; where it starts is read by the definitions
of the link types, apart from the library, and the bytes of flows are compared less the difference of the headers. Packets of link types
that a TUN interface can have (raw IP, Cisco HDLC, 802.11, 802.15.4, vsock) also go over one to AF_PACKET, as they are. Zeros take
the place of what a snap length cut off, and what arrives is cut again. Packets that cannot be sent are left out on all paths, and
counted by cause. It needs root, because loading an XDP program does.";

/// Checks a folder.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        [
            flag @ (one::FLAG | one::TUNNELS),
            seconds,
            capture,
            ref oracle @ ..,
        ] if oracle.len() < 2 => {
            let oracle = oracle.first().map(Path::new);
            one::run(seconds, Path::new(capture), oracle, flag == one::TUNNELS)
        }
        [events::FLAG, seconds, capture] => events::run(seconds, Path::new(capture)),
        [dir] if !dir.starts_with('-') => check(Path::new(dir), false),
        [dir, "--tunnels"] | ["--tunnels", dir] => compare_folder(Path::new(dir), true),
        [dir, "--all"] | ["--all", dir] => check(Path::new(dir), true),
        [dir, "--live"] | ["--live", dir] => live::run(Path::new(dir)),
        _ => Err(format!("expected a folder\n\n{HELP}").into()),
    }
}

fn check(dir: &Path, tell_all: bool) -> Result<()> {
    if dir.join(expect::FILE).exists() {
        expect::run(dir, tell_all)
    } else {
        compare_folder(dir, false)
    }
}

/// The results for the captures.
#[derive(Debug, Default)]
struct Totals {
    compared: usize,
    differ: usize,
    differences: usize,
    /// The number of listed differences, and the captures that have any, with the reason.
    listed: usize,
    deviating: Vec<String>,
    flows: u64,
    packets: u64,
    /// Later fragments that count in a flow.
    followed: u64,
    /// The number of captures without an oracle, by link type.
    without_oracle: BTreeMap<String, usize>,
    crashed: usize,
}

fn compare_folder(dir: &Path, tunnels: bool) -> Result<()> {
    let program = std::env::current_exe()?;
    let mut totals = Totals::default();
    for capture in &folder::read(dir)? {
        let oracle = capture.oracle(dir);
        match one::begin(&program, &capture.path(dir)?, oracle.as_deref(), tunnels)? {
            Outcome::Done(found) if found.was_compared => totals.compare(capture, found)?,
            Outcome::Done(found) => totals.note(capture, found),
            Outcome::Crashed(how) => {
                println!("{}: {how}", capture.name);
                totals.crashed += 1;
            }
        }
    }
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() / 1024;
    println!("{totals}; no process held more than {peak} MiB");
    totals.judge(dir)
}

impl Totals {
    fn compare(&mut self, capture: &Capture, found: Found) -> Result<()> {
        self.compared += 1;
        self.packets += found.packets;
        self.flows += found.flows;
        self.followed += found.followed;
        let deviation = Deviation::of(&capture.name)?;
        self.listed += deviation.len();
        if deviation.len() > 0 {
            let (name, reason) = (&capture.name, deviation.reason);
            self.deviating.push(format!("{name}: {reason}"));
        }
        self.fail(capture, deviation.judge(capture.wrong(found)));
        Ok(())
    }

    /// Adds a capture without an oracle, which can only show that the engine's own totals do not
    /// add up.
    fn note(&mut self, capture: &Capture, found: Found) {
        let link_types = capture.link_types.clone();
        *self.without_oracle.entry(link_types).or_default() += 1;
        self.fail(capture, found.imbalance);
    }

    fn fail(&mut self, capture: &Capture, lines: Vec<String>) {
        self.differ += usize::from(!lines.is_empty());
        self.differences += lines.len();
        for line in lines {
            println!("{}: {line}", capture.name);
        }
    }

    fn judge(&self, dir: &Path) -> Result<()> {
        let (differ, crashed) = (self.differ, self.crashed);
        if differ + crashed > 0 {
            return Err(format!("{differ} captures differ, {crashed} crashed").into());
        }
        let ran: usize = self.without_oracle.values().sum();
        if self.compared == 0 && (ran == 0 || folder::has_oracle(dir)) {
            return Err(format!("{} has nothing to compare", dir.display()).into());
        }
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.deviating {
            writeln!(f, "differs as listed: {line}")?;
        }
        let (deviating, listed) = (self.deviating.len(), self.listed);
        let equal = self.compared - self.differ - deviating;
        writeln!(
            f,
            "compared {} captures, {} packets, {} flows, {} fragments in the flow of their first: {equal} equal, \
             {deviating} differ as listed, in {listed} lines, {} differ otherwise, in {} lines",
            self.compared, self.packets, self.flows, self.followed, self.differ, self.differences
        )?;
        let number: usize = self.without_oracle.values().sum();
        write!(f, "ran {number} more without an oracle")?;
        for (at, (link_types, number)) in self.without_oracle.iter().enumerate() {
            let before = if at == 0 { ": " } else { ", " };
            write!(f, "{before}{number} of link type {link_types}")?;
        }
        write!(f, "\n{} crashed", self.crashed)
    }
}
