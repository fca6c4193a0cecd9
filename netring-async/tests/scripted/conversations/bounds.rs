//! The bounds of conversations: who loses what, and who waits.

use futures::StreamExt;
use netring_async::{Chunk, ConversationConfig};
use netring_flow::reassembly::StreamEnd;

use super::super::script::{Step, scripted};
use super::super::tcp::{ACK, client, close, handshake};
use super::{SOURCE_ENDED, at, conversations, next, rest, soon, streams_of};

fn text(times: usize, len: usize) -> Vec<u8> {
    (0..times * len).map(|n| (n / len) as u8).collect()
}

#[tokio::test]
async fn a_reader_that_does_not_read_loses_exactly_what_its_buffer_cannot_hold() {
    const SEGMENT: usize = 1000;
    let config = ConversationConfig::new().buffer(4096);
    let (script, mut stream) = conversations(&config);
    for port in [5000, 5001] {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, &[0; SEGMENT])]));
    }
    let (mut slow, mut quick) = (next(&mut stream).await, next(&mut stream).await);
    let reading = tokio::spawn(async move { rest(&mut quick.initiator).await });
    for n in 1..100_u32 {
        let frames = [5000, 5001]
            .map(|port| client(port, ACK, 1 + n * SEGMENT as u32, 1, &[n as u8; SEGMENT]));
        script.push(at(2, frames));
        while script.left() > 0 {
            tokio::task::yield_now().await;
        }
        stream.stats().await.unwrap();
    }
    script.push(at(3, close(5000, 100_000, 0)));
    script.push(at(3, close(5001, 100_000, 0)));
    let found = soon(reading).await.unwrap();
    assert_eq!(found, (text(100, SEGMENT), vec![], StreamEnd::Finished));
    // 3 segments of 1032 bytes fit.
    let found = rest(&mut slow.initiator).await;
    let want = (
        text(3, SEGMENT),
        vec![(97_000, 97_000)],
        StreamEnd::Finished,
    );
    assert_eq!(found, want);
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.overrun, stats.waits), (2, 97_000, 0));
    assert_eq!(stats.reassembly.delivered, 200_000);
}

#[tokio::test]
async fn a_reader_that_catches_up_goes_on_behind_its_loss() {
    let (script, mut stream) = conversations(&ConversationConfig::new().buffer(4096));
    script.push(at(1, handshake(5000)));
    script.push(at(1, [client(5000, ACK, 1, 1, &[1; 4000])]));
    script.push(at(1, [client(5000, ACK, 4001, 1, &[2; 500])]));
    script.push(at(1, [client(5000, ACK, 4501, 1, &[2; 7])]));
    let mut conversation = next(&mut stream).await;
    while stream.stats().await.unwrap().overrun < 507 {
        tokio::task::yield_now().await;
    }
    let half = &mut conversation.initiator;
    let Chunk::Data { bytes, .. } = soon(half.next_chunk()).await else {
        panic!("no data");
    };
    assert_eq!(bytes, [1; 4000]);
    script.push(at(1, [client(5000, ACK, 4508, 1, b"again")]));
    script.push(Step::End);
    assert_eq!(
        rest(half).await,
        (b"again".to_vec(), vec![(507, 507)], SOURCE_ENDED)
    );
}

/// With the defaults, a reader that has caught up has room for what a lost segment held back.
#[tokio::test]
async fn what_was_held_behind_a_hole_fits_into_an_empty_buffer() {
    const SEGMENT: usize = 1400;
    let segments = 5000;
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(5000)));
    for n in (1..segments).chain([0]) {
        let sequence = 1 + (n * SEGMENT) as u32;
        script.push(at(1, [client(5000, ACK, sequence, 1, &[n as u8; SEGMENT])]));
    }
    script.push(Step::End);
    let mut conversation = next(&mut stream).await;
    let want = (text(segments, SEGMENT), vec![], SOURCE_ENDED);
    assert!(rest(&mut conversation.initiator).await == want);
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.overrun, stats.reassembly.forced_gaps), (0, 0));
}

#[tokio::test]
async fn a_lossless_stream_waits_for_its_readers_and_goes_on_when_one_is_dropped() {
    let config = ConversationConfig::new().buffer(4096).lossless(true);
    let (script, source) = scripted();
    let mut stream = streams_of(source.replayed(), &config);
    for port in [5000, 5001] {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, &[0; 1000])]));
    }
    for n in 1..50_u32 {
        for port in [5000, 5001] {
            let sequence = 1 + n * 1000;
            script.push(at(2, [client(port, ACK, sequence, 1, &[n as u8; 1000])]));
        }
    }
    script.push(Step::End);
    let (unread, mut read) = (next(&mut stream).await, next(&mut stream).await);
    let reading = tokio::spawn(async move { rest(&mut read.initiator).await });
    while stream.stats().await.unwrap().waits == 0 {
        tokio::task::yield_now().await;
    }
    // Each has 3 that fit and at most one more.
    assert!(script.left() > 90, "{} left", script.left());
    drop(unread);
    let want = (text(50, 1000), vec![], SOURCE_ENDED);
    assert_eq!(soon(reading).await.unwrap(), want);
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.overrun, stats.refused), (0, 0));
    // Of the other, what its buffer had, and the segment with which its flow is unsubscribed.
    let delivered = stats.reassembly.delivered;
    assert!((53_000..=56_000).contains(&delivered), "{delivered}");
}

#[tokio::test]
async fn the_backlog_is_bounded_and_refused_conversations_are_counted() {
    let (script, mut stream) = conversations(&ConversationConfig::new().backlog(2));
    for port in 5000..5005 {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, b"hello")]));
        script.push(at(1, [client(port, ACK, 6, 1, b"again")]));
    }
    script.push(Step::End);
    while stream.stats().await.unwrap().tracker.ended.total() < 5 {
        tokio::task::yield_now().await;
    }
    for port in [5000, 5001] {
        let mut conversation = next(&mut stream).await;
        let name = format!(":{port} ");
        assert!(conversation.key.to_string().contains(&name));
        assert_eq!(rest(&mut conversation.initiator).await.0, b"helloagain");
    }
    assert!(soon(stream.next()).await.is_none());
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.refused), (2, 3));
    // Each refused one is unsubscribed with its first segment.
    assert_eq!(stats.reassembly.delivered, 2 * 10 + 3 * 5);
}

#[tokio::test]
async fn a_lossless_backlog_refuses_none() {
    let (script, source) = scripted();
    let config = ConversationConfig::new().backlog(1).lossless(true);
    let mut stream = streams_of(source.replayed(), &config);
    for port in 5000..5020 {
        script.push(at(1, handshake(port)));
        script.push(at(1, [client(port, ACK, 1, 1, b"hello")]));
    }
    script.push(Step::End);
    let mut open = Vec::new();
    while let Some(conversation) = soon(stream.next()).await {
        open.push(conversation.unwrap());
    }
    assert_eq!(open.len(), 20);
    for conversation in &mut open {
        assert_eq!(rest(&mut conversation.initiator).await.0, b"hello");
        assert_eq!(rest(&mut conversation.responder).await.0, b"");
    }
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.refused), (20, 0));
}

/// A block of 1 MiB has room for the first data of as many connections.
#[tokio::test]
async fn by_default_a_batch_that_begins_thousands_of_conversations_refuses_none() {
    let ports = 5000..12_000;
    let (script, mut stream) = conversations(&ConversationConfig::new());
    let first = |port| client(port, ACK, 1, 1, b"!");
    script.push_all([at(1, ports.clone().map(first)), Step::End]);
    for port in ports.clone() {
        assert_eq!(next(&mut stream).await.key.a().port(), port);
    }
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.refused), (ports.len() as u64, 0));
}

#[tokio::test]
async fn a_stream_that_is_read_promptly_has_a_turn_before_the_backlog_is_full() {
    let (script, mut stream) = conversations(&ConversationConfig::new().backlog(64));
    let batch = |n: u16| {
        let first = |port| client(port, ACK, 1, 1, b"!");
        at(1, (0..32).map(|m| first(5000 + 32 * n + m)))
    };
    script.push_all((0..200).map(batch).chain([Step::End]));
    let mut taken = 0;
    while soon(stream.next()).await.is_some() {
        taken += 1;
    }
    let stats = stream.stats().await.unwrap();
    assert_eq!((taken, stats.begun, stats.refused), (6400, 6400, 0));
}
