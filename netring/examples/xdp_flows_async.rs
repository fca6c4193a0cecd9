//! One capture, two subscribers: `cargo run --features xdp --example xdp_flows_async -- eth0`.
//! It ends with the first event, or after 10 s.

mod outcome;

use futures::StreamExt;
use netring::AsyncXdpCapture;
use netring::flow::extract::FiveTuple;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("xdp_flows_async INTERFACE [SECONDS]");
    let interface = args.interface()?;
    let mut time = args.seconds(10)?;

    let cap = AsyncXdpCapture::open(&interface)?;
    let bc = cap.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
    let mut a = bc.subscribe();
    let mut b = bc.subscribe();
    tokio::select! {
        evt = a.next() => println!("a: {evt:?}"),
        evt = b.next() => println!("b: {evt:?}"),
        () = tokio::time::sleep(time.left().unwrap_or_default()) => println!("time is up: no packet was received"),
    }
    Ok(())
}
