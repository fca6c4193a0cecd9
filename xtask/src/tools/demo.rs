//! `demo`: the packets of a real wire, their flows, three subscribers of one capture, and at the
//! end the balance of the books.

mod books;
mod live;
mod log;
mod slow;
mod traffic;
mod world;

use std::time::Duration;

use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::{FlowTracker, Timeouts, TrackerConfig};
use netring::{AsyncCapture, Capture, FlowBroadcast, FlowStream};

use super::Result;
use books::Books;
use world::World;

type Broadcast = FlowBroadcast<FiveTupleKey>;

/// Batches of events that a subscriber may be behind before it loses the oldest: few, so that the
/// slow one does.
const CAPACITY: usize = 16;

/// Without arguments in a network of its own; with an interface and a time, on that.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match args {
        [] => runtime.block_on(own_network()),
        [interface, time] => runtime.block_on(existing(interface, seconds(time)?)),
        _ => Err("give nothing, or an interface and a time: `cargo xtask demo eth0 10s`".into()),
    }
}

/// Two hosts that talk over a wire of their own. Nothing else is on it, so the interface's own
/// counters are the judge.
async fn own_network() -> Result<()> {
    let world = World::new()?;
    let capture = AsyncCapture::open(world::WIRE)?;
    // Nobody had an address so far: the first packet on this wire is captured.
    world.wake()?;
    world.server.run(traffic::serve)?;
    // A thread that this one starts is in the same namespace: on the client's host.
    let talk = async { Ok(tokio::task::spawn_blocking(traffic::talk).await??) };
    let flows = capture.flow_stream_with(FlowTracker::with_config(
        FiveTuple::bidirectional(),
        TrackerConfig::new().timeouts(short_timeouts()),
    )?);
    let wire = || Ok(Some(world::packets_on_wire()?));
    let (made, books) = watch(flows, talk, wire).await?;
    println!(
        "\nmade      {} TCP connections and {} UDP conversations, {} bytes of answers",
        made.tcp, made.udp, made.bytes
    );
    books.close()
}

/// So short that flows are seen to end while the others go on.
fn short_timeouts() -> Timeouts {
    let second = Duration::from_secs(1);
    Timeouts::default().tcp_closing(second).udp(second)
}

/// An interface of this machine, without making traffic. Its counters cannot be read in the moment
/// in which the capture begins and ends, so they are not compared.
async fn existing(interface: &str, time: Duration) -> Result<()> {
    let capture = AsyncCapture::open(interface)?;
    let wait = async {
        tokio::time::sleep(time).await;
        Ok(())
    };
    let flows = capture.flow_stream(FiveTuple::bidirectional());
    let ((), books) = watch(flows, wait, || Ok(None)).await?;
    books.close()
}

/// Shows what is captured for as long as `work` takes, and what became of everything. `wire` is
/// asked when the wire is silent.
async fn watch<T>(
    flows: FlowStream<Capture, FiveTuple>,
    work: impl Future<Output = Result<T>>,
    wire: impl FnOnce() -> Result<Option<u64>>,
) -> Result<(T, Books)> {
    let stop = flows.get_ref().get_ref().stop_handle();
    let broadcast = flows.broadcast(CAPACITY);
    let log = tokio::spawn(log::write(broadcast.subscribe()));
    let slow = tokio::spawn(slow::read(broadcast.subscribe()));
    let live = live::show(&broadcast, broadcast.subscribe());
    let done = tokio::select! {
        done = work => done?,
        ended = live => return Err(ended.err().unwrap_or_else(|| "the capture ended by itself".into())),
    };
    let (before_end, wire) = (books::settle(&broadcast).await?, wire()?);
    stop.stop();
    let (log, slow) = (log.await??, slow.await??);
    let end = broadcast.stats().await?;
    Ok((
        done,
        Books {
            wire,
            before_end,
            end,
            log,
            slow,
        },
    ))
}

fn seconds(words: &str) -> Result<Duration> {
    let number = words.strip_suffix('s').unwrap_or(words).parse();
    match number.map(Duration::try_from_secs_f64) {
        Ok(Ok(time)) if !time.is_zero() => Ok(time),
        _ => Err(format!("{words:?} is no time; say `10s`").into()),
    }
}
