//! One capture, two subscribers: `cargo run --features xdp --example xdp_flows_async -- eth0`.

mod outcome;

use std::process::ExitCode;

use futures::StreamExt;
use netring::AsyncXdpCapture;
use netring::flow::extract::FiveTuple;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    outcome::of(run().await)
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let interface = args.next().ok_or("usage: xdp_flows_async INTERFACE")?;

    let cap = AsyncXdpCapture::open(&interface)?;
    let bc = cap.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
    let mut a = bc.subscribe();
    let mut b = bc.subscribe();
    tokio::select! {
        evt = a.next() => println!("a: {evt:?}"),
        evt = b.next() => println!("b: {evt:?}"),
    }
    Ok(())
}
