//! Prints each packet of a mirror port once, although the port delivers it twice:
//! `cargo run --example dedup -- eth0 10`. It ends after that many packets, or after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::Duration;

use netring::dedup::{Content, Dedup};
use netring::{Capture, PacketBatch, PacketSource, Timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("dedup INTERFACE [PACKETS [SECONDS]]");
    let interface = args.interface()?;
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    let capture = Capture::open(&interface)?;
    let content = Content::default().window(Duration::from_millis(50));
    let mut once = Dedup::content(capture, content)?;
    let mut seen = 0;
    while seen < wanted
        && let Some(left) = time.left()
    {
        if let Timed::Batch(batch) = once.next_batch_timeout(left)? {
            for packet in batch.packets().take(wanted - seen) {
                println!("{} {} bytes", packet.timestamp(), packet.wire_len());
                seen += 1;
            }
        }
    }
    let (duplicates, forgotten) = (once.duplicates(), once.forgotten());
    println!("{duplicates} duplicates, {forgotten} forgotten too early");
    println!("{}", once.stats()?);
    Ok(())
}
