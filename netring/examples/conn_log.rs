//! Logs each flow as a line of Zeek's conn.log in JSON until Ctrl-C, and then the losses:
//! `cargo run --example conn_log -- eth0`.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::io::Write;

use futures::StreamExt;
use netring::AsyncCapture;
use netring::flow::{export::ConnLog, extract::FiveTuple};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("conn_log INTERFACE");
    let capture = AsyncCapture::open(&args.interface()?)?;
    args.end()?;
    let mut records = capture.record_stream(FiveTuple::bidirectional());
    let stop = records.stop_handle();
    // Once the capture is stopped, the remaining flows end, and then the stream.
    tokio::spawn(async move { tokio::signal::ctrl_c().await.map(|()| stop.stop()) });
    let (log, mut line) = (ConnLog::new(), Vec::new());
    while let Some(record) = records.next().await {
        log.json(&record?, &mut line);
        std::io::stdout().write_all(&line)?;
        line.clear();
    }
    let stats = records.stats()?;
    let (offered, dropped) = (stats.offered, stats.dropped);
    println!(r#"{{"offered":"{offered}","dropped":"{dropped}"}}"#);
    Ok(())
}
