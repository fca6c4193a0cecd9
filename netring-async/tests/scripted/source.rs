//! Batches and owned packets of a scripted source: what wakes the reader, what ends it, and that
//! nothing is lost on the way.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use super::script as scripted;

use std::future::Future;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::FusedStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use netring_async::{AsyncSource, PacketStream};
use netring_sys::{Count, Error, PacketBatch, PacketBuf, PacketSource, Readiness, Stats};
use scripted::{Scripted, Step, scripted};
use tokio::time::{sleep, timeout};
use xtask::wire::{number, numbered};

/// Awaits a future that must be woken by its own descriptor. (`timeout` would not detect a missed
/// wake-up: it polls once more when the time is up.)
async fn woken<F: Future>(future: F) -> F::Output {
    tokio::select! {
        biased;
        () = sleep(Duration::from_secs(1)) => panic!("it sleeps, and there is something to take"),
        output = future => output,
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

fn numbers(batch: &impl PacketBatch) -> Vec<u64> {
    batch
        .packets()
        .map(|packet| number(packet.data()).unwrap())
        .collect()
}

fn frames(numbers: impl IntoIterator<Item = u64>) -> Step {
    Step::Batch(
        numbers
            .into_iter()
            .map(|n| (n as i64, numbered(n, 60)))
            .collect(),
    )
}

#[tokio::test]
async fn batches_come_in_order_and_the_end_is_none() {
    let (script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    assert!(source.next_batch().now_or_never().is_none());
    script.push_all([frames([1, 2]), frames([3])]);
    assert_eq!(
        numbers(&source.next_batch().await.unwrap().unwrap()),
        [1, 2]
    );
    assert_eq!(numbers(&source.next_batch().await.unwrap().unwrap()), [3]);
    assert_eq!(source.stats().unwrap().delivered, Count::Exact(3));
    script.push(Step::End);
    for _ in 0..3 {
        assert!(source.next_batch().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn readable_takes_nothing() {
    let (script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    script.push(frames([7]));
    for _ in 0..3 {
        assert!(source.readable().await.unwrap());
    }
    assert_eq!(numbers(&source.get_mut().batch()), [7]);
    script.push(Step::End);
    assert!(!source.readable().await.unwrap());
}

#[tokio::test]
async fn s10_a_link_that_goes_down_does_not_end_the_loop_and_a_removal_comes_again() {
    let (script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    script.push_all([Step::LinkDown, frames([1]), Step::Removed]);
    assert_eq!(numbers(&source.next_batch().await.unwrap().unwrap()), [1]);
    assert_eq!(source.stats().unwrap().link_downs, Count::Exact(1));
    for _ in 0..3 {
        let error = source.next_batch().await.map(drop).unwrap_err();
        assert!(matches!(error, Error::InterfaceRemoved { .. }), "{error}");
    }
}

#[tokio::test]
async fn p15_a_batch_behind_an_edge_that_was_already_taken_is_found() {
    let (script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    for n in 0..2000 {
        // One edge for two batches, or for none, at every moment of the wait.
        let push = async {
            if n % 3 == 0 {
                script.nudge();
            }
            tokio::task::yield_now().await;
            script.push_all([frames([2 * n]), frames([2 * n + 1])]);
        };
        let take = async {
            for want in [2 * n, 2 * n + 1] {
                let batch = woken(source.next_batch()).await;
                assert_eq!(numbers(&batch.unwrap().unwrap()), [want]);
            }
        };
        tokio::join!(push, take);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p15_also_when_another_thread_makes_the_edges() {
    const N: u64 = 20_000;
    let (script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    let producer = std::thread::spawn(move || {
        for n in 0..N {
            script.push(frames([n]));
        }
        script.push(Step::End);
    });
    let reader = tokio::spawn(async move {
        for want in 0..N {
            let batch = woken(source.next_batch()).await;
            assert_eq!(numbers(&batch.unwrap().unwrap()), [want]);
        }
        assert!(source.next_batch().await.unwrap().is_none());
    });
    reader.await.unwrap();
    producer.join().unwrap();
}

/// The edge of a batch that arrives between the look and the wait is cleared with those before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p15_a_batch_that_comes_between_the_look_and_the_wait_is_found() {
    struct Late(Scripted, scripted::Script, u64);
    impl PacketSource for Late {
        type Batch<'a> = scripted::Batch<'a>;
        fn ready(&mut self) -> Result<Readiness, Error> {
            let found = self.0.ready()?;
            if found == Readiness::Empty && self.2 > 0 {
                self.2 -= 1;
                self.1.push(frames([self.2]));
                // The runtime's other thread takes the edge.
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(found)
        }
        fn batch(&mut self) -> scripted::Batch<'_> {
            self.0.batch()
        }
        fn stats(&mut self) -> Result<Stats, Error> {
            self.0.stats()
        }
        fn is_live(&self) -> bool {
            true
        }
    }
    impl AsFd for Late {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    let (script, source) = scripted();
    let mut source = AsyncSource::new(Late(source, script, 10)).unwrap();
    let reader = tokio::spawn(async move {
        for want in (0..10).rev() {
            let batch = woken(source.next_batch()).await;
            assert_eq!(numbers(&batch.unwrap().unwrap()), [want]);
        }
    });
    reader.await.unwrap();
}

/// A pending error of a socket is not data: epoll reports EPOLLERR without EPOLLIN.
#[tokio::test]
async fn s10_an_error_alone_on_the_descriptor_wakes_the_reader_and_does_not_spin() {
    struct Refused(UdpSocket, u32);
    impl PacketSource for Refused {
        type Batch<'a> = scripted::Batch<'a>;
        fn ready(&mut self) -> Result<Readiness, Error> {
            self.1 += 1;
            match self.0.take_error().unwrap() {
                None => Ok(Readiness::Empty),
                Some(source) => Err(Error::Source {
                    what: "refused".into(),
                    source: source.into(),
                }),
            }
        }
        fn batch(&mut self) -> scripted::Batch<'_> {
            unreachable!("it is never ready")
        }
        fn stats(&mut self) -> Result<Stats, Error> {
            Ok(Stats::default())
        }
        fn is_live(&self) -> bool {
            true
        }
    }
    impl AsFd for Refused {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // A port of our own on which nobody listens any more: it was closed.
    let closed = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    socket.connect(closed).unwrap();
    let sender = socket.try_clone().unwrap();
    let mut source = AsyncSource::new(Refused(socket, 0)).unwrap();
    for round in 1..=3 {
        // In a task of its own, so the reader is polled again only if the descriptor wakes it.
        let sender = sender.try_clone().unwrap();
        tokio::spawn(async move {
            sleep(Duration::from_millis(20)).await;
            sender.send(b"to nobody").unwrap();
        });
        let error = woken(source.next_batch()).await.map(drop);
        assert_eq!(
            error.unwrap_err().to_string(),
            "refused: Connection refused (os error 111)",
            "round {round}"
        );
    }
    // The error was taken, and its remains do not cause further wake-ups.
    let looks = source.get_ref().1;
    assert!(
        timeout(Duration::from_millis(200), source.next_batch())
            .await
            .is_err()
    );
    assert!(
        source.get_ref().1 - looks <= 3,
        "{} looks",
        source.get_ref().1 - looks
    );
}

#[tokio::test]
async fn a_dropped_future_loses_no_packet() {
    const N: u64 = 5_000;
    let (script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    let producer = tokio::spawn(async move {
        let mut n = 0;
        while n < N {
            let size = (n * 7919 % 5 + 1).min(N - n);
            script.push(frames(n..n + size));
            n += size;
            if n % 4 == 0 {
                tokio::task::yield_now().await;
            }
        }
        script.push(Step::End);
    });
    let (mut got, mut dropped) = (Vec::new(), 0_u64);
    // Each kind of wait, cancelled after no poll or several.
    for round in 0_u64.. {
        let polls = round * 31 % 4;
        if round % 2 == 0 {
            let mut wait = pin!(source.readable());
            match poll_times(wait.as_mut(), polls).await {
                None => dropped += 1,
                Some(result) => drop(result.unwrap()),
            }
        } else {
            let mut wait = Box::pin(source.next_batch());
            match poll_times(wait.as_mut(), polls).await {
                None => dropped += 1,
                Some(Ok(Some(batch))) => got.extend(numbers(&batch)),
                Some(Ok(None)) => break,
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }
    producer.await.unwrap();
    assert!(got.iter().copied().eq(0..N), "{} of {N}", got.len());
    assert!(dropped > 100, "the test drops too little: {dropped}");
}

/// Polls at most this often, yielding to other tasks after each.
async fn poll_times<F: Future + Unpin>(mut future: F, times: u64) -> Option<F::Output> {
    for _ in 0..times {
        let polled =
            std::future::poll_fn(|cx: &mut Context<'_>| Poll::Ready(future.poll_unpin(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn s7_an_owned_stream_that_is_left_in_the_middle_of_a_batch_goes_on_there() {
    let (script, source) = scripted();
    script.push_all([frames([1, 2, 3]), frames([4])]);
    let mut packets = AsyncSource::new(source).unwrap().packets();
    assert_eq!(
        number(packets.next().await.unwrap().unwrap().data()),
        Some(1)
    );
    // A cancelled `next` loses nothing.
    drop(packets.next());
    assert_eq!(
        number(packets.next().await.unwrap().unwrap().data()),
        Some(2)
    );
    assert_eq!(packets.queued(), 1);
    let (mut source, rest) = packets.into_parts();
    let rest: Vec<_> = rest
        .iter()
        .map(|packet| number(packet.data()).unwrap())
        .collect();
    assert_eq!(rest, [3]);
    assert_eq!(numbers(&source.next_batch().await.unwrap().unwrap()), [4]);
}

#[tokio::test]
async fn s10_s21_an_owned_stream_goes_on_behind_a_link_down_and_is_fused_behind_an_error() {
    let (script, source) = scripted();
    script.push_all([frames([1]), Step::LinkDown, frames([2]), Step::Removed]);
    let mut packets = AsyncSource::new(source).unwrap().packets();
    assert_eq!(
        number(packets.next().await.unwrap().unwrap().data()),
        Some(1)
    );
    assert_eq!(
        number(packets.next().await.unwrap().unwrap().data()),
        Some(2)
    );
    assert_eq!(packets.stats().unwrap().link_downs, Count::Exact(1));
    assert!(!packets.is_terminated());
    let error = packets.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::InterfaceRemoved { .. }), "{error}");
    assert!(packets.is_terminated());
    for _ in 0..3 {
        assert!(packets.next().await.is_none());
    }
}

#[tokio::test]
async fn an_owned_stream_copies_what_is_wanted_and_keeps_every_word_of_it() {
    let (script, source) = scripted();
    script.push_all([frames(0..10), Step::End]);
    let even = AsyncSource::new(source).unwrap().packets_with(|packet| {
        let number = number(packet.data())?;
        number.is_multiple_of(2).then(|| packet.to_buf())
    });
    let even: Vec<PacketBuf> = even.try_collect().await.unwrap();
    let times: Vec<_> = even
        .iter()
        .map(|packet| packet.timestamp().as_nanos())
        .collect();
    assert_eq!(times, [0, 2, 4, 6, 8]);
    assert_eq!(even[4].data(), numbered(8, 60));
}

#[tokio::test]
async fn the_error_of_an_empty_replay_says_what_it_needs() {
    let (_script, source) = scripted();
    let error = AsyncSource::replay(source)
        .next_batch()
        .await
        .map(drop)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("needs a descriptor and `AsyncSource::new`"),
        "{error}"
    );
}

#[test]
fn outside_of_a_runtime_the_error_says_what_to_do() {
    let (_script, source) = scripted();
    let error = AsyncSource::new(source).unwrap_err();
    assert!(error.to_string().contains("#[tokio::main]"), "{error}");
}

#[test]
fn a_runtime_that_is_shut_down_under_a_source_is_an_error_and_no_wait_for_ever() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (_script, source) = scripted();
    let mut source = runtime.block_on(async { AsyncSource::new(source).unwrap() });
    drop(runtime);
    let error = futures::executor::block_on(source.readable()).unwrap_err();
    assert!(error.is_terminal());
    assert!(error.to_string().contains("no longer waits"), "{error}");
}

#[tokio::test]
async fn a_source_that_is_taken_out_can_be_put_in_again() {
    let (script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    assert!(source.next_batch().now_or_never().is_none());
    let mut inner: Scripted = source.into_inner();
    // Also by reference, and cancelled: the source stays intact.
    drop(AsyncSource::new(&mut inner).unwrap());
    let mut source = AsyncSource::new(inner).unwrap();
    script.push(frames([1]));
    assert_eq!(numbers(&source.next_batch().await.unwrap().unwrap()), [1]);
}

#[tokio::test]
async fn every_future_and_stream_is_send_and_the_streams_are_unpin() {
    fn check<S: PacketSource + AsFd + Send>(source: &mut AsyncSource<S>) {
        drop(is_send(source.next_batch()));
        drop(is_send(source.readable()));
    }
    fn is_unpin<T: Unpin>() {}
    is_unpin::<PacketStream<Scripted>>();
    let (_script, source) = scripted();
    let mut source = AsyncSource::new(source).unwrap();
    check(&mut source);
    is_send(source.packets());
}
