//! Bridges two interfaces, without the frames that an expression selects:
//! `cargo run --example bridge -- eth0 eth1 "arp or tcp port 23" 10`. It ends after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::Duration;

use netring::bridge::{Bridge, Verdict};
use netring::{Filter, Matcher};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("bridge INTERFACE INTERFACE [EXPRESSION [SECONDS]]");
    let (a, b) = (args.interface()?, args.interface()?);
    let unwanted = args.text().unwrap_or_else(|| "less 0".into());
    let seconds = args.number("SECONDS", 10)?;
    args.end()?;

    let unwanted = Matcher::new(&unwanted.parse::<Filter>()?)?;
    let mut bridge = Bridge::open(&a, &b)?;
    let time = Duration::from_secs(seconds.into());
    let ended = bridge.run_for(time, |frame| match unwanted.matches(frame.packet()) {
        true => Verdict::Drop,
        false => Verdict::Forward,
    });
    // Print what was forwarded even after a failure.
    println!("{}", bridge.stats()?);
    ended?;
    Ok(())
}
