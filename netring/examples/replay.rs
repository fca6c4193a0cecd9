//! Sends the packets of a capture file, with the gaps of their timestamps or at a given rate:
//! `cargo run --features pcap --example replay -- trace.pcapng eth0 1000`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::pcap::CaptureFile;
use netring::replay::{Replay, Speed};
use netring::{Injector, PacketSink};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("replay FILE INTERFACE [PACKETS_PER_SECOND]");
    let (path, interface) = (args.path()?, args.interface()?);
    let speed = match args.number("PACKETS_PER_SECOND", 0)? {
        0 => Speed::Recorded,
        rate => Speed::PacketsPerSecond(rate.into()),
    };
    args.end()?;

    let mut file = CaptureFile::open(path)?;
    let mut replay = Replay::<Injector>::open(&interface)?.speed(speed)?;
    // Print what was sent even after a failure.
    let ended = replay.run(&mut file);
    let stats = replay.stats();
    println!("{stats}");
    println!("{}", replay.sink_mut().stats()?);
    println!("{:.1?}, {:?} late at most", stats.duration, stats.latest);
    ended?;
    Ok(())
}
