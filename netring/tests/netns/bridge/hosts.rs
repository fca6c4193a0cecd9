//! Two hosts at the outer ends of two wires, whose stacks talk TCP through whatever is in between.
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use netring::Interface;
use xtask::netns::{Netns, ip, veth_with_queues};

const LIMIT: Duration = Duration::from_secs(20);

/// Two hosts, each at the outer end of a wire whose inner end, `a0` or `b0`, is in this namespace.
pub(crate) struct Hosts {
    pub(crate) a: Netns,
    pub(crate) b: Netns,
    _here: Netns,
}

pub(crate) fn hosts() -> Hosts {
    hosts_with_mtu(1500)
}

pub(crate) fn hosts_with_mtu(mtu: u32) -> Hosts {
    let here = Netns::enter().unwrap();
    let (a, b) = (Netns::new().unwrap(), Netns::new().unwrap());
    for (host, inner, outer, address) in [(&a, "a0", "a1", 1), (&b, "b0", "b1", 2)] {
        veth_with_queues(inner, outer, 1).unwrap();
        ip(&format!("link set dev {inner} mtu {mtu}")).unwrap();
        host.take(outer).unwrap();
        host.run(|| {
            ip(&format!("link set dev {outer} addrgenmode none"))?;
            ip(&format!("link set dev {outer} mtu {mtu}"))?;
            ip(&format!("address add 10.9.0.{address}/24 dev {outer}"))?;
            ip(&format!("link set dev {outer} up"))
        })
        .unwrap();
    }
    Hosts { a, b, _here: here }
}

impl Hosts {
    /// Packets that the outer ends have sent and received, by their own counters: first A's, then
    /// B's.
    pub(crate) fn counted(&self) -> [(u64, u64); 2] {
        [(&self.a, "a1"), (&self.b, "b1")].map(|(host, outer)| {
            let facts = host.run(|| Interface::by_name(outer).map_err(io::Error::other));
            let counters = facts.unwrap().counters;
            (counters.tx_packets, counters.rx_packets)
        })
    }
}

/// Bytes of a block.
const BLOCK: usize = 65_536;

/// Blocks of a stream, each with its number in front of bytes that are all different.
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

/// Reads until the end, and returns how many blocks arrived, each as it was sent.
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

/// Sends in both directions at once over one connection; returns the blocks sent by this end, and
/// those received.
fn talk(stream: &TcpStream, time: Duration) -> io::Result<(u64, u64)> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    thread::scope(|scope| {
        let sender = scope.spawn(|| pour(stream, time));
        let received = drink(stream)?;
        Ok((sender.join().unwrap()?, received))
    })
}

/// Lets both hosts talk TCP for this long; returns the blocks from A to B, and from B to A. `to` is
/// an address of B.
pub(crate) fn converse(hosts: &Hosts, to: &str, time: Duration) -> (u64, u64) {
    let to: SocketAddr = format!("{to}:7000").parse().unwrap();
    thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let server = scope.spawn(move || {
            hosts.b.run(|| {
                let listener = TcpListener::bind(to)?;
                tell.send(()).unwrap();
                talk(&listener.accept()?.0, time)
            })
        });
        told.recv().unwrap();
        let client = hosts
            .a
            .run(|| talk(&TcpStream::connect_timeout(&to, LIMIT)?, time));
        let (sent_by_a, received_by_a) = client.unwrap();
        let (sent_by_b, received_by_b) = server.join().unwrap().unwrap();
        assert_eq!((sent_by_a, sent_by_b), (received_by_b, received_by_a));
        (sent_by_a, sent_by_b)
    })
}
