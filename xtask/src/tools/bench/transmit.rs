//! Sending through a ring, next to a loop with `sendmmsg`.
//!
//! An IFB device throws frames away at once, so it shows what sending itself costs. Over veth the
//! sender also delivers the frames to a capture at the other end, which copies them.

use std::thread;
use std::time::Duration;

use netring_afpacket::{Capture, CopyMode, Injector};
use netring_sys::wait::StopHandle;
use netring_sys::{Interface, PacketSink, PacketSource};
use xtask::netns::{Netns, ip, veth};
use xtask::wire::numbered;

use super::measure::{self, cost, in_turn};
use super::sendmmsg::{GROUP, Sender};
use super::{Options, Row, Table, Target};
use crate::Result;

const LENGTHS: [usize; 2] = [60, 1514];
const LIMIT: Duration = Duration::from_secs(10);

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _ns = Netns::enter()?;
    measure::pin(measure::MEASURED_CORE);
    ip("link add ifb0 type ifb")?;
    ip("link set ifb0 up")?;
    while !Interface::by_name("ifb0")?.is_up() {
        thread::sleep(Duration::from_millis(1));
    }
    for len in LENGTHS {
        let [ours, pages, peer] = turns(options, "ifb0", true, len)?;
        let what = format!("transmit: IFB without queueing discipline, {len} bytes");
        table.add(
            Row::new(what.clone(), "ns/frame", ours)
                .peer("sendmmsg, 64 a call", peer)
                .target(Target::OfPeer(1.0 / 1.3)),
        );
        let row = Row::new(format!("{what}, zero-copy"), "ns/frame", pages);
        table.add(row.peer("sendmmsg, 64 a call", peer));
    }
    veth("v0", "v1")?;
    for len in LENGTHS {
        let far = Far::open()?;
        let before = Interface::by_name("v1")?.counters.rx_packets;
        let [ours, pages, peer] = turns(options, "v0", false, len)?;
        let received = Interface::by_name("v1")?.counters.rx_packets - before;
        let seen = far.end()?;
        if seen != received {
            return Err(format!("{received} frames arrived, the capture has {seen}").into());
        }
        let row = Row::new(format!("transmit: veth, {len} bytes"), "ns/frame", ours);
        let (name, best) = match pages < peer {
            true => ("zero-copy", pages),
            false => ("sendmmsg, 64 a call", peer),
        };
        table.add(row.peer(name, best).target(Target::OfPeer(1.05)));
    }
    Ok(())
}

/// Nanoseconds for each frame: by default, from the pages of the ring, and by the peer.
fn turns(options: &Options, interface: &str, bypass: bool, len: usize) -> Result<[f64; 3]> {
    let frame = numbered(1, len);
    let open = |mode| {
        let builder = Injector::builder(interface).qdisc_bypass(bypass);
        builder.copy_mode(mode).build()
    };
    let mut default = open(CopyMode::default())?;
    let mut pages = open(CopyMode::ZeroCopy)?;
    let mut peer = Sender::open(interface, bypass)?;
    let costs = in_turn(
        options,
        [
            &mut || ours(options, &mut default, &frame),
            &mut || ours(options, &mut pages, &frame),
            &mut || {
                let mut failed = None;
                let cost = cost(options, || match peer.send(&frame) {
                    Ok(count) => (count, ()),
                    Err(error) => {
                        failed = Some(error);
                        (1, ())
                    }
                });
                failed.map_or(Ok(cost), Err)
            },
        ],
    )?;
    for injector in [&mut default, &mut pages] {
        let stats = injector.stats()?;
        if stats.sent.exact() != Some(stats.committed) || stats.pending > 0 {
            return Err(format!("the injector reports {stats}").into());
        }
    }
    Ok(costs)
}

/// Nanoseconds of this thread for each frame, in groups as large as the peer's.
fn ours(options: &Options, injector: &mut Injector, frame: &[u8]) -> Result<f64> {
    let mut failed = None;
    let cost = cost(options, || match group(injector, frame) {
        Ok(count) => (count, ()),
        Err(error) => {
            failed = Some(error);
            (1, ())
        }
    });
    if injector.drain(LIMIT)? > 0 {
        return Err("frames are left".into());
    }
    failed.map_or(Ok(cost), |error| Err(error.into()))
}

fn group(injector: &mut Injector, frame: &[u8]) -> std::result::Result<u64, netring_sys::Error> {
    let mut count = 0;
    while count < GROUP as u64 && injector.send(frame)? {
        count += 1;
    }
    while injector.flush()? > 0 {}
    Ok(count)
}

/// A capture at the other end, which a thread reads on another core.
struct Far {
    stop: StopHandle,
    reader: thread::JoinHandle<std::result::Result<u64, netring_sys::Error>>,
}

impl Far {
    fn open() -> Result<Self> {
        let mut capture = Capture::open("v1")?;
        let stop = capture.stop_handle();
        let reader = thread::spawn(move || {
            measure::pin(measure::GENERATOR_CORE);
            capture.for_each(|_| {})?;
            // What it dropped arrived too.
            let stats = capture.stats()?;
            Ok(stats.offered.value().unwrap_or_default())
        });
        Ok(Self { stop, reader })
    }

    fn end(self) -> Result<u64> {
        self.stop.stop();
        let offered = self.reader.join().map_err(|_| "the reader panicked")?;
        Ok(offered?)
    }
}
