//! A bridge between two veth pairs: a namespace on each outer end, whose stacks talk through it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use netring::bridge::{Bridge, BridgeStats, Port, Verdict, WayStats};
use netring::{Capture, Injector, PacketSink, PacketSource};
use xtask::netns::{Netns, ip, veth};

const LIMIT: Duration = Duration::from_secs(20);

/// Two hosts, each at the outer end of a wire whose inner end, `a0` or `b0`, is in this namespace.
pub(crate) struct Hosts {
    pub(crate) a: Netns,
    pub(crate) b: Netns,
    _here: Netns,
}

pub(crate) fn hosts() -> Hosts {
    let here = Netns::enter().unwrap();
    let (a, b) = (Netns::new().unwrap(), Netns::new().unwrap());
    for (host, inner, outer, address) in [(&a, "a0", "a1", 1), (&b, "b0", "b1", 2)] {
        veth(inner, outer).unwrap();
        host.take(outer).unwrap();
        host.run(|| {
            ip(&format!("link set dev {outer} addrgenmode none"))?;
            ip(&format!("address add 10.9.0.{address}/24 dev {outer}"))?;
            ip(&format!("link set dev {outer} up"))
        })
        .unwrap();
    }
    Hosts { a, b, _here: here }
}

#[track_caller]
pub(crate) fn balanced(stats: &WayStats) {
    assert_eq!(stats.received + stats.split, stats.accounted(), "{stats}");
}

/// Bytes of a block.
const BLOCK: usize = 65_536;

/// Blocks of a stream, of which each has its number in front of bytes that are all different.
struct Blocks(Vec<u8>, u64);

impl Blocks {
    fn new() -> Self {
        let words = (0..BLOCK as u64 / 8).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self(words.flat_map(u64::to_be_bytes).collect(), 0)
    }

    fn next(&mut self) -> &[u8] {
        self.0[..8].copy_from_slice(&self.1.to_be_bytes());
        self.1 += 1;
        &self.0
    }
}

/// Sends blocks for this long, and returns how many.
fn pour(mut stream: &TcpStream, time: Duration) -> io::Result<u64> {
    let start = Instant::now();
    let mut blocks = Blocks::new();
    while start.elapsed() < time {
        stream.write_all(blocks.next())?;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(blocks.1)
}

/// Reads until the end, and returns how many blocks there were, each as it was sent.
fn drink(mut stream: &TcpStream) -> io::Result<u64> {
    let (mut blocks, mut bytes) = (Blocks::new(), vec![0; BLOCK]);
    loop {
        match stream.read(&mut bytes[..1])? {
            0 => return Ok(blocks.1),
            _ => stream.read_exact(&mut bytes[1..])?,
        }
        if bytes != blocks.next() {
            return Err(io::Error::other(format!(
                "block {} arrived changed",
                blocks.1 - 1
            )));
        }
    }
}

/// Sends both ways at once over one connection: blocks sent by this end, and blocks received.
fn talk(stream: &TcpStream, time: Duration) -> io::Result<(u64, u64)> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| pour(stream, time));
        let received = drink(stream)?;
        Ok((sender.join().unwrap()?, received))
    })
}

/// Has both hosts talk by TCP for this long: blocks from A to B, and from B to A.
pub(crate) fn converse(hosts: &Hosts, time: Duration) -> (u64, u64) {
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let server = scope.spawn(move || {
            hosts.b.run(|| {
                let listener = TcpListener::bind("10.9.0.2:7000")?;
                tell.send(()).unwrap();
                talk(&listener.accept()?.0, time)
            })
        });
        told.recv().unwrap();
        let client = hosts.a.run(|| {
            let to = "10.9.0.2:7000".parse().unwrap();
            talk(&TcpStream::connect_timeout(&to, LIMIT)?, time)
        });
        let (sent_by_a, received_by_a) = client.unwrap();
        let (sent_by_b, received_by_b) = server.join().unwrap().unwrap();
        assert_eq!((sent_by_a, sent_by_b), (received_by_b, received_by_a));
        (sent_by_a, sent_by_b)
    })
}

/// Runs the bridge on a thread while `work` goes on.
pub(crate) fn while_bridged<S, K, T, L, R>(
    bridge: &mut Bridge<Port<S, K>, Port<T, L>>,
    work: impl FnOnce() -> R,
) -> (R, BridgeStats)
where
    S: PacketSource + std::os::fd::AsFd + Send,
    K: PacketSink + Send,
    T: PacketSource + std::os::fd::AsFd + Send,
    L: PacketSink + Send,
{
    let stop = bridge.stop_handle();
    thread::scope(|scope| {
        let runner = scope.spawn(|| {
            bridge.run(|_| Verdict::Forward).unwrap();
            bridge.stats().unwrap()
        });
        let result = work();
        stop.stop();
        (result, runner.join().unwrap())
    })
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s15_tcp_flows_both_ways_at_the_rate_of_the_wire() {
    let hosts = hosts();
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let _: &Bridge<Port<Capture, Injector>> = &bridge;
    let (blocks, stats) = while_bridged(&mut bridge, || converse(&hosts, Duration::from_secs(3)));
    println!("{blocks:?}\n{stats}");
    balanced(&stats.a_to_b);
    balanced(&stats.b_to_a);
}
