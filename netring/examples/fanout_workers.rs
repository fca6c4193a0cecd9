//! Shares the packets of an interface among threads, each flow with one of them:
//! `cargo run --example fanout_workers -- eth0 2 1000`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use netring::{Capture, Error, Fanout, FanoutGroup, PacketSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("fanout_workers INTERFACE [WORKERS [PACKETS]]");
    let (interface, count) = (args.interface()?, args.number("WORKERS", 2)?);
    let wanted = args.number("PACKETS", 10)?.into();
    args.end()?;
    let fanout = Fanout::default().workers(count as usize);
    let group = FanoutGroup::open(Capture::builder().interface(&interface), fanout)?;
    let handle = group.handle();
    println!("capturing with {count} workers");
    let work = |mut worker: Capture| -> Result<(), Error> {
        let mut bytes = 0;
        worker.for_each(|packet| bytes += u64::from(packet.wire_len()))?;
        println!("{bytes} bytes: {}", worker.stats()?);
        Ok(())
    };
    thread::scope(|scope| {
        let start = |worker| scope.spawn(move || work(worker));
        let threads: Vec<_> = group.into_workers().into_iter().map(start).collect();
        let ended = || threads.iter().any(ScopedJoinHandle::is_finished);
        while handle.stats()?.delivered.value() < Some(wanted) && !ended() {
            thread::sleep(Duration::from_millis(10));
        }
        handle.stop();
        let mut results = threads.into_iter().map(ScopedJoinHandle::join);
        results.try_for_each(|result| result.unwrap_or(Err(Error::Closed)))
    })?;
    println!("{}", handle.stats()?);
    Ok(())
}
