//! Prints the packets of all interfaces, with name, link type and direction:
//! `cargo run --example any -- 10`. It ends after that many packets, or after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::wait::InterfaceTable;
use netring::{Capture, PacketBatch, PacketSource, Timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("any [PACKETS [SECONDS]]");
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    let mut names = InterfaceTable::new()?;
    let mut capture = Capture::builder().all_interfaces().build()?;
    let mut seen = 0;
    while seen < wanted
        && let Some(left) = time.left()
    {
        if let Timed::Batch(batch) = capture.next_batch_timeout(left)? {
            for packet in batch.packets().take(wanted - seen) {
                let name = names.name(packet.interface()).unwrap_or("?");
                let direction = packet.direction().map(|it| format!(" {it:?}"));
                let tag = packet.vlan().map(|tag| format!(" VLAN {}", tag.id()));
                let facts = direction.into_iter().chain(tag).collect::<String>();
                println!(
                    "{name} {}{facts} {} bytes",
                    packet.link_type(),
                    packet.wire_len()
                );
                seen += 1;
            }
        }
    }
    let stats = capture.stats()?;
    println!("offered {}, dropped {}", stats.offered, stats.dropped);
    Ok(())
}
