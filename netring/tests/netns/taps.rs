//! A network tap: the two directions of a wire come from two captures, of which either may be read
//! before the other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use netring::flow::extract::FiveTuple;
use netring::flow::reassembly::{StreamEnd, Subscription};
use netring::wait::Merge;
use netring::{AsyncSource, Capture, Chunk, Conversation, ConversationHalf, Count};
use tokio::runtime::Builder;
use tokio::time::timeout;
use xtask::netns::{Netns, ip, veth};

const LIMIT: Duration = Duration::from_secs(60);
/// Requests of a byte, and answers of more, over several blocks of either capture.
const ROUNDS: usize = 250;
const ANSWER: usize = 3000;
const PAUSE: Duration = Duration::from_micros(500);

fn hosts() -> (Netns, Netns) {
    let (a, b) = (Netns::enter().unwrap(), Netns::new().unwrap());
    veth("v0", "v1").unwrap();
    b.take("v1").unwrap();
    ip("address add 10.8.0.1/24 dev v0").unwrap();
    let words = ["address add 10.8.0.2/24 dev v1", "link set dev v1 up"];
    b.run(|| words.into_iter().try_for_each(ip)).unwrap();
    (a, b)
}

/// What an interface receives, with the default settings.
fn received(interface: &str) -> Capture {
    let builder = Capture::builder().interface(interface);
    builder.ignore_outgoing(true).build().unwrap()
}

fn ask() {
    let mut connection = TcpStream::connect("10.8.0.2:7000").unwrap();
    connection.set_nodelay(true).unwrap();
    for round in 0..ROUNDS {
        connection.write_all(&[round as u8]).unwrap();
        let mut answer = [0; ANSWER];
        connection.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [round as u8; ANSWER]);
        thread::sleep(PAUSE);
    }
    connection.shutdown(Shutdown::Write).unwrap();
    assert_eq!(connection.read(&mut [0]).unwrap(), 0);
}

fn answer(listener: &TcpListener) {
    let mut connection = listener.accept().unwrap().0;
    connection.set_nodelay(true).unwrap();
    let mut request = [0];
    while connection.read(&mut request).unwrap() == 1 {
        connection.write_all(&[request[0]; ANSWER]).unwrap();
    }
}

async fn read(mut half: ConversationHalf) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        match timeout(LIMIT, half.next_chunk()).await.unwrap() {
            Chunk::Data { bytes, .. } => all.extend_from_slice(bytes),
            Chunk::Gap { missing, .. } => panic!("{missing} bytes are missing at {}", all.len()),
            Chunk::End(reason) => {
                assert_eq!(reason, StreamEnd::Finished);
                return all;
            }
        }
    }
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn both_directions_of_a_tap_are_whole_whichever_is_read_first() {
    let (_a, b) = hosts();
    let listener = b.run(|| TcpListener::bind("10.8.0.2:7000")).unwrap();
    let captures = [received("v0"), b.run(|| Ok(received("v1"))).unwrap()];
    let merge = Merge::new(captures).unwrap();
    let reading = thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let source = AsyncSource::new(merge).unwrap();
            let mut stream = source.conversations(FiveTuple::bidirectional(), Subscription::all());
            let next = timeout(LIMIT, stream.next()).await.unwrap();
            let Conversation {
                initiator,
                responder,
                ..
            } = next.unwrap().unwrap();
            let halves = [initiator, responder].map(|half| tokio::spawn(read(half)));
            let [requests, answers] = halves;
            let read = (requests.await.unwrap(), answers.await.unwrap());
            (read, stream.stats().await.unwrap())
        })
    });
    thread::scope(|scope| {
        scope.spawn(|| answer(&listener));
        ask();
    });
    let ((requests, answers), stats) = reading.join().unwrap();
    let sent: Vec<_> = (0..ROUNDS).map(|round| round as u8).collect();
    assert_eq!(requests, sent);
    let sent: Vec<_> = sent.into_iter().flat_map(|round| [round; ANSWER]).collect();
    assert!(answers == sent, "{} bytes", answers.len());
    assert_eq!(stats.capture.dropped, Count::Exact(0));
    assert_eq!((stats.reassembly.gaps, stats.reassembly.missing), (0, 0));
}
