//! Prints the facts about an interface, and how to capture from it with some processors (2):
//! `cargo run --features xdp --example interface_information -- eth0 4`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::Interface;
use netring::suggest::{Goal, Wants};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("interface_information INTERFACE [CORES]");
    let interface = Interface::by_name(&args.interface()?)?;
    let cores = args.number("CORES", 2)?;
    args.end()?;

    let information = interface.information()?;
    let state = if interface.is_up() { "up" } else { "down" };
    println!("{}: {state}, MTU {}", interface.name, interface.mtu);
    println!("{information}");
    for goal in [Goal::Balanced, Goal::Throughput, Goal::Latency] {
        let wants = Wants::new().cores(cores).goal(goal);
        let suggestion = wants.suggest(&interface, &information);
        println!("{goal:?}: {suggestion}");
        for reason in suggestion.reasons {
            println!("- {reason}");
        }
    }
    Ok(())
}
