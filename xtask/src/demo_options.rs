//! The arguments of `cargo xtask demo`. Parsed before anything is built, and again by the demo.

use std::time::Duration;

/// The help of `cargo xtask demo`.
pub const HELP: &str = "\
cargo xtask demo [--log] [INTERFACE [TIME]]

Captures packets, tracks their flows, gives the events to three subscribers, and checks at the end
that every packet, flow and event is accounted for.

  INTERFACE   capture here until Ctrl-C; without it the demo makes a network and traffic of its own
  TIME        capture for this long instead: 10s, 2m, 1.5h
  --log       print a line for each flow that is over, instead of redrawing one screen
  -h, --help  this text

On a terminal one screen is redrawn; in a pipe there is a line each second. NO_COLOR turns colours
off. Capturing from an interface needs CAP_NET_RAW; the demo's own network needs no privileges if
the kernel allows user namespaces.";

/// The action of the demo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether to print a line for each flow that ends.
    pub log: bool,
    /// The interface; `None` for a network of the demo's own.
    pub interface: Option<String>,
    /// How long it captures from the interface; `None` until Ctrl-C.
    pub time: Option<Duration>,
}

/// The requested action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Print [`HELP`].
    Help,
    /// Run.
    Run(Options),
}

impl Request {
    /// Reads the arguments behind `demo`.
    ///
    /// # Errors
    /// Returns one line with the mistake and the correct form.
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Options::default();
        for arg in args {
            match arg.as_str() {
                "-h" | "--help" => return Ok(Self::Help),
                "--log" => options.log = true,
                flag if flag.starts_with('-') => {
                    return Err(format!(
                        "unknown option {flag}; see `cargo xtask demo --help`"
                    ));
                }
                name if options.interface.is_none() => options.interface = Some(name.into()),
                time if options.time.is_none() => options.time = Some(duration(time)?),
                extra => {
                    return Err(format!(
                        "unexpected argument {extra:?}; see `cargo xtask demo --help`"
                    ));
                }
            }
        }
        Ok(Self::Run(options))
    }
}

/// `10`, `10s`, `2m` or `1.5h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit);
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("invalid duration {text:?}, expected for example 10s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request, String> {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Request::parse(&args)
    }

    fn options(line: &str) -> Options {
        match parse(line).unwrap() {
            Request::Run(options) => options,
            Request::Help => panic!("{line}: help"),
        }
    }

    #[test]
    fn all_forms_are_read() {
        assert_eq!(options(""), Options::default());
        let eth0 = options("eth0");
        assert_eq!((eth0.interface.as_deref(), eth0.time), (Some("eth0"), None));
        assert_eq!(options("eth0 1.5m").time, Some(Duration::from_secs(90)));
        assert_eq!(options("eth0 2").time, Some(Duration::from_secs(2)));
        assert!(options("eth0 10s --log").log);
        for help in ["-h", "eth0 --help", "--log --help"] {
            assert_eq!(parse(help), Ok(Request::Help));
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_one_line() {
        for (line, why) in [
            ("eth0 xx", "invalid duration \"xx\""),
            ("eth0 0s", "invalid duration"),
            ("eth0 -1s", "unknown option -1s"),
            ("eth0 1s more", "unexpected argument \"more\""),
            ("--loud", "unknown option --loud"),
            ("eth0 1e400", "invalid duration"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.starts_with(why), "{line}: {error}");
            assert!(!error.contains('\n'), "{line}: {error}");
        }
    }
}
