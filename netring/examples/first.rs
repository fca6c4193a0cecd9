//! The first program in README.md: prints each flow of an interface as it starts and ends, until
//! Ctrl-C. `cargo run --example first -- eth0`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use futures::StreamExt;
use netring::AsyncCapture;
use netring::flow::{FlowEvent, extract::FiveTuple};

#[tokio::main]
async fn main() -> Result<(), netring::Error> {
    let interface = std::env::args().nth(1).unwrap_or_else(|| "lo".into());
    let capture = AsyncCapture::open(&interface)?;
    let mut flows = capture.flow_stream(FiveTuple::bidirectional());
    while let Some(event) = flows.next().await {
        match event? {
            FlowEvent::Started { key, .. } => println!("{key} started"),
            FlowEvent::Ended { key, stats, .. } => {
                let (packets, bytes) = (stats.packets(), stats.bytes());
                println!("{key} ended: {packets} packets, {bytes} bytes");
            }
            _ => {}
        }
    }
    Ok(())
}
