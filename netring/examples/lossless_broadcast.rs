//! A subscriber for which the capture waits, beside a slow one that loses the oldest events:
//! `cargo run --example lossless_broadcast -- eth0 500`. It ends after that many events.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::time::Duration;

use futures::StreamExt;
use netring::{AsyncCapture, flow::extract::FiveTuple};
use tokio::time::sleep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("lossless_broadcast INTERFACE [EVENTS]");
    let capture = AsyncCapture::open(&args.interface()?)?;
    let wanted = args.number("EVENTS", 10)?;
    args.end()?;
    let flows = capture.flow_stream(FiveTuple::bidirectional()).broadcast(2);
    let (mut every, mut slow) = (flows.subscribe_lossless(), flows.subscribe());
    let slow = tokio::spawn(async move {
        let mut received = 0;
        while let Some(event) = slow.next().await {
            received += u64::from(event.is_ok());
            sleep(Duration::from_millis(5)).await;
        }
        println!("slow: {received} events, {} lost", slow.lost());
    });
    let mut received = 0;
    while every.next().await.transpose()?.is_some() {
        received += 1;
        if received == wanted {
            flows.stop();
        }
        sleep(Duration::from_millis(1)).await;
    }
    println!("lossless: {received} events, {} lost", every.lost());
    println!("the capture waited {} times", flows.published().waits);
    Ok(slow.await?)
}
