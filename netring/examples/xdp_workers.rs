//! All queues of an interface, with a thread for each: `cargo run --features xdp --example xdp_workers -- eth0 1000`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use netring::wait::StopHandle;
use netring::{Error, PacketSource, XdpCapture};

fn main() -> ExitCode {
    outcome::of(run())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let interface = args
        .next()
        .ok_or("usage: xdp_workers INTERFACE [PACKETS]")?;
    let wanted = args.next().map_or(Ok(10), |packets| packets.parse())?;

    let workers = XdpCapture::open(&interface)?.into_workers()?;
    let stops: Vec<StopHandle> = workers.iter().map(XdpCapture::stop_handle).collect();
    // Relaxed below: a count, which carries no other memory with it.
    let total = AtomicU64::new(0);
    let work = |mut worker: XdpCapture| {
        let mut bytes = 0;
        worker.for_each(|packet| {
            bytes += u64::from(packet.wire_len());
            if total.fetch_add(1, Ordering::Relaxed) + 1 >= wanted {
                stops.iter().for_each(StopHandle::stop);
            }
            ControlFlow::<()>::Continue(())
        })?;
        let queues: Vec<_> = worker.queues().collect();
        let delivered = worker.stats()?.delivered;
        Ok(format!(
            "queue {queues:?}: {delivered} packets, {bytes} bytes"
        ))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(|| work(worker)))
            .collect();
        for thread in threads {
            let told: Result<String, Error> = thread.join().map_err(|_| "a worker panicked")?;
            println!("{}", told?);
        }
        println!("{} packets in all", total.load(Ordering::Relaxed));
        Ok(())
    })
}
