//! Conversations: both byte streams of a connection, with bounds.

mod bounds;
mod readers;

use std::io::ErrorKind;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use netring_async::{
    AsyncSource, Chunk, Conversation, ConversationConfig, ConversationHalf, ConversationStream,
    MissingBytes, UnfinishedStream,
};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{Side, StreamEnd, Subscription};
use netring_flow::{EndReason, FlowTracker};
use netring_sys::{Count, Error};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::script::{Script, Scripted, Step, scripted};
use super::tcp::{ACK, RST, SYN, client, close, handshake, server};

const SOON: Duration = Duration::from_secs(20);
const SOURCE_ENDED: StreamEnd = StreamEnd::Flow(EndReason::SourceEnded);

type Stream = ConversationStream<FiveTupleKey>;

fn streams_of(source: Scripted, config: &ConversationConfig) -> Stream {
    let tracker = FlowTracker::new(FiveTuple::bidirectional());
    let source = AsyncSource::new(source).unwrap();
    source
        .conversations_with(tracker, Subscription::all(), config)
        .unwrap()
}

fn conversations(config: &ConversationConfig) -> (Script, Stream) {
    let (script, source) = scripted();
    let stream = streams_of(source, config);
    (script, stream)
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(SOON, work).await.expect("it does not come")
}

async fn next(stream: &mut Stream) -> Conversation<FiveTupleKey> {
    soon(stream.next()).await.unwrap().unwrap()
}

/// A batch at this second.
fn at(second: i64, frames: impl IntoIterator<Item = Vec<u8>>) -> Step {
    let time = second * 1_000_000_000;
    Step::Batch(frames.into_iter().map(|frame| (time, frame)).collect())
}

/// What a half yields until its end: bytes, gaps as `(missing, overrun)`, and the reason.
async fn rest(half: &mut ConversationHalf) -> (Vec<u8>, Vec<(u64, u64)>, StreamEnd) {
    let (mut all, mut gaps, mut position) = (Vec::new(), Vec::new(), None);
    loop {
        let (offset, len) = match soon(half.next_chunk()).await {
            Chunk::Data { bytes, offset, .. } => {
                all.extend_from_slice(bytes);
                (offset, bytes.len() as u64)
            }
            Chunk::Gap {
                missing,
                overrun,
                offset,
                ..
            } => {
                gaps.push((missing, overrun));
                (offset, missing)
            }
            Chunk::End(reason) => break (all, gaps, reason),
        };
        assert_eq!(offset, position.unwrap_or(offset), "nothing is left out");
        position = Some(offset + len);
    }
}

#[tokio::test]
async fn both_halves_are_read_by_tasks_of_their_own() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(5000)));
    script.push(at(2, [client(5000, ACK, 1, 1, b"question")]));
    let conversation = next(&mut stream).await;
    assert_eq!(
        conversation.key.to_string(),
        "tcp 10.0.0.1:5000 10.0.0.2:80"
    );
    assert!(!conversation.mid_stream);
    assert_eq!(conversation.time.as_nanos(), 1_000_000_000);
    let Conversation {
        mut initiator,
        mut responder,
        ..
    } = conversation;
    assert_eq!(
        (initiator.side(), responder.side()),
        (Side::Initiator, Side::Responder)
    );
    let Chunk::Data {
        bytes,
        time,
        offset,
    } = soon(initiator.next_chunk()).await
    else {
        panic!("no data");
    };
    assert_eq!((bytes, offset), (&b"question"[..], 0));
    assert_eq!(time.as_nanos(), 2_000_000_000);
    let asked = tokio::spawn(async move {
        let mut all = Vec::new();
        initiator.read_to_end(&mut all).await.map(|_| all)
    });
    let answered = tokio::spawn(async move {
        let mut all = Vec::new();
        responder.read_to_end(&mut all).await.map(|_| all)
    });
    script.push(at(3, [server(5000, ACK, 1, 9, b"ans")]));
    script.push(at(3, [server(5000, ACK, 4, 9, b"wer")]));
    script.push(at(4, close(5000, 8, 6)));
    assert_eq!(soon(asked).await.unwrap().unwrap(), b"");
    assert_eq!(soon(answered).await.unwrap().unwrap(), b"answer");
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.refused, stats.overrun), (1, 0, 0));
    assert_eq!(stats.reassembly.delivered, 14);
    assert_eq!(stats.capture.delivered, Count::Exact(9));
    stream.shutdown().await;
    assert!(script.is_alone(), "the source is closed");
}

/// Sides are independent of the order of the addresses and of who is seen first.
#[tokio::test]
async fn the_initiator_sent_first_even_if_its_address_is_the_second() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    // The end at 10.0.0.2 begins: the test's "server" sends the SYN.
    script.push(at(
        1,
        [
            server(5000, SYN, 0, 0, b""),
            client(5000, SYN | ACK, 0, 1, b""),
            server(5000, ACK, 1, 1, b"first"),
            client(5000, ACK, 1, 6, b"second"),
        ],
    ));
    script.push(Step::End);
    let mut conversation = next(&mut stream).await;
    let begun = rest(&mut conversation.initiator).await;
    assert_eq!(begun, (b"first".to_vec(), vec![], SOURCE_ENDED));
    let answered = rest(conversation.half_mut(Side::Responder)).await;
    assert_eq!(answered, (b"second".to_vec(), vec![], SOURCE_ENDED));
}

#[tokio::test]
async fn a_connection_without_its_beginning_is_marked_and_one_without_bytes_is_none() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(4000)));
    script.push(at(1, [client(5000, ACK, 7777, 1, b"middle")]));
    script.push(Step::End);
    let mut conversation = next(&mut stream).await;
    assert!(conversation.mid_stream);
    assert!(conversation.key.to_string().contains(":5000 "));
    assert_eq!(rest(&mut conversation.initiator).await.0, b"middle");
    assert!(soon(stream.next()).await.is_none());
    assert!(stream.next().now_or_never().unwrap().is_none(), "fused");
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.reassembly.subscribed), (1, 2));
}

#[tokio::test]
async fn missing_bytes_are_a_chunk_and_one_failed_read_and_the_stream_goes_on() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    for port in [5000, 5001] {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, b"abc")]));
        // 10 bytes are missing, and their receiver has them.
        script.push(at(2, [client(port, ACK, 14, 1, b"xyz")]));
        script.push(at(2, [server(port, ACK, 1, 17, b"")]));
    }
    script.push(at(4, handshake(6000)));
    script.push(at(5, close(5000, 16, 0)));
    script.push(at(5, [server(5001, RST, 1, 0, b"")]));
    let (mut chunks, mut plain) = (next(&mut stream).await, next(&mut stream).await);
    let found = rest(&mut chunks.initiator).await;
    assert_eq!(
        found,
        (b"abcxyz".to_vec(), vec![(10, 0)], StreamEnd::Finished)
    );
    let mut all = Vec::new();
    let error = soon(plain.initiator.read_to_end(&mut all))
        .await
        .unwrap_err();
    assert_eq!(
        (&all[..], error.kind()),
        (&b"abc"[..], ErrorKind::InvalidData)
    );
    let missing = error.get_ref().unwrap().downcast_ref::<MissingBytes>();
    let missing = missing.unwrap();
    assert_eq!(
        (missing.missing, missing.overrun, missing.offset),
        (10, 0, 3)
    );
    let error = soon(plain.initiator.read_to_end(&mut all))
        .await
        .unwrap_err();
    assert_eq!(
        (&all[..], error.kind()),
        (&b"abcxyz"[..], ErrorKind::ConnectionReset)
    );
    let unfinished = error.get_ref().unwrap().downcast_ref::<UnfinishedStream>();
    assert_eq!(unfinished.unwrap().reason, StreamEnd::Reset);
    assert_eq!(
        soon(plain.initiator.read_to_end(&mut all)).await.unwrap(),
        0
    );
    assert_eq!(rest(&mut plain.initiator).await.2, StreamEnd::Reset);
}

/// A conversation that nobody reads loses bytes beyond its buffer, and only it.
/// Bytes that come after an overrun, once the reader has taken the buffer, are there again.
/// With `lossless` the source is not read while a buffer is full.
#[tokio::test]
async fn an_error_of_the_source_ends_the_conversations_and_comes_last() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(5000)));
    script.push(at(1, [client(5000, ACK, 1, 1, b"hello")]));
    script.push_all([Step::LinkDown, Step::Removed]);
    let mut conversation = next(&mut stream).await;
    let error = soon(stream.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::InterfaceRemoved { .. }), "{error}");
    assert!(soon(stream.next()).await.is_none());
    for (half, want) in [
        (&mut conversation.initiator, &b"hello"[..]),
        (&mut conversation.responder, b""),
    ] {
        assert_eq!(rest(half).await, (want.to_vec(), vec![], SOURCE_ENDED));
    }
    let stats = stream.stats().await.unwrap();
    assert_eq!(stats.capture.link_downs, Count::Exact(1));
}

#[tokio::test]
async fn dropping_the_stream_ends_all_conversations_and_closes_the_source() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    for port in [5000, 5001] {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, b"hello")]));
    }
    let mut conversation = next(&mut stream).await;
    drop(stream);
    assert_eq!(
        rest(&mut conversation.initiator).await,
        (b"hello".to_vec(), vec![], SOURCE_ENDED)
    );
    let closed = async {
        while !script.is_alone() {
            tokio::task::yield_now().await;
        }
    };
    soon(closed).await;
}

/// The halves outlive their runtime, and so does the stream.
#[test]
fn a_runtime_that_is_dropped_ends_all_with_a_reason() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (script, mut stream, mut conversation) = runtime.block_on(async {
        let (script, mut stream) = conversations(&ConversationConfig::new());
        script.push(at(1, handshake(5000)));
        script.push(at(1, [client(5000, ACK, 1, 1, b"hello")]));
        let conversation = next(&mut stream).await;
        (script, stream, conversation)
    });
    drop(runtime);
    assert!(script.is_alone());
    let found = rest_now(&mut conversation.initiator);
    assert_eq!(found, (b"hello".to_vec(), SOURCE_ENDED));
    let error = futures::executor::block_on(stream.next())
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("task"), "{error}");
    assert!(futures::executor::block_on(stream.next()).is_none());
    futures::executor::block_on(stream.stats()).unwrap_err();
}

fn rest_now(half: &mut ConversationHalf) -> (Vec<u8>, StreamEnd) {
    let mut all = Vec::new();
    loop {
        match half.next_chunk().now_or_never().unwrap() {
            Chunk::Data { bytes, .. } => all.extend_from_slice(bytes),
            Chunk::Gap { .. } => panic!("a gap"),
            Chunk::End(reason) => return (all, reason),
        }
    }
}

#[tokio::test]
async fn a_cancelled_read_loses_nothing() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(5000)));
    script.push(at(1, [client(5000, ACK, 1, 1, b"a")]));
    let mut conversation = next(&mut stream).await;
    let half = &mut conversation.initiator;
    let mut all = Vec::new();
    for n in 2..200_u32 {
        script.push(at(1, [client(5000, ACK, n, 1, &[n as u8])]));
        // Polled once and dropped, at whatever moment.
        if let Some(Chunk::Data { bytes, .. }) = half.next_chunk().now_or_never() {
            all.extend_from_slice(bytes);
        }
        let _ = half
            .read_u8()
            .now_or_never()
            .map(|byte| all.push(byte.unwrap()));
        tokio::task::yield_now().await;
    }
    script.push(Step::End);
    all.extend(rest(half).await.0);
    let want: Vec<u8> = std::iter::once(b'a')
        .chain((2..200_u32).map(|n| n as u8))
        .collect();
    assert_eq!(all, want);
}

#[tokio::test]
async fn only_flows_of_the_subscription_are_read() {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let subscription = Subscription::all()
        .ports([80])
        .first_bytes(|_, bytes| Some(bytes.starts_with(b"GET ")));
    let mut stream = source.conversations(FiveTuple::bidirectional(), subscription);
    for (port, payload) in [(5000, &b"SSH-2.0"[..]), (5001, b"GET / HTTP/1.1")] {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, payload)]));
    }
    script.push(at(1, [xtask::wire::udp4(9, 80, b"GET ")]));
    script.push(Step::End);
    let mut conversation = next(&mut stream).await;
    assert_eq!(rest(&mut conversation.initiator).await.0, b"GET / HTTP/1.1");
    assert!(soon(stream.next()).await.is_none());
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.refused), (1, 0));
}

#[tokio::test]
async fn settings_out_of_range_are_named() {
    for (config, name) in [
        (ConversationConfig::new().buffer(4095), "buffer"),
        (ConversationConfig::new().buffer((1 << 30) + 1), "buffer"),
        (ConversationConfig::new().backlog(0), "backlog"),
    ] {
        let (_, source) = scripted();
        let tracker = FlowTracker::new(FiveTuple::bidirectional());
        let source = AsyncSource::new(source).unwrap();
        let stream = source.conversations_with(tracker, Subscription::all(), &config);
        let Err(Error::Config { setting, .. }) = stream else {
            panic!("{name}");
        };
        assert_eq!(setting, format!("ConversationConfig::{name}"));
    }
}
