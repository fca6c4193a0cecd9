//! A bridge between two wires: beside the kernel's, and beside its own halves alone.
//!
//! ```text
//! host A ─ a1 ══ net0 ─ bridge ─ b0 ══ b1 ─ host B
//! ```
//!
//! TCP of the kernel goes from A to B, through ours and through one of the kernel in turn. Live
//! frames of 64 bytes arrive on `net0` at full rate and are forwarded; the others are accounted
//! for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use netring::bridge::{Bridge, BridgeStats, Port, Step, Verdict};
use netring::{Capture, Injector, PacketSink};
use netring_sys::Interface;
use netring_sys::syscall::poll_readable_any;
use xtask::netns::{Netns, bridge, ip, veth};
use xtask::wire::numbered;

use super::ends::NEAR;
use super::generator::{Amount, Generator};
use super::live::QUIET;
use super::measure::cpu_time;
use super::receive::{capture, traffic};
use super::{Options, Row, Table, Target, chain, live, measure};
use crate::Result;

type Packets = Bridge<Port<Capture, Injector>>;

/// Bytes of a write.
const CHUNK: usize = 1 << 17;
const TO: &str = "10.9.0.2:7000";

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    frames(options, table)?;
    let hosts = Hosts::new()?;
    let time = match options.quick {
        true => Duration::from_millis(300),
        false => Duration::from_secs(2),
    };
    let [ours, kernel] = measure::in_turn(
        options,
        [
            &mut || Ok(per_kibibyte(hosts.through_ours(time)?.0, time)),
            &mut || Ok(per_kibibyte(hosts.through_the_kernel(time)?, time)),
        ],
    )?;
    let row = Row::new("bridge: TCP, time", "ns/KiB", ours);
    table.add(row.peer("kernel bridge", kernel));
    if let Some(time) = options.soak {
        let (bytes, stats) = hosts.through_ours(time)?;
        let rate = bytes as f64 * 8e-9 / time.as_secs_f64();
        table.add(Row::new(
            "bridge: TCP for the time of the soak",
            "Gbit/s",
            rate,
        ));
        table.note(format!("bridge: {}", stats.to_string().replace('\n', "; ")));
    }
    Ok(())
}

fn per_kibibyte(bytes: u64, time: Duration) -> f64 {
    time.as_nanos() as f64 / (bytes as f64 / 1024.0)
}

/// Two hosts, and the wires to the interfaces in this namespace.
struct Hosts {
    a: Netns,
    b: Netns,
    _here: Netns,
}

impl Hosts {
    fn new() -> Result<Self> {
        let here = Netns::enter()?;
        let (a, b) = (Netns::new()?, Netns::new()?);
        for (host, inner, outer, n) in [(&a, "a0", "a1", 1), (&b, "b0", "b1", 2)] {
            veth(inner, outer)?;
            host.take(outer)?;
            host.run(|| {
                ip(&format!("link set dev {outer} addrgenmode none"))?;
                ip(&format!("address add 10.9.0.{n}/24 dev {outer}"))?;
                ip(&format!("link set dev {outer} up"))
            })?;
        }
        Ok(Self { a, b, _here: here })
    }

    /// The bytes that arrive at B in this time.
    fn pour(&self, time: Duration) -> Result<u64> {
        let listener = self.b.run(|| TcpListener::bind(TO))?;
        Ok(thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut stream, _) = listener.accept()?;
                let (mut bytes, mut all) = (vec![0; CHUNK], 0);
                while let read @ 1.. = stream.read(&mut bytes)? {
                    all += read as u64;
                }
                std::io::Result::Ok(all)
            });
            self.a.run(|| {
                let mut stream = TcpStream::connect(TO)?;
                let start = Instant::now();
                let bytes = vec![7; CHUNK];
                while start.elapsed() < time {
                    stream.write_all(&bytes)?;
                }
                Ok(())
            })?;
            let ended = reader.join();
            ended.unwrap_or_else(|_| Err(std::io::Error::other("the reader panicked")))
        })?)
    }

    fn through_ours(&self, time: Duration) -> Result<(u64, BridgeStats)> {
        let mut ours = Bridge::open("a0", "b0")?;
        let stop = ours.stop_handle();
        let (bytes, ended) = thread::scope(|scope| {
            let runner = scope.spawn(|| ours.run(|_| Verdict::Forward));
            let bytes = self.pour(time).map_err(|why| chain(why.as_ref()));
            stop.stop();
            (bytes, runner.join())
        });
        ended.map_err(|_| "the bridge panicked")??;
        let stats = ours.stats()?;
        balance(&stats)?;
        Ok((bytes?, stats))
    }

    fn through_the_kernel(&self, time: Duration) -> Result<u64> {
        bridge("br0", &["a0", "b0"])?;
        let bytes = self.pour(time);
        ip("link delete br0")?;
        bytes
    }
}

/// Every frame is accounted for, and none is lost.
fn balance(stats: &BridgeStats) -> Result<()> {
    for way in [&stats.a_to_b, &stats.b_to_a] {
        if way.received + way.split != way.accounted() {
            return Err(format!("the books do not balance: {way:?}").into());
        }
        if way.lost() > 0 {
            return Err(format!("frames were lost: {way}").into());
        }
    }
    Ok(())
}

/// Short frames at full rate: the cost of each, beside sending the same number without a capture.
fn frames(options: &Options, table: &mut Table) -> Result<()> {
    let wire = live::Wire::new()?;
    veth("b0", "b1")?;
    let generator = Generator::new(traffic(options))?;
    table.note(generator.about());
    let amount = Amount::Frames(if options.quick { 300_000 } else { 2_000_000 });
    let frame = numbered(1, 64);
    let mut injector = Injector::open("b0")?;
    let [ours, alone, received] = measure::in_turn(
        options,
        [
            &mut || forward(&generator, amount),
            &mut || inject(options, &mut injector, &frame),
            &mut || {
                let round = capture(&wire, &generator, amount)?;
                Ok(round.per_packet(round.usage.total()))
            },
        ],
    )?;
    let row = Row::new("bridge: 64 B, user + system time", "ns/frame", ours);
    table.add(
        row.peer("injector alone", alone)
            .target(Target::OfPeer(1.0 / 0.85)),
    );
    let row = Row::new("bridge: 64 B, user + system time", "ns/frame", ours);
    table.add(row.peer("injector + capture alone", alone + received));
    Ok(())
}

/// Nanoseconds for each frame that the injector sends.
fn inject(options: &Options, injector: &mut Injector, frame: &[u8]) -> Result<f64> {
    measure::pin(measure::MEASURED_CORE);
    let mut failed = None;
    let cost = measure::cost(options, || {
        let mut group = || -> std::result::Result<u64, netring::Error> {
            let mut count = 0;
            while count < 256 && injector.send(frame)? {
                count += 1;
            }
            while injector.flush()? > 0 {}
            Ok(count)
        };
        let count = group();
        let sent = *count.as_ref().unwrap_or(&1);
        failed = failed.take().or(count.err());
        (sent, ())
    });
    failed.map_or(Ok(cost), |error| Err(error.into()))
}

/// Nanoseconds of CPU time for each frame that is forwarded.
fn forward(generator: &Generator, amount: Amount) -> Result<f64> {
    let arrived = || Interface::by_name("b1").map(|facts| facts.counters.rx_packets);
    let before = arrived()?;
    let mut ours = Bridge::open(NEAR, "b0")?;
    measure::pin(measure::MEASURED_CORE);
    let (time, frames) = thread::scope(|scope| -> Result<_> {
        let sending = scope.spawn(|| generator.send(amount).map_err(|why| chain(why.as_ref())));
        let elapsed = pass(&mut ours, || sending.is_finished())?;
        let sent = sending.join().map_err(|_| "the generator panicked")??;
        Ok((elapsed, sent.frames))
    })?;
    let stats = ours.stats()?;
    balance(&stats)?;
    let way = stats.a_to_b;
    let dropped = way.source.dropped.exact().unwrap_or_default();
    if way.received + dropped != frames || way.forwarded != arrived()? - before {
        return Err(format!("{frames} sent, and the bridge reports {way:?}").into());
    }
    Ok(time.as_nanos() as f64 / way.forwarded as f64)
}

/// Forwards until sending has ended and nothing more arrives. The CPU time of this thread from the
/// first frame to the last.
fn pass(ours: &mut Packets, mut has_ended: impl FnMut() -> bool) -> Result<Duration> {
    let (mut first, mut last) = (None, cpu_time());
    loop {
        let mut seen = false;
        let before = cpu_time();
        let step = ours.step(|_| {
            seen = true;
            Verdict::Forward
        })?;
        if seen {
            last = cpu_time();
            first = first.or(Some(before));
        }
        if let Step::Wait { at_most, .. } = step {
            let ended = has_ended();
            let fd = ours.a().source().as_fd();
            let readable = poll_readable_any([fd], Some(at_most.unwrap_or(QUIET)))?;
            if !readable && ended && at_most.is_none() {
                return Ok(last - first.unwrap_or(last));
            }
        }
    }
}
