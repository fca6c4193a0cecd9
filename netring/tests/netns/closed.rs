//! Connections of the kernel are reported closed when they close, live.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use netring::afpacket::Profile;
use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::{EndReason, FlowEvent, FlowTracker};
use netring::{Capture, PacketSource, Readiness};
use xtask::netns::{Netns, ip, veth};

/// Tracks packets until this many connections have closed.
fn track(
    capture: &mut Capture,
    tracker: &mut FlowTracker<FiveTuple>,
    closed: u64,
) -> Vec<FlowEvent<FiveTupleKey>> {
    let (start, mut events) = (Instant::now(), Vec::new());
    while tracker.stats().flows_closed < closed {
        if capture.ready().unwrap() == Readiness::Ready {
            tracker.track_batch(&capture.batch(), &mut events);
        } else {
            assert!(start.elapsed() < Duration::from_secs(4), "{events:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }
    events
}

/// The port of the client and the reason of each close, in order.
fn closes(events: &[FlowEvent<FiveTupleKey>]) -> Vec<(u16, EndReason)> {
    let close = |event: &FlowEvent<FiveTupleKey>| match event {
        FlowEvent::Closed { key, reason, .. } => {
            Some((key.a().port().max(key.b().port()), *reason))
        }
        _ => None,
    };
    events.iter().filter_map(close).collect()
}

fn connect(listener: &TcpListener) -> (TcpStream, TcpStream, u16) {
    let client = TcpStream::connect("10.9.0.2:80").unwrap();
    let port = client.local_addr().unwrap().port();
    (client, listener.accept().unwrap().0, port)
}

/// Reads until the end, which acknowledges the other end's FIN.
fn read_end(stream: &mut TcpStream) {
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn a_connection_is_reported_closed_by_its_last_packet_and_a_half_closed_one_is_not() {
    let _ns = Netns::enter().unwrap();
    let peer = Netns::new().unwrap();
    veth("v0", "v1").unwrap();
    peer.take("v1").unwrap();
    ip("addr add 10.9.0.1/24 dev v0").unwrap();
    let listener = peer
        .run(|| {
            ip("link set v1 up")?;
            ip("addr add 10.9.0.2/24 dev v1")?;
            TcpListener::bind("10.9.0.2:80")
        })
        .unwrap();
    let builder = Capture::builder().interface("v0");
    let mut capture = builder.profile(Profile::Immediate).build().unwrap();
    let mut tracker = FlowTracker::new(FiveTuple::bidirectional());

    // Half-closed: the server has received the FIN, and sends none.
    let (half, mut answers, _) = connect(&listener);
    half.shutdown(Shutdown::Write).unwrap();
    read_end(&mut answers);

    // A FIN from each end, the client's first.
    let (client, mut server, first) = connect(&listener);
    client.shutdown(Shutdown::Write).unwrap();
    read_end(&mut server);
    drop((client, server));
    let mut events = track(&mut capture, &mut tracker, 1);

    // The kernel resets a connection that is closed with unread data.
    let (mut client, server, second) = connect(&listener);
    client.write_all(b"never read").unwrap();
    assert_eq!(server.peek(&mut [0; 64]).unwrap(), 10);
    drop(server);
    let error = client.read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    events.extend(track(&mut capture, &mut tracker, 2));

    let expected = [(first, EndReason::Finished), (second, EndReason::Reset)];
    assert_eq!(closes(&events), expected);
    // None has reached the end of its linger time.
    let is_end = |event: &&FlowEvent<_>| matches!(event, FlowEvent::Ended { .. });
    assert_eq!(events.iter().filter(is_end).count(), 0);
    assert_eq!(tracker.stats().flows_established, 3);

    // The server closes its half as well.
    drop(answers);
    let half = half.local_addr().unwrap().port();
    let events = track(&mut capture, &mut tracker, 3);
    assert_eq!(closes(&events), [(half, EndReason::Finished)]);
}
