//! Logs each flow as a line of JSON until Ctrl-C, and then what was lost:
//! `cargo run --example conn_log -- eth0`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use futures::StreamExt;
use netring::AsyncCapture;
use netring::flow::{FlowEvent::Ended, extract::FiveTuple};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("conn_log INTERFACE");
    let capture = AsyncCapture::open(&args.interface()?)?;
    args.end()?;
    let stop = capture.get_ref().stop_handle();
    let mut flows = capture.flow_stream(FiveTuple::bidirectional());
    // Once the capture is stopped the flows that are left end, and then the stream does.
    tokio::spawn(async move { tokio::signal::ctrl_c().await.map(|()| stop.stop()) });
    while let Some(event) = flows.next().await {
        if let Ended {
            key, reason, stats, ..
        } = event?
        {
            let (ts, seconds) = (stats.first(), stats.duration().as_secs_f64());
            let initiator = stats.initiator;
            let (from, to) = (key.source(initiator), key.destination(initiator));
            let (sent, received) = (stats.by_initiator().bytes, stats.by_responder().bytes);
            println!(
                r#"{{"ts":{ts},"duration":{seconds},"proto":{},"orig":"{from}","resp":"{to}","orig_bytes":{sent},"resp_bytes":{received},"reason":"{reason}"}}"#,
                key.protocol()
            );
        }
    }
    let stats = flows.stats()?;
    let (offered, dropped) = (stats.offered, stats.dropped);
    println!(r#"{{"offered":"{offered}","dropped":"{dropped}"}}"#);
    Ok(())
}
