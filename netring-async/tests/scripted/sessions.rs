//! Messages of sessions as a stream and as a broadcast.

use std::ops::ControlFlow;
use std::time::Duration;

use futures::StreamExt;
use netring_async::{AsyncSource, SessionStream, Subscriber};
use netring_flow::EndReason;
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{StreamEnd, Subscription};
use netring_flow::session::{Parser, SessionEnd, SessionEvent, SessionPoint};
use tokio::time::timeout;
use xtask::wire::udp4;

use super::script::{Script, Scripted, Step, scripted};
use super::tcp::{ACK, client, close, handshake, server};

const SOON: Duration = Duration::from_secs(20);

/// Words that end with a space. It fails at a `!`, and panics at a `#`.
#[derive(Default)]
struct Words([Vec<u8>; 2]);

impl Parser for Words {
    type Message = String;

    fn data(
        &mut self,
        at: SessionPoint,
        bytes: &[u8],
        messages: &mut Vec<String>,
    ) -> ControlFlow<SessionEnd> {
        for byte in bytes {
            let word = &mut self.0[at.side as usize];
            match byte {
                b'!' => return ControlFlow::Break(SessionEnd::failed("shouting")),
                b'#' => panic!("no word"),
                b' ' => messages.push(String::from_utf8(std::mem::take(word)).unwrap()),
                _ => word.push(*byte),
            }
        }
        ControlFlow::Continue(())
    }
}

type Stream = SessionStream<Scripted, FiveTuple, Words>;
type Event = SessionEvent<FiveTupleKey, String>;

fn sessions() -> (Script, Stream) {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let (extract, all) = (FiveTuple::bidirectional(), Subscription::all());
    let stream = source.session_stream(extract, all, |_| Some(Words::default()));
    (script, stream)
}

fn at(second: i64, frames: impl IntoIterator<Item = Vec<u8>>) -> Step {
    let time = second * 1_000_000_000;
    Step::Batch(frames.into_iter().map(|frame| (time, frame)).collect())
}

/// An event as a line.
fn line(event: &Event) -> String {
    let port = event.key().a().port().max(event.key().b().port());
    let second = event.time().as_nanos() / 1_000_000_000;
    let what = match event {
        SessionEvent::Started { mid_stream, .. } => format!("started {mid_stream}"),
        SessionEvent::Message { side, message, .. } => format!("{side:?} {message}"),
        SessionEvent::Gap { side, missing, .. } => format!("{side:?} gap {missing}"),
        SessionEvent::Ended { reason, .. } => format!("ended {reason}"),
        _ => unreachable!(),
    };
    format!("{second} {port} {what}")
}

async fn all(mut stream: Stream) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(event) = timeout(SOON, stream.next()).await.unwrap() {
        lines.push(match event {
            Ok(event) => line(&event),
            Err(error) => error.to_string(),
        });
    }
    lines
}

async fn received(mut subscriber: Subscriber<Event>) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(event) = timeout(SOON, subscriber.next()).await.unwrap() {
        lines.push(match event {
            Ok(event) => line(&event),
            Err(error) => error.to_string(),
        });
    }
    lines
}

fn talk(script: &Script) {
    script.push(at(1, handshake(5000)));
    script.push(at(2, [client(5000, ACK, 1, 1, b"how are ")]));
    script.push(at(3, [server(5000, ACK, 1, 9, b"fi")]));
    script.push(at(4, [server(5000, ACK, 3, 9, b"ne ")]));
}

const TALK: [&str; 4] = [
    "1 5000 started false",
    "2 5000 Initiator how",
    "2 5000 Initiator are",
    "4 5000 Responder fine",
];

#[tokio::test]
async fn messages_have_key_side_and_time_and_a_failed_parser_ends_only_its_session() {
    let (script, stream) = sessions();
    talk(&script);
    script.push(at(5, [client(6000, ACK, 70, 1, b"loud !")]));
    script.push(at(6, [client(6000, ACK, 76, 1, b"more ")]));
    script.push(at(6, close(5000, 8, 5)));
    script.push(Step::End);
    let mut want: Vec<&str> = TALK.to_vec();
    want.extend([
        "5 6000 started true",
        "5 6000 Initiator loud",
        "5 6000 ended failed: shouting",
        "6 5000 ended finished",
    ]);
    assert_eq!(all(stream).await, want);
}

#[tokio::test]
async fn a_parser_that_panics_ends_its_session_and_neither_the_stream_nor_a_broadcast() {
    let mut want: Vec<&str> = TALK.to_vec();
    want.extend([
        "5 6000 started true",
        "5 6000 Initiator loud",
        "5 6000 ended panicked: no word",
        "6 5000 ended finished",
    ]);
    for broadcasts in [false, true] {
        let (script, stream) = sessions();
        talk(&script);
        script.push(at(5, [client(6000, ACK, 70, 1, b"loud #")]));
        script.push(at(6, [client(6000, ACK, 76, 1, b"more ")]));
        script.push(at(6, close(5000, 8, 5)));
        script.push(Step::End);
        let lines = if broadcasts {
            let broadcast = stream.broadcast(64);
            received(broadcast.subscribe()).await
        } else {
            all(stream).await
        };
        assert_eq!(lines, want);
    }
}

#[tokio::test]
async fn an_error_of_the_source_comes_after_the_ends_of_all_sessions() {
    let (script, stream) = sessions();
    talk(&script);
    script.push(Step::Removed);
    let lines = all(stream).await;
    assert_eq!(lines[..4], TALK);
    assert_eq!(lines[4], "4 5000 ended source-ended");
    assert!(lines[5].contains("x0"), "{lines:?}");
    assert_eq!(lines.len(), 6);
}

#[tokio::test]
async fn a_broadcast_takes_over_queued_events_and_sessions_and_ends_them_when_it_stops() {
    let (script, mut stream) = sessions();
    talk(&script);
    // The first of the three events of a batch is taken; the others are queued.
    let first = timeout(SOON, stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(line(&first), TALK[0]);
    let broadcast = stream.broadcast(16);
    let (a, b) = (broadcast.subscribe(), broadcast.subscribe_lossless());
    let reading = tokio::spawn(received(a));
    while script.left() > 0 {
        tokio::task::yield_now().await;
    }
    broadcast.shutdown().await.unwrap();
    assert!(script.is_alone(), "the source is closed");
    let mut want: Vec<&str> = TALK[1..].to_vec();
    want.push("4 5000 ended source-ended");
    assert_eq!(timeout(SOON, reading).await.unwrap().unwrap(), want);
    assert_eq!(received(b).await, want);
}

#[tokio::test]
async fn the_parts_of_a_stream_make_one_that_goes_on() {
    let (script, mut stream) = sessions();
    script.push(at(1, handshake(5000)));
    script.push(at(2, [client(5000, ACK, 1, 1, b"how are y")]));
    let first = timeout(SOON, stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(line(&first), TALK[0]);
    let (source, tracker, streams, events) = stream.into_parts();
    let lines: Vec<_> = events.iter().map(line).collect();
    assert_eq!(lines, TALK[1..3]);
    let stream = source.session_stream_with(tracker, streams);
    script.push(at(3, [client(5000, ACK, 10, 1, b"ou ")]));
    let mut stop = stream;
    let next = timeout(SOON, stop.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(line(&next), "3 5000 Initiator you");
    assert_eq!(stop.reassembly_stats().delivered, 12);
    let rest = stop.shutdown().await;
    let reason = SessionEnd::Stream(StreamEnd::Flow(EndReason::SourceEnded));
    let [Ok(SessionEvent::Ended { reason: found, .. })] = &rest[..] else {
        panic!("{rest:?}");
    };
    assert_eq!(*found, reason);
    assert!(script.is_alone());
}

#[tokio::test]
async fn datagrams_are_those_of_flows_that_are_not_tcp() {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let (extract, all) = (FiveTuple::bidirectional(), Subscription::all());
    let mut stream = source.datagram_stream(extract, all, |_| Some(Words::default()));
    talk(&script);
    script.push(at(5, [udp4(4000, 53, b"what name ")]));
    script.push(at(6, [udp4(4000, 53, b"again ")]));
    script.push(Step::End);
    let mut lines = Vec::new();
    while let Some(event) = timeout(SOON, stream.next()).await.unwrap() {
        lines.push(line(&event.unwrap()));
    }
    let want = [
        "5 4000 started false",
        "5 4000 Initiator what",
        "5 4000 Initiator name",
        "6 4000 Initiator again",
        "6 4000 ended source-ended",
    ];
    assert_eq!(lines, want);
    assert!(stream.next().await.is_none());
    assert_eq!(stream.reassembly_stats().subscribed, 1);
}
