//! Captures from two interfaces, which need not exist yet and may come back:
//! `cargo run --example merged -- eth0 wg0 10`. It ends after that many packets, or after 10 s.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use netring::afpacket::{Captures, Profile};
use netring::{Capture, PacketBatch, PacketSource, Timed};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("merged INTERFACE INTERFACE [PACKETS [SECONDS]]");
    let interfaces = [args.interface()?, args.interface()?];
    let wanted = args.number("PACKETS", 10)? as usize;
    let mut time = args.seconds(10)?;

    let each = Capture::builder().profile(Profile::LowMemory);
    let builder = Captures::builder(each).interfaces(interfaces);
    let builder = builder.join(true).reopen(true);
    let mut captures = builder.on_event(|event| println!("{event}")).build()?;
    let mut seen = 0;
    while seen < wanted
        && let Some(left) = time.left()
    {
        if let Timed::Batch(batch) = captures.next_batch_timeout(left)? {
            for packet in batch.packets().take(wanted - seen) {
                println!("source {}: {} bytes", batch.origin(), packet.wire_len());
                seen += 1;
            }
        }
    }
    println!("{}; {}", captures.stats()?, captures.joins());
    Ok(())
}
