//! The plain loop over a source: it continues while an interface is quiet, down or flapping, and
//! ends when the source is stopped or the interface removed. The same for every source and every
//! loop.

use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use netring::adapters::AnySource;
use netring::wait::StopHandle;
use netring::{
    AsyncSource, Count, Error, Input, Interface, PacketBatch, PacketSource, Stats, Timed,
};
use tokio::runtime::Builder;
use xtask::load::wait_until;
use xtask::netns::{Netns, ip, veth};
use xtask::wire::{self, number, numbered};

const LIMIT: Duration = Duration::from_secs(10);
/// Longer than any wait inside a loop, which is 50 ms.
const QUIET: Duration = Duration::from_millis(60);

/// A loop: sends the number of each packet, and returns how it ended and the last statistics.
pub(crate) type Loop<S> = fn(S, &Sender<u64>) -> (Result<(), Error>, Stats);

fn send_numbers(batch: &impl PacketBatch, seen: &Sender<u64>) {
    for packet in batch.packets() {
        seen.send(number(packet.data()).unwrap()).unwrap();
    }
}

/// As in the README.
pub(crate) fn plain<S: PacketSource>(
    mut source: S,
    seen: &Sender<u64>,
) -> (Result<(), Error>, Stats) {
    let mut read = || {
        while let Some(batch) = source.next_batch()? {
            send_numbers(&batch, seen);
        }
        Ok(())
    };
    (read(), source.stats().unwrap())
}

pub(crate) fn for_each<S: PacketSource>(
    mut source: S,
    seen: &Sender<u64>,
) -> (Result<(), Error>, Stats) {
    let end = source.for_each(|packet| seen.send(number(packet.data()).unwrap()).unwrap());
    (end, source.stats().unwrap())
}

/// With other work to do now and then.
pub(crate) fn in_steps<S: PacketSource>(
    mut source: S,
    seen: &Sender<u64>,
) -> (Result<(), Error>, Stats) {
    let mut read = || {
        loop {
            match source.next_batch_timeout(Duration::from_millis(50))? {
                Timed::Batch(batch) => send_numbers(&batch, seen),
                Timed::TimedOut => {}
                Timed::Ended => return Ok(()),
            }
        }
    };
    (read(), source.stats().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The plain loop of an async source.
pub(crate) fn awaited<S: PacketSource + AsFd>(
    source: S,
    seen: &Sender<u64>,
) -> (Result<(), Error>, Stats) {
    runtime().block_on(async { read(AsyncSource::new(source).unwrap(), seen).await })
}

/// The same over a source that may be a file.
pub(crate) fn awaited_input(source: Input, seen: &Sender<u64>) -> (Result<(), Error>, Stats) {
    runtime().block_on(async { read(source.into_async().unwrap(), seen).await })
}

/// The same over a source whose type is erased.
pub(crate) fn awaited_any(source: AnySource, seen: &Sender<u64>) -> (Result<(), Error>, Stats) {
    runtime().block_on(async {
        let source = AsyncSource::with_descriptor(source, AnySource::descriptor);
        read(source.unwrap(), seen).await
    })
}

async fn read<S: PacketSource>(
    mut source: AsyncSource<S>,
    seen: &Sender<u64>,
) -> (Result<(), Error>, Stats) {
    let end = loop {
        match source.next_batch().await {
            Ok(Some(batch)) => send_numbers(&batch, seen),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    (end, source.stats().unwrap())
}

/// A stream of packets.
pub(crate) fn streamed<S: PacketSource + AsFd>(
    source: S,
    seen: &Sender<u64>,
) -> (Result<(), Error>, Stats) {
    runtime().block_on(async {
        let mut packets = AsyncSource::new(source).unwrap().packets();
        let mut end = Ok(());
        while let Some(packet) = packets.next().await {
            match packet {
                Ok(packet) => seen.send(number(packet.data()).unwrap()).unwrap(),
                Err(error) => end = Err(error),
            }
        }
        (end, packets.stats().unwrap())
    })
}

/// A loop over a source on `v1`, running on a thread, and what it has seen.
struct Running {
    thread: thread::JoinHandle<(Result<(), Error>, Stats)>,
    seen: Receiver<u64>,
    sent: u64,
}

impl Running {
    fn new<S: PacketSource + Send + 'static>(source: S, read: Loop<S>) -> Self {
        let (sender, seen) = mpsc::channel();
        Self {
            thread: thread::spawn(move || read(source, &sender)),
            seen,
            sent: 0,
        }
    }

    /// Checks that three packets sent now are seen and nothing else, and that the loop continues.
    #[track_caller]
    fn sees_packets(&mut self) {
        // A socket has an error after its interface was down, so each round uses a new one.
        let sender = wire::Sender::on("v0").unwrap();
        for _ in 0..3 {
            sender.send(&numbered(self.sent, 60)).unwrap();
            assert_eq!(self.seen.recv_timeout(LIMIT), Ok(self.sent));
            self.sent += 1;
        }
        self.goes_on();
    }

    #[track_caller]
    fn goes_on(&self) {
        thread::sleep(QUIET);
        assert_eq!(self.seen.try_recv(), Err(TryRecvError::Empty));
        assert!(!self.thread.is_finished());
    }

    #[track_caller]
    fn ends(self) -> (Result<(), Error>, Stats) {
        wait_until("the loop ends", LIMIT, || self.thread.is_finished());
        assert_eq!(self.seen.try_recv(), Err(TryRecvError::Disconnected));
        self.thread.join().unwrap()
    }
}

fn set(end: &str, state: &str) {
    ip(&format!("link set dev {end} {state}")).unwrap();
}

fn are(up: bool) {
    for end in ["v0", "v1"] {
        wait_until("both ends are up, or down", LIMIT, || {
            Interface::by_name(end).unwrap().is_up() == up
        });
    }
}

/// Sets an end down. The kernel takes the carrier from the other end later, and does not announce
/// one that is back before.
fn goes_down(end: &str) {
    set(end, "down");
    are(false);
}

fn comes_up(end: &str) {
    set(end, "up");
    are(true);
}

/// A loop behaves correctly whatever happens to the interface.
#[track_caller]
pub(crate) fn is_right<S: PacketSource + Send + 'static>(
    open: impl Fn() -> (S, StopHandle),
    read: Loop<S>,
) {
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let (source, _stop) = open();
    let mut running = Running::new(source, read);
    running.goes_on();
    running.sees_packets();
    // First the interface itself is set down, then the other end, which takes the carrier away.
    for end in ["v1", "v0"] {
        goes_down(end);
        running.goes_on();
        comes_up(end);
        running.sees_packets();
    }
    // It flaps faster than anybody looks.
    for _ in 0..3 {
        set("v1", "down");
        comes_up("v1");
    }
    running.sees_packets();
    let sent = running.sent;
    ip("link del dev v1").unwrap();
    let (end, stats) = running.ends();
    assert!(
        matches!(&end, Err(Error::InterfaceRemoved { interface }) if interface == "v1"),
        "{end:?}"
    );
    assert_eq!(stats.delivered, Count::Exact(sent));
    // The kernel sets an interface down before it removes it.
    assert_eq!(stats.link_downs, Count::Exact(6));

    // A stop is the end and not an error, even while the interface is down.
    veth("v0", "v1").unwrap();
    set("v1", "down");
    let (source, stop) = open();
    let mut running = Running::new(source, read);
    running.goes_on();
    comes_up("v1");
    running.sees_packets();
    set("v1", "down");
    running.goes_on();
    stop.stop();
    let (end, stats) = running.ends();
    assert!(matches!(end, Ok(())), "{end:?}");
    assert_eq!(stats.link_downs, Count::Exact(1));
}
