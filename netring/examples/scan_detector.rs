//! Reports hosts that try 100 ports, while another subscriber is too slow to see every event:
//! `cargo run --example scan_detector -- eth0`. It ends with Ctrl-C.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::{collections::HashMap, collections::HashSet, time::Duration};

use futures::StreamExt;
use netring::{AsyncCapture, flow::FlowEvent::Started, flow::extract::FiveTuple};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("scan_detector INTERFACE");
    let capture = AsyncCapture::open(&args.interface()?)?;
    args.end()?;
    let stop = capture.get_ref().stop_handle();
    let events = capture.flow_stream(FiveTuple::bidirectional()).broadcast(8);
    let (mut fast, mut slow) = (events.subscribe(), events.subscribe());
    tokio::spawn(async move { tokio::signal::ctrl_c().await.map(|()| stop.stop()) });
    let slow = tokio::spawn(async move {
        let mut received = 0;
        while let Some(event) = slow.next().await {
            received += u32::from(event.is_ok());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("slow: {received} events received, {} lost", slow.lost());
    });
    let mut tried = HashMap::<_, HashSet<_>>::new();
    while let Some(event) = fast.next().await {
        if let Started { key, initiator, .. } = &*event? {
            let (from, to) = (key.source(*initiator).ip(), key.destination(*initiator));
            let ports = tried.entry(from).or_default();
            if ports.insert(to) && ports.len() == 100 {
                println!("{from} has tried 100 ports, the last is {to}");
            }
        }
    }
    Ok(slow.await?)
}
