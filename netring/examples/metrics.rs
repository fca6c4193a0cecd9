//! Serves capture and loss counters to Prometheus:
//! `cargo run --features metrics --example metrics -- eth0 127.0.0.1:9000 60`, then
//! `curl 127.0.0.1:9000`. It ends after 10 s, with the totals.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use netring::metrics::Publisher;
use netring::{Capture, PacketSource};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("metrics INTERFACE ADDRESS:PORT [SECONDS]");
    let (interface, address) = (args.interface()?, args.text().unwrap_or_default());
    let mut time = args.seconds(10)?;
    let recorder = PrometheusBuilder::new().install_recorder()?;
    let listener = TcpListener::bind(&address)?;
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let answer = String::from("HTTP/1.0 200 OK\r\n\r\n") + &recorder.render();
            // The client may be gone.
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    let mut capture = Capture::open(&interface)?;
    let mut publisher = Publisher::new([("interface", interface)]);
    while let Some(left) = time.left() {
        publisher.publish(&capture.stats()?);
        let next = Instant::now() + left.min(Duration::from_millis(500));
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            capture.next_batch_timeout(left)?;
        }
    }
    println!("{}", capture.stats()?);
    Ok(())
}
