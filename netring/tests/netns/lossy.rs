//! The kernel's TCP over a bridge that loses, repeats and swaps frames: the streams reassembled on
//! either side equal what the programs sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use netring::bridge::{Bridge, Frame, Verdict, Way};
use netring::flow::FlowTracker;
use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::reassembly::{ReassemblyStats, StreamEnd, Subscription};
use netring::{
    AsyncSource, Capture, Chunk, Conversation, ConversationConfig, ConversationHalf, Count,
};
use tokio::runtime::Builder;
use tokio::time::timeout;
use xtask::wire::Sender;

use super::bridge::hosts::{Hosts, hosts};

const LIMIT: Duration = Duration::from_secs(120);
const CONNECTIONS: u64 = 4;
/// Bytes of a stream: by default, a reassembler holds both of a connection.
const LEN: usize = 2_000_000;

/// The bytes that an end sends: its number, then others derived from it.
fn stream(number: u64) -> Vec<u8> {
    let mut state = number;
    let rest = std::iter::repeat_with(|| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        state.to_be_bytes()
    });
    let all = std::iter::once(number.to_be_bytes()).chain(rest);
    all.flatten().take(LEN).collect()
}

/// Sends a stream while it reads one; returns the number of that.
fn exchange(mut connection: &TcpStream, number: u64) -> io::Result<u64> {
    thread::scope(|scope| {
        let sender = scope.spawn(move || {
            connection.write_all(&stream(number))?;
            connection.shutdown(Shutdown::Write)
        });
        let mut received = Vec::new();
        connection.read_to_end(&mut received)?;
        sender.join().unwrap()?;
        let found = u64::from_be_bytes(received[..8].try_into().unwrap());
        assert_eq!(received.len(), LEN);
        assert!(
            received == stream(found),
            "the kernel delivers what was sent"
        );
        Ok(found)
    })
}

/// All connections at once. Those of A have even numbers, those of B odd ones.
fn converse(hosts: &Hosts) {
    let listener = hosts.b.run(|| TcpListener::bind("10.9.0.2:7000")).unwrap();
    let all = |work: &(dyn Fn(u64) -> io::Result<u64> + Sync)| {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..CONNECTIONS)
                .map(|n| scope.spawn(move || work(n)))
                .collect();
            let numbers = threads.into_iter().map(|one| one.join().unwrap().unwrap());
            numbers.collect::<BTreeSet<_>>()
        })
    };
    let (by_b, by_a) = thread::scope(|scope| {
        let servers = scope.spawn(|| all(&|n| exchange(&listener.accept()?.0, 2 * n + 1)));
        let clients = all(&|n| {
            let connection = hosts.a.run(|| TcpStream::connect("10.9.0.2:7000"))?;
            exchange(&connection, 2 * n)
        });
        (clients, servers.join().unwrap())
    });
    assert_eq!(by_a, (0..CONNECTIONS).map(|n| 2 * n).collect());
    assert_eq!(by_b, (0..CONNECTIONS).map(|n| 2 * n + 1).collect());
}

/// The faults of one direction of the bridge.
struct Trouble {
    /// The interface through which the frames of this direction leave.
    out: Sender,
    frames: u64,
    /// A delayed frame, and the number of frames to send before it.
    held: Option<(Vec<u8>, u32)>,
    lost: u64,
    repeated: u64,
    swapped: u64,
}

impl Trouble {
    fn to(interface: &str) -> Self {
        Self {
            out: Sender::on(interface).unwrap(),
            frames: 0,
            held: None,
            lost: 0,
            repeated: 0,
            swapped: 0,
        }
    }

    /// Of 100 frames, one is lost, one arrives twice, and two arrive after later ones.
    fn decide(&mut self, frame: &Frame<'_>) -> Verdict {
        if frame.data()[12..14] != [8, 0] {
            return Verdict::Forward;
        }
        self.frames += 1;
        if let Some((held, before)) = &mut self.held {
            *before -= 1;
            if *before == 0 {
                self.out.send(held).unwrap();
                self.held = None;
            }
        }
        match self.frames % 100 {
            41 => {
                self.lost += 1;
                Verdict::Drop
            }
            67 => {
                self.repeated += 1;
                self.out.send(frame.data()).unwrap();
                Verdict::Forward
            }
            13 | 87 if self.held.is_none() => {
                self.swapped += 1;
                self.held = Some((frame.data().to_vec(), 3));
                Verdict::Drop
            }
            _ => Verdict::Forward,
        }
    }
}

/// The bytes of a half, which has to be complete.
async fn read(mut half: ConversationHalf) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match timeout(LIMIT, half.next_chunk()).await.unwrap() {
            Chunk::Data { bytes, offset, .. } => {
                assert_eq!(offset, all.len() as u64);
                all.extend_from_slice(bytes);
            }
            Chunk::Gap { missing, .. } => panic!("{missing} bytes are missing at {}", all.len()),
            Chunk::End(reason) => {
                assert_eq!(reason, StreamEnd::Finished);
                return all;
            }
        }
    }
}

async fn read_both(conversation: Conversation<FiveTupleKey>) -> [u64; 2] {
    assert!(!conversation.mid_stream);
    let key = conversation.key;
    assert_eq!(key.a().port().min(key.b().port()), 7000, "{key}");
    let halves = [conversation.initiator, conversation.responder];
    let tasks = halves.map(|half| tokio::spawn(read(half)));
    let mut numbers = [0; 2];
    for (number, task) in numbers.iter_mut().zip(tasks) {
        let bytes = task.await.unwrap();
        *number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
        assert!(bytes == stream(*number), "{key}: stream {number} differs");
    }
    numbers
}

/// Reads all conversations of an interface, and compares them with what was sent.
fn reassembled(capture: Capture) -> ReassemblyStats {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let config = ConversationConfig::new().buffer(2 * LEN);
        let tracker = FlowTracker::new(FiveTuple::bidirectional());
        let source = AsyncSource::new(capture).unwrap();
        let all = Subscription::all().ports([7000]);
        let mut stream = source.conversations_with(tracker, all, &config).unwrap();
        let mut reading = Vec::new();
        while reading.len() < CONNECTIONS as usize {
            let next = timeout(LIMIT, stream.next()).await.unwrap();
            reading.push(tokio::spawn(read_both(next.unwrap().unwrap())));
        }
        let joined = join_all(reading).await;
        // A packet that the ring had no room for would be a gap, and so would a hole with more
        // behind it than is held.
        let stats = stream.stats().await.unwrap();
        let forced = stats.reassembly.forced_gaps;
        assert_eq!((stats.capture.dropped, forced), (Count::Exact(0), 0));
        let numbers = joined.into_iter().map(Result::unwrap);
        let (by_a, by_b): (BTreeSet<_>, BTreeSet<_>) = numbers.map(<(u64, u64)>::from).unzip();
        assert_eq!(by_a, (0..CONNECTIONS).map(|n| 2 * n).collect());
        assert_eq!(by_b, (0..CONNECTIONS).map(|n| 2 * n + 1).collect());
        stream.shutdown().await;
        assert_eq!((stats.begun, stats.refused), (CONNECTIONS, 0));
        assert_eq!(stats.overrun, 0);
        stats.reassembly
    })
}

/// A capture of everything that the host sees, whose ring holds all of it: by its bytes, and by the
/// 8 s that its blocks last, also while the reader waits for a processor.
fn capture(interface: &str) -> io::Result<Capture> {
    let builder = Capture::builder().interface(interface);
    let builder = builder.block_size(128 << 10).block_count(512);
    builder.build().map_err(io::Error::other)
}

/// Whole frames with checksums, so that each can be lost alone and sent by another socket.
pub(crate) fn without_offloads(interface: &str) -> io::Result<()> {
    let words = ["-K", interface, "tx", "off", "tso", "off", "gso", "off"];
    let said = Command::new("ethtool").args(words).output()?;
    assert!(said.status.success(), "{said:?}");
    Ok(())
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn streams_over_a_lossy_wire_equal_the_sent_bytes_on_both_sides_of_it() {
    let hosts = hosts();
    let mut captures = Vec::new();
    for (host, outer) in [(&hosts.a, "a1"), (&hosts.b, "b1")] {
        host.run(|| without_offloads(outer)).unwrap();
        captures.push(host.run(|| capture(outer)).unwrap());
    }
    let mut bridge = Bridge::open("a0", "b0").unwrap();
    let mut troubles = [Trouble::to("b0"), Trouble::to("a0")];
    let done = AtomicBool::new(false);
    let figures: Vec<ReassemblyStats> = thread::scope(|scope| {
        let bridging = scope.spawn(|| {
            // Relaxed: nothing else is published. Partner: the store below.
            while !done.load(Ordering::Relaxed) {
                let decide = |frame: &mut Frame<'_>| {
                    let way = usize::from(frame.way() == Way::BToA);
                    troubles[way].decide(frame)
                };
                bridge.run_for(Duration::from_millis(20), decide).unwrap();
            }
        });
        let read = |capture| scope.spawn(move || reassembled(capture));
        let readers: Vec<_> = captures.drain(..).map(read).collect();
        converse(&hosts);
        let figures = readers.into_iter().map(thread::ScopedJoinHandle::join);
        let figures = figures.collect::<Vec<_>>();
        done.store(true, Ordering::Relaxed);
        bridging.join().unwrap();
        figures.into_iter().map(Result::unwrap).collect()
    });
    let stats = bridge.stats().unwrap();
    for (way, trouble) in [&stats.a_to_b, &stats.b_to_a].into_iter().zip(&troubles) {
        let frames = trouble.frames;
        assert_eq!(trouble.lost, (frames + 59) / 100);
        assert_eq!(trouble.repeated, (frames + 33) / 100);
        assert_eq!(trouble.swapped, (frames + 87) / 100 + (frames + 13) / 100);
        assert_eq!(way.dropped, trouble.lost + trouble.swapped, "{way}");
        assert_eq!(way.source.dropped, Count::Exact(0), "{way}");
    }
    for stats in figures {
        let sent = 2 * CONNECTIONS * LEN as u64;
        assert_eq!((stats.delivered, stats.subscribed), (sent, CONNECTIONS));
        assert_eq!((stats.gaps, stats.missing, stats.forced_gaps), (0, 0, 0));
        assert_eq!((stats.inconsistencies, stats.given_up), (0, 0));
        // What the stacks had to send again was seen, and delivered once: nearly all during the
        // stream, and a last segment perhaps when the end was acknowledged.
        let late = stats.discarded.after_end;
        assert_eq!(
            (stats.discarded.total(), stats.held),
            (late, 0),
            "{stats:?}"
        );
        assert_eq!(stats.received, stats.delivered + stats.duplicate + late);
        assert!(stats.duplicate >= 1448 * 10, "{stats:?}");
    }
}
