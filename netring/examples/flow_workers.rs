//! The flows of an interface by several workers, with all events in one stream:
//! `cargo run --example flow_workers -- eth0 2 1000`. It ends after that many packets.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod outcome;

use futures::StreamExt;
use netring::flow::{FlowEvent::Ended, extract::FiveTuple};
use netring::{AsyncSource, BroadcastRecvError, Capture, Fanout, FanoutGroup, FlowWorkers};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = outcome::Args::new("flow_workers INTERFACE [WORKERS [PACKETS]]");
    let settings = Capture::builder().interface(args.interface()?);
    let (count, wanted) = (args.number("WORKERS", 2)?, args.number("PACKETS", 10)?);
    args.end()?;
    let group = FanoutGroup::open(settings, Fanout::default().workers(count as usize))?;
    let (handle, mut streams) = (group.handle(), Vec::new());
    for worker in group.into_workers() {
        streams.push(AsyncSource::new(worker)?.flow_stream(FiveTuple::bidirectional()));
    }
    let flows = FlowWorkers::spawn(streams, 256);
    let mut events = flows.subscribe_lossless();
    let reading = tokio::spawn(async move {
        while let Some(event) = events.next().await.transpose()? {
            if let Ended { key, stats, .. } = &event.event {
                println!("worker {}: {key} {} packets", event.worker, stats.packets());
            }
        }
        Ok::<_, BroadcastRecvError>(())
    });
    println!("capturing with {count} workers");
    while handle.stats()?.delivered.value() < Some(wanted.into()) && !reading.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    flows.shutdown().await?;
    reading.await??;
    println!("{}", handle.stats()?);
    Ok(())
}
