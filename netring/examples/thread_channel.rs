//! Captures in a thread and sends the packets through a channel:
//! `cargo run --example thread_channel -- eth0 10`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

use netring::{Capture, Error, PacketSource, Stats};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("thread_channel INTERFACE [PACKETS]");
    let (interface, wanted) = (args.interface()?, args.number("PACKETS", 10)?);
    args.end()?;

    let mut capture = Capture::open(&interface)?;
    let stop = capture.stop_handle();
    // If the channel is full the thread waits, and the ring takes the packets meanwhile.
    let (sender, packets) = mpsc::sync_channel(1024);
    let reader = thread::spawn(move || -> Result<Stats, Error> {
        capture.try_for_each(|packet| match sender.send(packet.to_buf()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })?;
        capture.stats()
    });
    for packet in packets.iter().take(wanted as usize) {
        println!("{} {} bytes", packet.timestamp(), packet.wire_len());
    }
    drop(packets);
    stop.stop();
    let stats = reader
        .join()
        .map_err(|_| outcome::Failure("the reader panicked".into()))??;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
