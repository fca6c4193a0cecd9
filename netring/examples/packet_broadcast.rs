//! One copy of each packet for two subscribers, one of which prints the packets of an expression:
//! `cargo run --example packet_broadcast -- eth0 10 "udp port 53"`. It ends after that many.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use futures::StreamExt;
use netring::{AsyncCapture, BroadcastRecvError, Filter, Matcher, PacketSubscriber};

async fn print(mut packets: PacketSubscriber) -> Result<(), BroadcastRecvError> {
    while let Some(batch) = packets.next_batch().await {
        for packet in batch?.iter() {
            println!("{} {} bytes", packet.timestamp(), packet.wire_len());
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("packet_broadcast INTERFACE [PACKETS [EXPRESSION]]");
    let capture = AsyncCapture::open(&args.interface()?)?;
    let (wanted, text) = (args.number("PACKETS", 10)?, args.text().unwrap_or_default());
    args.end()?;
    let matcher = Matcher::new(text.parse::<Filter>()?)?;
    let packets = capture.broadcast(256);
    let (mut all, selected) = (packets.subscribe_lossless(), packets.subscribe_lossless());
    let printing = tokio::spawn(print(selected.filtered(move |p| matcher.matches(p))));
    let (mut received, mut bytes) = (0, 0);
    while let Some(packet) = all.next().await {
        bytes += u64::from(packet?.packet().wire_len());
        received += 1;
        if received == wanted {
            packets.stop();
        }
    }
    printing.await??;
    println!("{received} packets, {bytes} bytes");
    Ok(())
}
