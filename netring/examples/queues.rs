//! Counts the bytes of each receive queue, by AF_XDP (which takes the packets away from this host)
//! or else by AF_PACKET: `cargo run --features xdp --example queues -- eth1 10`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::collections::BTreeMap;

use netring::{PacketBatch, PacketSource, Timed, auto};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("queues INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    let mut capture = auto::builder().interface(interface).divert(true).build()?;
    capture.attempts().iter().for_each(|it| println!("{it}"));
    let (mut seen, mut queues) = (0, BTreeMap::<_, u64>::new());
    while let (true, Some(left)) = (seen < wanted, time.left()) {
        if let Timed::Batch(batch) = capture.next_batch_timeout(left)? {
            for packet in batch.packets().take(wanted - seen) {
                *queues.entry(packet.queue()).or_default() += u64::from(packet.wire_len());
                seen += 1;
            }
        }
    }
    for (queue, bytes) in queues {
        let queue = queue.map_or_else(|| "unknown".into(), |queue| queue.to_string());
        println!("queue {queue}: {bytes} bytes");
    }
    if seen < wanted {
        println!("time is up: received {seen} of {wanted} packets");
    }
    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
