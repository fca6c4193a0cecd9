//! Readers of conversations: whatever they do, they get each byte once, and harm no other.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::mem::forget;
use std::pin::Pin;
use std::task::Poll;

use futures::{FutureExt, StreamExt};
use netring_async::{
    AsyncSource, Chunk, Conversation, ConversationConfig, ConversationHalf, MissingBytes,
};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{StreamEnd, Subscription};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::oneshot;

use super::super::script::{Script, Step, scripted};
use super::super::tcp::{ACK, RST, client, close, handshake, server};
use super::{SOURCE_ENDED, at, conversations, next, rest, soon, streams_of};

/// One read into a buffer that has `filled` bytes already and room for `room`.
fn read(
    half: &mut ConversationHalf,
    filled: &[u8],
    room: usize,
) -> Option<Result<Vec<u8>, ErrorKind>> {
    let mut memory = vec![0; filled.len() + room];
    let mut buffer = ReadBuf::new(&mut memory);
    buffer.put_slice(filled);
    let read = poll_fn(|cx| Poll::Ready(Pin::new(&mut *half).poll_read(cx, &mut buffer)));
    match read.now_or_never().unwrap() {
        Poll::Pending => {
            assert_eq!(buffer.filled(), filled);
            None
        }
        Poll::Ready(Err(error)) => {
            assert_eq!(buffer.filled(), filled);
            Some(Err(error.kind()))
        }
        Poll::Ready(Ok(())) => {
            assert_eq!(&buffer.filled()[..filled.len()], filled);
            Some(Ok(buffer.filled()[filled.len()..].to_vec()))
        }
    }
}

/// A buffer without room takes nothing, no error either; one that is partly full is filled up.
#[tokio::test]
async fn buffers_of_all_kinds_are_filled_and_nothing_else() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(5000)));
    script.push(at(1, [client(5000, ACK, 1, 1, b"hello")]));
    let Conversation {
        initiator: mut half,
        responder: mut silent,
        ..
    } = next(&mut stream).await;
    assert_eq!(read(&mut silent, b"", 0), Some(Ok(vec![])));
    assert_eq!(read(&mut silent, b"", 9), None);
    assert_eq!(read(&mut half, b"", 0), Some(Ok(vec![])));
    assert_eq!(read(&mut half, b"123", 2), Some(Ok(b"he".to_vec())));
    assert_eq!(read(&mut half, b"123", 0), Some(Ok(vec![])));
    assert_eq!(read(&mut half, b"1", 9), Some(Ok(b"llo".to_vec())));
    assert_eq!(read(&mut half, b"", 9), None);
    // A hole, which is declared missing by the acknowledgement, more bytes, and a reset.
    script.push(at(2, [client(5000, ACK, 10, 1, b"abc")]));
    script.push(at(2, [server(5000, ACK, 1, 13, b"")]));
    script.push(at(4, [client(5000, ACK, 13, 1, b"def")]));
    script.push(at(5, [server(5000, RST, 1, 0, b"")]));
    soon(async {
        while stream.stats().await.unwrap().reassembly.delivered < 11 || script.left() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(read(&mut half, b"x", 0), Some(Ok(vec![])));
    assert_eq!(read(&mut half, b"x", 9), Some(Err(ErrorKind::InvalidData)));
    // Both segments at once.
    assert_eq!(read(&mut half, b"x", 4), Some(Ok(b"abcd".to_vec())));
    let Chunk::Data { bytes, offset, .. } = half.next_chunk().await else {
        panic!("no data");
    };
    assert_eq!((bytes, offset), (&b"ef"[..], 13));
    assert_eq!(read(&mut half, b"", 0), Some(Ok(vec![])));
    assert_eq!(
        read(&mut half, b"", 1),
        Some(Err(ErrorKind::ConnectionReset))
    );
    for room in [0, 1, 9] {
        assert_eq!(read(&mut half, b"xyz", room), Some(Ok(vec![])));
    }
    assert_eq!(half.next_chunk().await, Chunk::End(StreamEnd::Reset));
    assert_eq!(
        read(&mut silent, b"", 9),
        Some(Err(ErrorKind::ConnectionReset))
    );
}

/// A read that loses a `select!` takes nothing, while another thread fills the buffer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_lose_a_select_lose_no_byte() {
    const SEGMENTS: u32 = 3000;
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(5000)));
    let feeding = tokio::spawn(async move {
        for n in 0..SEGMENTS {
            script.push(at(2, [client(5000, ACK, 1 + 7 * n, 1, &[n as u8; 7])]));
            if n % 16 == 0 {
                tokio::task::yield_now().await;
            }
        }
        script.push(at(3, close(5000, 7 * SEGMENTS, 0)));
        script
    });
    let mut half = next(&mut stream).await.initiator;
    let reading = tokio::spawn(async move {
        let (mut all, mut buffer) = (Vec::new(), [0; 5]);
        for turn in 0_u32.. {
            // The other branch is ready at its second poll.
            let other = tokio::task::yield_now();
            if turn % 2 == 0 {
                tokio::select! {
                    read = half.read(&mut buffer) => match read.unwrap() {
                        0 => break,
                        read => all.extend_from_slice(&buffer[..read]),
                    },
                    () = other => {}
                }
                continue;
            }
            tokio::select! {
                chunk = half.next_chunk() => match chunk {
                    Chunk::Data { bytes, .. } => all.extend_from_slice(bytes),
                    Chunk::Gap { .. } => panic!("a gap"),
                    Chunk::End(reason) => {
                        assert_eq!(reason, StreamEnd::Finished);
                        break;
                    }
                },
                () = other => {}
            }
        }
        all
    });
    let all = soon(reading).await.unwrap();
    let want = (0..SEGMENTS).flat_map(|n| [n as u8; 7]);
    assert!(all.into_iter().eq(want));
    feeding.await.unwrap();
}

/// A half whose wait was begun by one task is read by another, and by a thread without a runtime.
#[tokio::test]
async fn a_half_changes_its_task_and_its_thread() {
    let (script, mut stream) = conversations(&ConversationConfig::new());
    script.push(at(1, handshake(5000)));
    script.push(at(1, [client(5000, ACK, 1, 1, b"a")]));
    let mut half = next(&mut stream).await.initiator;
    for n in 0..20_u32 {
        let (waits, waited) = oneshot::channel();
        let other = tokio::spawn(async move {
            while let Some(Chunk::Data { .. }) = half.next_chunk().now_or_never() {}
            waits.send(half).unwrap_or_else(|_| panic!("it is awaited"));
        });
        let mut waiting = waited.await.unwrap();
        other.await.unwrap();
        script.push(at(2, [client(5000, ACK, 2 + n, 1, b"b")]));
        let chunk = soon(waiting.next_chunk()).await;
        assert!(
            matches!(chunk, Chunk::Data { bytes: b"b", .. }),
            "{chunk:?}"
        );
        half = waiting;
    }
    let thread = std::thread::spawn(move || {
        let mut all = Vec::new();
        futures::executor::block_on(half.read_to_end(&mut all)).map(|_| all)
    });
    script.push(at(3, [client(5000, ACK, 22, 1, b"c")]));
    script.push(at(3, close(5000, 22, 0)));
    let thread = tokio::task::spawn_blocking(|| thread.join());
    assert_eq!(soon(thread).await.unwrap().unwrap().unwrap(), b"c");
}

/// What a program does wrong with one of many conversations.
#[derive(Clone, Copy, PartialEq)]
enum Misuse {
    None,
    NeverRead,
    Leaked,
    Dropped,
    HalfDropped,
    Panics,
}

/// Thousands of conversations at once, some of which are read by nobody, or badly.
async fn thousands() {
    const COUNT: u16 = 2000;
    const SEGMENTS: u32 = 12;
    const LEN: usize = 700;
    let misuse = |port: u16| match port % 500 {
        0 => Misuse::NeverRead,
        1 => Misuse::Leaked,
        2 => Misuse::Dropped,
        3 => Misuse::HalfDropped,
        4 => Misuse::Panics,
        _ => Misuse::None,
    };
    let ports = 10_000..10_000 + COUNT;
    let config = ConversationConfig::new()
        .buffer(4096)
        .backlog(usize::from(COUNT));
    let (script, mut stream) = conversations(&config);
    for port in ports.clone() {
        let first = [client(port, ACK, 1, 1, &[0; LEN])];
        script.push(at(1, handshake(port).into_iter().chain(first)));
    }
    let (mut readers, mut unread) = (Vec::new(), Vec::new());
    for port in ports.clone() {
        let mut conversation = next(&mut stream).await;
        assert!(conversation.key.to_string().contains(&format!(":{port} ")));
        match misuse(port) {
            Misuse::None => readers.push(tokio::spawn(async move {
                let sent = rest(&mut conversation.initiator).await;
                (port, sent, rest(&mut conversation.responder).await)
            })),
            Misuse::NeverRead => unread.push(conversation),
            Misuse::Leaked => forget(conversation),
            Misuse::Dropped => drop(conversation),
            Misuse::HalfDropped => readers.push(tokio::spawn(async move {
                drop(conversation.initiator);
                let answer = rest(&mut conversation.responder).await;
                (port, (vec![], vec![], StreamEnd::Finished), answer)
            })),
            Misuse::Panics => {
                let task = tokio::spawn(async move {
                    conversation.initiator.next_chunk().await;
                    panic!("as intended");
                });
                assert!(soon(task).await.unwrap_err().is_panic());
            }
        }
    }
    // The buffers are small, so everybody reads what came before the next round comes.
    for n in 1..SEGMENTS {
        script.push(Step::Batch(
            ports
                .clone()
                .flat_map(|port| {
                    let sequence = 1 + n * LEN as u32;
                    [
                        client(port, ACK, sequence, 1, &[n as u8; LEN]),
                        server(port, ACK, n, sequence, b"x"),
                    ]
                })
                .map(|frame| (2_000_000_000, frame))
                .collect(),
        ));
        soon(settled(&script)).await;
    }
    script.push(Step::Batch(
        ports
            .clone()
            .flat_map(|port| close(port, SEGMENTS * LEN as u32, SEGMENTS - 1))
            .map(|frame| (3_000_000_000, frame))
            .collect(),
    ));
    let text: Vec<u8> = (0..SEGMENTS).flat_map(|n| [n as u8; LEN]).collect();
    let answer = vec![b'x'; SEGMENTS as usize - 1];
    for reader in readers {
        let (port, sent, answered) = soon(reader).await.unwrap();
        if misuse(port) == Misuse::None {
            assert_eq!(sent, (text.clone(), vec![], StreamEnd::Finished), "{port}");
        }
        assert_eq!(
            answered,
            (answer.clone(), vec![], StreamEnd::Finished),
            "{port}"
        );
    }
    // 5 segments of 732 bytes fit, and what is lost is known to the byte.
    let lost = (SEGMENTS as u64 - 5) * LEN as u64;
    for mut conversation in unread {
        let found = rest(&mut conversation.initiator).await;
        let kept = text[..5 * LEN].to_vec();
        assert_eq!(found, (kept, vec![(lost, lost)], StreamEnd::Finished));
    }
    let stats = stream.stats().await.unwrap();
    assert_eq!((stats.begun, stats.refused), (u64::from(COUNT), 0));
    // Those that nobody read, and those that were leaked.
    assert_eq!(stats.overrun, 2 * u64::from(COUNT / 500) * lost);
}

/// The source is read to its last step, and every reader that was woken has had its turn.
async fn settled(script: &Script) {
    while script.left() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn thousands_of_conversations_do_not_suffer_from_the_worst_of_them() {
    thousands().await;
}

/// A subscription is the program's code; if it panics, everybody hears of it.
#[tokio::test]
async fn a_panicking_subscription_ends_everything_with_a_reason() {
    let (script, source) = scripted();
    let source = AsyncSource::new(source).unwrap();
    let subscription = Subscription::<FiveTupleKey>::all().when(|first| {
        assert!(first.key.a().port() != 5001, "as intended");
        true
    });
    let mut stream = source.conversations(FiveTuple::bidirectional(), subscription);
    script.push(at(1, [client(5000, ACK, 1, 1, b"hello")]));
    let mut conversation = next(&mut stream).await;
    script.push(at(1, [client(5001, ACK, 1, 1, b"hello")]));
    let found = rest(&mut conversation.initiator).await;
    assert_eq!(found, (b"hello".to_vec(), vec![], SOURCE_ENDED));
    let error = soon(stream.next()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("task"), "{error}");
    assert!(soon(stream.next()).await.is_none());
    stream.stats().await.unwrap_err();
    let parts = stream.into_parts::<super::Scripted, FiveTuple>();
    assert!(soon(parts).await.is_err());
}

/// With `lossless` a reader stops all others; each way to give up its half frees them, in whatever
/// state it is.
#[tokio::test]
async fn a_lossless_reader_frees_the_others_by_any_way_to_leave() {
    for way in 0..4 {
        let config = ConversationConfig::new().buffer(4096).lossless(true);
        let (script, source) = scripted();
        let mut stream = streams_of(source.replayed(), &config);
        for port in [5000, 5001] {
            script.push(at(1, handshake(port)));
            for n in 0..20 {
                let frame = client(port, ACK, 1 + 1000 * n, 1, &[n as u8; 1000]);
                script.push(at(1, [frame]));
            }
        }
        script.push(Step::End);
        let mut stuck = next(&mut stream).await;
        soon(async {
            while stream.stats().await.unwrap().waits == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        match way {
            0 => drop(stuck),
            // The wait for the next conversation is that of the program.
            1 => drop(tokio::spawn(async move { drop(stuck) })),
            2 => drop(tokio::spawn(async move {
                let mut some = [0; 10];
                stuck.initiator.read_exact(&mut some).await.unwrap();
                panic!("as intended");
            })),
            _ => {
                let task = tokio::spawn(async move {
                    rest(&mut stuck.initiator).await;
                });
                task.abort();
            }
        }
        let mut conversation = next(&mut stream).await;
        let text: Vec<u8> = (0..20).flat_map(|n| [n; 1000]).collect();
        let found = rest(&mut conversation.initiator).await;
        assert_eq!(found, (text, vec![], SOURCE_ENDED), "{way}");
    }
}

/// A gap tells a reader of plain bytes how much, also if it was lost in its own buffer.
#[tokio::test]
async fn a_late_reader_of_plain_bytes_learns_what_it_lost() {
    let (script, mut stream) = conversations(&ConversationConfig::new().buffer(4096));
    script.push(at(1, handshake(5000)));
    for n in 0..10_u32 {
        let frame = client(5000, ACK, 1 + 1000 * n, 1, &[n as u8; 1000]);
        script.push(at(1, [frame]));
    }
    script.push(at(1, close(5000, 10_000, 0)));
    let mut half = next(&mut stream).await.initiator;
    soon(settled(&script)).await;
    stream.stats().await.unwrap();
    let mut all = Vec::new();
    let error = soon(half.read_to_end(&mut all)).await.unwrap_err();
    assert_eq!((all.len(), error.kind()), (3000, ErrorKind::InvalidData));
    let missing = error.get_ref().unwrap().downcast_ref::<MissingBytes>();
    let missing = missing.unwrap();
    assert_eq!(
        (missing.missing, missing.overrun, missing.offset),
        (7000, 7000, 3000)
    );
    assert_eq!(soon(half.read_to_end(&mut all)).await.unwrap(), 0);
}
