//! The options of the bench.

use std::time::Duration;

use crate::Result;

pub(super) const HELP: &str = "\
cargo xtask bench [OPTIONS] [NAME …]

  --quick        short rounds; everything takes less than a minute
  --checked      build with overflow checks, two rounds: finds faults; times are not judged
  --rounds N     rounds whose median is printed, at least 5 (default 5)
  --rate N       offer N thousand live frames per second, at least 250 (default: as many as possible)
  --peers        also measure the peers that need a C library (see xtask/peers/Cargo.toml)
  --soak N       receive live at full rate for N seconds and check the totals; nothing else unless it is named
                 (`--soak N compose`: record, track flows and broadcast them for N seconds, and check all figures)

With names, only those benches.";

/// The benches to run, and how.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Short rounds.
    pub(crate) quick: bool,
    /// The build has overflow checks and is little optimized, so times are not judged.
    pub(crate) checked: bool,
    /// Also the peers that need a C library.
    pub(crate) peers: bool,
    /// Rounds of each; ours and the peers' alternate.
    pub(crate) rounds: usize,
    /// Nanoseconds between two live frames; 0 for as fast as possible.
    pub(crate) gap: u32,
    /// How long the soak lasts, if one is requested.
    pub(crate) soak: Option<Duration>,
    /// The names of the requested benches; none for all.
    names: Vec<String>,
}

impl Options {
    /// Parses the arguments of `bench`; `None` if help is requested.
    pub(super) fn parse(args: &[String], known: &[&str]) -> Result<Option<Self>> {
        let mut options = Self {
            quick: false,
            peers: false,
            checked: false,
            rounds: 5,
            gap: 0,
            soak: None,
            names: Vec::new(),
        };
        let mut words = args.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64> {
                let value = words.next().and_then(|value| value.parse().ok());
                value.ok_or_else(|| format!("{word} takes a number").into())
            };
            match word {
                "--quick" => options.quick = true,
                // The build already has the checks. The second round runs warm, and a third would
                // find nothing new.
                "--checked" => (options.rounds, options.checked) = (2, true),
                "--peers" => options.peers = true,
                "--rounds" => options.rounds = usize::try_from(number()?)?.max(5),
                "--rate" => options.gap = u32::try_from(1_000_000 / number()?.max(250))?,
                "--soak" => options.soak = Some(Duration::from_secs(number()?)),
                "--help" | "-h" => return Ok(None),
                name if known.contains(&name) => options.names.push(name.to_owned()),
                other => return Err(format!("unknown option or bench {other:?}").into()),
            }
        }
        if options.soak.is_some() && !options.names.iter().any(|name| name == "compose") {
            options.names.push("soak".into());
        }
        Ok(Some(options))
    }

    /// Whether to run a bench.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}
