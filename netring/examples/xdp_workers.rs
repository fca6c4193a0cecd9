//! Captures from all queues of an interface, with one thread for each:
//! `cargo run --features xdp --example xdp_workers -- eth0 1000`. It ends after that many packets,
//! or after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use netring::wait::StopHandle;
use netring::{Error, PacketSource, XdpCapture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_workers INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = u64::from(args.number("PACKETS", 10)?);
    let mut time = args.seconds(10)?;

    let workers = XdpCapture::open(&interface)?.into_workers()?;
    let stops: Vec<StopHandle> = workers.iter().map(XdpCapture::stop_handle).collect();
    // Relaxed below: a count that publishes no other memory.
    let total = AtomicU64::new(0);
    let work = |mut worker: XdpCapture| {
        let mut bytes = 0;
        worker.for_each(|packet| {
            bytes += u64::from(packet.wire_len());
            if total.fetch_add(1, Ordering::Relaxed) + 1 >= wanted {
                stops.iter().for_each(StopHandle::stop);
            }
        })?;
        let queues: Vec<_> = worker.queues().collect();
        let delivered = worker.stats()?.delivered;
        Ok(format!(
            "queue {queues:?}: {delivered} packets, {bytes} bytes"
        ))
    };
    // Nothing is sent through the channel: it disconnects when the last worker has ended.
    let (running, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                let running = running.clone();
                scope.spawn(move || {
                    let report = work(worker);
                    drop(running);
                    report
                })
            })
            .collect();
        drop(running);
        let left = time.left().filter(|_| wanted > 0).unwrap_or_default();
        if ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
            stops.iter().for_each(StopHandle::stop);
        }
        for thread in threads {
            let report: Result<String, Error> = thread
                .join()
                .map_err(|_| outcome::Failure("a worker panicked".into()))?;
            println!("{}", report?);
        }
        println!("{} packets in total", total.load(Ordering::Relaxed));
        Ok(())
    })
}
