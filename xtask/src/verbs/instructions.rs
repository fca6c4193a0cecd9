//! `instructions`: how many instructions the hot paths execute for each packet, compared with the
//! figures in `xtask/instructions.tsv`.
//!
//! callgrind counts the functions `measured_*` in the benches `hot_paths`, built as a release. The
//! counts do not depend on what else the machine does, so a small loss shows. It also counts both
//! halves of each bench in `hostile`: no sender may make the second cost much more than the first.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::{Result, cargo, left_out, output, root, set_runner};

/// The crate and the name of each bench.
const BENCHES: [(&str, &str); 6] = [
    ("netring-sys", "filter"),
    ("netring-afpacket", "block"),
    ("netring-flow", "established"),
    ("netring-flow", "in_vxlan"),
    ("netring-flow", "new_flows"),
    ("netring-flow", "sessions"),
];
/// The packets that a bench works on.
const PACKETS: u64 = 4096;
/// What a hostile sender may do, from netring-flow's bench `hostile`.
const HOSTILE: [&str; 11] = [
    "tiny_segments",
    "reversed_segments",
    "overlapping_segments",
    "jumps",
    "keep_alives",
    "acknowledgements",
    "flags",
    "reused_ports",
    "half_open",
    "many_holes",
    "times",
];
/// How many times the first half of its packets the second may cost.
const GROWTH: f64 = 2.0;
/// By how much a figure may exceed the one in the file.
const TOLERANCE: f64 = 0.02;
/// Counts while a function runs whose name follows.
const CALLGRIND: &str =
    "valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=";
const FILE: &str = "xtask/instructions.tsv";
const HEAD: &str =
    "# Instructions for each packet; `cargo xtask instructions --bless` writes this file.";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let bless = match args {
        [] => false,
        [flag] if flag == "--bless" => true,
        _ => return Err("usage: cargo xtask instructions [--bless]".into()),
    };
    if output(Command::new("valgrind").arg("--version")).is_err() {
        return left_out("instructions are counted by valgrind: `apt-get install valgrind`");
    }
    let path = root().join(FILE);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = parse(&text)?;
    let mut lines = vec![HEAD.to_owned()];
    let mut slower = Vec::new();
    for (package, bench) in BENCHES {
        let name = format!("{package}/{bench}");
        let found = count(package, "hot_paths", bench, "*measured_*")? as f64 / PACKETS as f64;
        lines.push(format!("{name}\t{found:.1}"));
        let verdict = judge(expected.get(&*name).copied(), found);
        println!("{name}: {found:.1} instructions/packet, {verdict}");
        if verdict.fails() {
            slower.push(name);
        }
    }
    let grown = grown()?;
    if !grown.is_empty() {
        return Err(format!(
            "{}: the second half of the packets costs more than {GROWTH} times the first",
            grown.join(", ")
        ));
    }
    if bless {
        return std::fs::write(&path, lines.join("\n") + "\n").map_err(|error| error.to_string());
    }
    if slower.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: more than {:.0} % above {FILE}, or not in it; if that is intended, or the compiler \
         changed, run `cargo xtask instructions --bless`",
        slower.join(", "),
        100.0 * TOLERANCE
    ))
}

/// A figure beside the one in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Same,
    /// By these parts of one.
    Fewer(f64),
    More(f64),
    Unknown,
}

impl Verdict {
    fn fails(self) -> bool {
        matches!(self, Self::More(_) | Self::Unknown)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Same => f.write_str("as before"),
            Self::Fewer(by) => write!(f, "{:.1} % fewer: bless it to keep the gain", 100.0 * by),
            Self::More(by) => write!(f, "{:.1} % MORE", 100.0 * by),
            Self::Unknown => f.write_str("NOT IN THE FILE"),
        }
    }
}

fn judge(expected: Option<f64>, found: f64) -> Verdict {
    let Some(expected) = expected else {
        return Verdict::Unknown;
    };
    match found / expected - 1.0 {
        by if by > TOLERANCE => Verdict::More(by),
        by if by < -TOLERANCE => Verdict::Fewer(-by),
        _ => Verdict::Same,
    }
}

fn parse(text: &str) -> Result<BTreeMap<&str, f64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let figures = lines.map(|line| {
        let (name, figure) = line.split_once('\t')?;
        Some((name, figure.parse().ok()?))
    });
    let figures: Option<_> = figures.collect();
    figures.ok_or_else(|| format!("{FILE}: a line is not `name<TAB>figure`"))
}

/// What a hostile sender can make grow: the names of the benches.
fn grown() -> Result<Vec<&'static str>> {
    let mut grown = Vec::new();
    for bench in HOSTILE {
        let half = |function| count("netring-flow", "hostile", bench, function);
        let [first, second] = [half("*measured_first*")?, half("*measured_second*")?];
        let ratio = second as f64 / first as f64;
        println!("netring-flow/hostile/{bench}: the second half costs {ratio:.2} of the first");
        if ratio > GROWTH {
            grown.push(bench);
        }
    }
    Ok(grown)
}

/// Runs a bench once under callgrind, which counts its measured function only.
fn count(package: &str, program: &str, bench: &str, function: &str) -> Result<u64> {
    let mut command = cargo();
    command.args(["test", "--release", "--quiet", "--all-features"]);
    // Without `--bench`, a bench runs its function once.
    command.args(["--package", package, "--bench", program, "--", bench]);
    set_runner(&mut command, &format!("{CALLGRIND}{function}"))?;
    let output = command
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("{command:?} did not start: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stderr);
    match collected(&printed) {
        Some(count) if count > 0 && output.status.success() => Ok(count),
        _ => Err(format!("{package}/{bench} was not counted:\n{printed}")),
    }
}

/// The count that callgrind prints at its end: `==123== Collected : 456`.
fn collected(printed: &str) -> Option<u64> {
    let (_, count) = printed.rsplit_once("Collected : ")?;
    count.lines().next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_tolerance_fails_and_fewer_does_not() {
        assert_eq!(judge(Some(100.0), 101.9), Verdict::Same);
        assert!(judge(Some(100.0), 102.1).fails());
        assert!(!judge(Some(100.0), 90.0).fails());
        assert_ne!(judge(Some(100.0), 90.0), Verdict::Same);
        assert!(judge(None, 1.0).fails());
    }

    #[test]
    fn the_file_and_the_output_of_callgrind_are_read() {
        let figures = parse("# head\na/b\t12.5\n").unwrap();
        assert_eq!(figures.get("a/b"), Some(&12.5));
        assert!(parse("a/b 12.5").is_err());
        assert_eq!(
            collected("==7== Events    : Ir\n==7== Collected : 456\n"),
            Some(456)
        );
        assert_eq!(collected("Segmentation fault"), None);
    }
}
