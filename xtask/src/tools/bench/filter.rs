//! Filters in user space next to libpcap's: the same programs over the same packets, the output of
//! the two compilers, and their compile times.

use std::path::{Path, PathBuf};

use netring::pcap::CaptureWriter;
use netring::{Clock, Filter, LinkType, Matcher, Packet, PacketWriter as _, Timestamp};
use netring_sys::filter::{Expr, Program};
use netring_sys::kernel::filter::SockFilter;

use super::filter_programs::{EXPRESSIONS, executed, frames};
use super::{Options, Row, Table, Target, measure, peers};
use crate::Result;
use crate::conformance_filter::EXPRESSIONS as ALL;

const PACKETS: usize = 2048;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    measure::pin(measure::MEASURED_CORE);
    let frames = frames(PACKETS);
    let folder = std::env::temp_dir();
    let capture = Scratch(folder.join(format!("netring-bench-{}.pcap", std::process::id())));
    let mut writer = CaptureWriter::create(&capture.0, LinkType::ETHERNET)?;
    for frame in &frames {
        writer.write(&packet(frame))?;
    }
    writer.finish()?;
    let packets: Vec<_> = frames.iter().map(|frame| packet(frame)).collect();
    let (mut time, mut instructions) = (0.0, 0.0);
    for text in EXPRESSIONS {
        let cost = one(options, table, &capture.0, text, &packets)?;
        time += cost.0;
        instructions += cost.1;
    }
    let row = Row::new("filter, all of them", "ns/insn", time / instructions);
    table.add(row.target(Target::AtMost(3.0)));
    compile(options, table, &folder)
}

fn packet(frame: &[u8]) -> Packet<'_> {
    let time = Timestamp::from_nanos(1_000_000_000, Clock::Unknown);
    Packet::new(frame, time, LinkType::ETHERNET)
}

/// Runs the program of one expression, libpcap's if there is the peer, and returns the time and
/// the executed instructions per packet.
fn one(
    options: &Options,
    table: &mut Table,
    capture: &Path,
    text: &str,
    packets: &[Packet<'_>],
) -> Result<(f64, f64)> {
    let own = text.parse::<Expr>()?.for_bytes(LinkType::ETHERNET)?;
    let peer = || -> Result<Peer> {
        let time = if options.quick { "20" } else { "100" };
        let capture = capture.to_string_lossy();
        Peer::of(&peers::output(&["filter-pcap", &capture, text, time])?)
    };
    let program = if options.peers {
        peer()?.program.into()
    } else {
        own.clone()
    };
    let ops = program.decode()?;
    let counts = packets.iter().map(|packet| executed(&ops, packet.data()));
    let (count, matched) = counts.fold((0, 0), |(sum, matched), (count, result)| {
        (sum + count, matched + u64::from(result != 0))
    });
    let instructions = count as f64 / packets.len() as f64;
    for filter in [&program, &own] {
        if select(&Matcher::new(filter)?, packets) != matched {
            return Err(format!("{text}: {filter} does not select {matched} packets").into());
        }
    }
    // As programs have it: compiled for the link type of each packet.
    let (matcher, own_matcher) = (
        Matcher::new(&program)?,
        Matcher::new(text.parse::<Filter>()?)?,
    );
    let cost = |matcher: &Matcher| {
        measure::cost(options, || (packets.len() as u64, select(matcher, packets)))
    };
    let name = format!("filter `{}`", text.chars().take(42).collect::<String>());
    if !options.peers {
        let [ours] = measure::in_turn(options, [&mut || Ok(cost(&matcher))])?;
        table.add(Row::new(name, "ns/packet", ours));
        return Ok((ours, instructions));
    }
    let [ours, compiled, peer] = measure::in_turn(
        options,
        [
            &mut || Ok(cost(&matcher)),
            &mut || Ok(cost(&own_matcher)),
            &mut || {
                let peer = peer()?;
                if peer.matched != matched {
                    return Err(format!(
                        "{text}: libpcap selects {} packets, not {matched}",
                        peer.matched
                    )
                    .into());
                }
                Ok(peer.nanoseconds)
            },
        ],
    )?;
    let row = Row::new(name, "ns/packet", ours).peer("libpcap", peer);
    table.add(row.target(Target::OfPeer(1.0)));
    let row = Row::new("  … from its text here", "ns/packet", compiled).peer("libpcap", peer);
    table.add(row.target(Target::OfPeer(1.0)));
    Ok((ours, instructions))
}

fn select(matcher: &Matcher, packets: &[Packet<'_>]) -> u64 {
    packets
        .iter()
        .filter(|packet| matcher.matches(packet))
        .count() as u64
}

/// The peer's output for one expression.
struct Peer {
    program: Vec<SockFilter>,
    matched: u64,
    nanoseconds: f64,
}

impl Peer {
    fn of(text: &str) -> Result<Self> {
        let mut peer = Self {
            program: Vec::new(),
            matched: 0,
            nanoseconds: 0.0,
        };
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["insn", code, jt, jf, k] => peer.program.push(SockFilter {
                    code: code.parse()?,
                    jt: jt.parse()?,
                    jf: jf.parse()?,
                    k: k.parse()?,
                }),
                ["matched", number] => peer.matched = number.parse()?,
                ["picoseconds", number] => peer.nanoseconds = number.parse::<f64>()? / 1000.0,
                _ => return Err(format!("the peer printed {line:?}").into()),
            }
        }
        Ok(peer)
    }
}

/// The time to parse and compile the expressions of `conformance-filter` for Ethernet.
fn compile(options: &Options, table: &mut Table, folder: &Path) -> Result<()> {
    let own = |text: &str| -> Result<Program> {
        Ok(text.parse::<Expr>()?.for_bytes(LinkType::ETHERNET)?)
    };
    let texts: Vec<_> = ALL
        .lines()
        .map(str::trim)
        .filter(|text| own(text).is_ok())
        .collect();
    let longest = texts.iter().enumerate().max_by_key(|(_, text)| text.len());
    let longest = longest.ok_or("no expressions")?.0;
    let mut ours = vec![Vec::new(); texts.len()];
    let mut theirs = vec![Vec::new(); texts.len()];
    let list = Scratch(folder.join(format!("netring-bench-{}.txt", std::process::id())));
    std::fs::write(&list.0, texts.join("\n"))?;
    for _ in 0..options.rounds {
        for (text, times) in texts.iter().zip(&mut ours) {
            let start = measure::cpu_time();
            for _ in 0..20 {
                std::hint::black_box(own(text)?);
            }
            times.push((measure::cpu_time() - start).as_nanos() as f64 / 20_000.0);
        }
        if options.peers {
            let output = peers::output(&["compile-pcap", &list.0.to_string_lossy()])?;
            for (line, times) in output.lines().zip(&mut theirs) {
                let number = line.strip_prefix("nanoseconds ").ok_or("no time")?;
                times.push(number.parse::<f64>()? / 1000.0);
            }
        }
    }
    let [ours, theirs] =
        [ours, theirs].map(|all| all.into_iter().map(measure::median).collect::<Vec<_>>());
    let figures = |times: &[f64]| {
        let slowest = times.iter().copied().fold(0.0, f64::max);
        [measure::median(times.to_vec()), times[longest], slowest]
    };
    let (ours, theirs) = (figures(&ours), figures(&theirs));
    for (n, what) in ["median", "longest", "slowest"].into_iter().enumerate() {
        let row = Row::new(format!("compile, {what} of {}", texts.len()), "µs", ours[n]);
        let row = if options.peers {
            row.peer("libpcap", theirs[n])
        } else {
            row
        };
        table.add(row.target(Target::AtMost(1000.0)));
    }
    Ok(())
}

/// A file that is removed at the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a file that stays in the temporary folder.
        let _ = std::fs::remove_file(&self.0);
    }
}
