//! `cargo xtask demo`: the packets of a real wire, their flows, three subscribers of one capture,
//! and at the end the balance of all counters.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]

mod balance;
mod board;
mod live;
mod log;
mod screen;
mod slow;
mod traffic;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::{FlowTracker, Timeouts, TrackerConfig};
use netring::{AsyncCapture, Capture, FlowBroadcast, FlowStream};
use xtask::demo_options::{HELP, Options, Request};

use balance::Balance;
use board::Shared;
use screen::Screen;
use world::World;

/// Why the demo failed.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

type Broadcast = FlowBroadcast<FiveTupleKey>;

/// Batches of events that a subscriber may be behind before it loses the oldest: few, so that the
/// slow one does.
const CAPACITY: usize = 16;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match Request::parse(&args) {
        Ok(Request::Help) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Request::Run(options)) => run(&options),
        Err(why) => Err(why.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask demo: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match &options.interface {
            None => own_network(options).await,
            Some(interface) => existing(interface, options).await,
        }
    })
}

/// Two hosts that talk over their own wire. It carries nothing else, so the interface's own
/// counters decide.
async fn own_network(options: &Options) -> Result<()> {
    let world = World::new()?;
    let capture = AsyncCapture::open(world::WIRE)?;
    // No host has an address yet, so the first packet on this wire is captured.
    world.wake()?;
    world.server.run(traffic::serve)?;
    // A thread started here is in the same namespace: on the client's host.
    let talk = async { Ok(tokio::task::spawn_blocking(traffic::talk).await??) };
    let flows = track(capture, short_timeouts())?;
    let wire = || Ok(Some(world::packets_on_wire()?));
    let title = "net0, a wire of the demo's own";
    let (made, balance) = watch(flows, Screen::new(title, options.log), talk, wire).await?;
    println!(
        "\ntraffic      {} TCP connections and {} UDP conversations, {} bytes of answers",
        made.tcp, made.udp, made.bytes
    );
    balance.close()
}

/// So short that some flows end while others continue.
fn short_timeouts() -> Timeouts {
    let second = Duration::from_secs(1);
    Timeouts::default().tcp_closing(second).udp(second)
}

/// An interface of this machine, without generated traffic. Its counters cannot be read at the
/// moment when the capture begins and ends, so they are not compared.
async fn existing(interface: &str, options: &Options) -> Result<()> {
    let capture = AsyncCapture::open(interface)?;
    let wait = async {
        match options.time {
            Some(time) => tokio::select! {
                () = tokio::time::sleep(time) => Ok(()),
                stopped = tokio::signal::ctrl_c() => Ok(stopped?),
            },
            None => Ok(tokio::signal::ctrl_c().await?),
        }
    };
    let flows = track(capture, Timeouts::default())?;
    let screen = Screen::new(interface, options.log);
    let ((), balance) = watch(flows, screen, wait, || Ok(None)).await?;
    println!();
    balance.close()
}

fn track(capture: AsyncCapture, timeouts: Timeouts) -> Result<FlowStream<Capture, FiveTuple>> {
    let config = TrackerConfig::new().timeouts(timeouts);
    let tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
    Ok(capture.flow_stream_with(tracker))
}

/// Shows the captured traffic while `work` runs, and then the balance. `wire` is called when the
/// wire is silent.
async fn watch<T>(
    flows: FlowStream<Capture, FiveTuple>,
    screen: Screen,
    work: impl Future<Output = Result<T>>,
    wire: impl FnOnce() -> Result<Option<u64>>,
) -> Result<(T, Balance)> {
    let broadcast = flows.broadcast(CAPACITY);
    let board = Shared::default();
    let log = tokio::spawn(log::read(
        broadcast.subscribe(),
        board.clone(),
        screen.log(),
    ));
    let slow = tokio::spawn(slow::read(broadcast.subscribe(), board.clone()));
    let live = tokio::spawn(live::read(broadcast.subscribe(), board.clone()));
    let done = tokio::select! {
        done = work => done?,
        ended = screen::redraw(&screen, &broadcast, &board) => return Err(ended),
    };
    let (before_end, wire) = (balance::settle(&broadcast).await?, wire()?);
    let end = broadcast.shutdown().await?;
    let (log, slow) = (log.await??, slow.await??);
    live.await??;
    screen.close();
    let balance = Balance {
        wire,
        before_end,
        end,
        log,
        slow,
    };
    Ok((done, balance))
}
