//! Every form of a capture that has nothing to do, by the kernel's count of how often its threads
//! went to sleep: fewer than ten times a second, with live flows in it.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![cfg(feature = "flow")]

use std::any::Any;
use std::fs;
use std::path::Path;
use std::pin::Pin;
use std::thread;
use std::time::{Duration, Instant};

use futures::StreamExt;
use netring_afpacket::{Capture, Fanout, FanoutGroup};
use netring_async::{AsyncSource, Broadcast, Chunk, Conversation, ConversationHalf, FlowWorkers};
use netring_flow::extract::FiveTuple;
use netring_flow::reassembly::Subscription;
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use xtask::load::sleeps;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, tcp4, udp4};

use crate::lengths::Lengths;

/// The time that is watched.
const WATCHED: Duration = Duration::from_secs(3);
/// A rate that is too high must be so this many times: a thread also sleeps while another test
/// holds a lock of the process or of the kernel.
const TRIES: usize = 3;
/// The wake-ups in a second that are too many.
const TOO_MANY: f64 = 10.0;

type Source = AsyncSource<Capture>;
/// Keeps what was started.
type Started = Pin<Box<dyn Future<Output = Box<dyn Any>>>>;

/// This thread and those with this name.
fn all_sleeps(name: &str) -> i64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let named = tasks.filter_map(|task| {
        let task = task.unwrap().path();
        // A thread of another test may have ended.
        let comm = fs::read_to_string(task.join("comm")).ok()?;
        (comm.trim() == name).then(|| sleeps(&task))?
    });
    named.sum::<i64>() + sleeps(Path::new("/proc/thread-self")).unwrap()
}

/// The lowest rate of wake-ups a second in some stretches of time, each as long as it really was.
async fn wake_ups(thread: &str) -> f64 {
    let mut lowest = f64::INFINITY;
    for _ in 0..TRIES {
        let (started, before) = (Instant::now(), all_sleeps(thread));
        sleep(WATCHED).await;
        let woken = i32::try_from(all_sleeps(thread) - before).unwrap();
        lowest = lowest.min(f64::from(woken) / started.elapsed().as_secs_f64());
        if lowest < TOO_MANY {
            break;
        }
    }
    lowest
}

/// Starts a form in a namespace and a runtime of its own, sends packets of a hundred flows, waits
/// until `start` has seen what it wants of them, and watches it.
fn watch<S, F>(name: &'static str, threads: usize, open: fn() -> S, start: F)
where
    S: 'static,
    F: FnOnce(S) -> Started,
{
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let sender = Sender::on("v0").unwrap();
    let thread = format!("{name}-{threads}");
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).thread_name(&thread);
    let runtime = builder.enable_all().build().unwrap();
    let woken = runtime.block_on(async {
        let started = start(open());
        for port in 1000..1100 {
            sender.send(&udp4(port, 53, b"?")).unwrap();
        }
        for end in [[5000, 80], [80, 5000]] {
            let mut frame = tcp4(end[0], end[1], 1, 16, b"hello");
            if end[0] == 80 {
                (0..4).for_each(|n| frame.swap(26 + n, 30 + n));
            }
            sender.send(&frame).unwrap();
        }
        let _kept = timeout(Duration::from_secs(30), started).await.unwrap();
        // What was begun is done.
        sleep(Duration::from_millis(500)).await;
        wake_ups(&thread).await
    });
    assert!(woken < TOO_MANY, "{thread}: {woken} wake-ups a second");
}

fn source() -> Source {
    AsyncSource::new(Capture::builder().interface("v1").build().unwrap()).unwrap()
}

/// Reads a stream in a task; done once it has yielded so many items.
fn reading<S: StreamExt + Unpin + Send + 'static>(mut stream: S, items: usize) -> Started {
    Box::pin(async move {
        for _ in 0..items {
            assert!(stream.next().await.is_some());
        }
        let task = tokio::spawn(async move { while stream.next().await.is_some() {} });
        Box::new(task) as Box<dyn Any>
    })
}

async fn read(mut half: ConversationHalf, first: tokio::sync::mpsc::Sender<()>) {
    while let Chunk::Data { .. } = half.next_chunk().await {
        first.send(()).await.unwrap();
    }
}

const FLOWS: usize = 101;

fn every_form(threads: usize) {
    let all = Subscription::all;
    let tuple = FiveTuple::bidirectional;
    thread::scope(|scope| {
        scope.spawn(|| watch("packets", threads, source, |s| reading(s.packets(), 102)));
        scope.spawn(|| {
            watch("flows", threads, source, |s| {
                reading(s.flow_stream(tuple()), FLOWS)
            });
        });
        // Records come at the end.
        scope.spawn(|| {
            watch("records", threads, source, |s| {
                reading(s.record_stream(tuple()), 0)
            })
        });
        scope.spawn(|| {
            watch("states", threads, source, |s| {
                Box::pin(async move {
                    let flows = s.flow_stream(tuple()).with_state(|_| 0);
                    let mut flows = flows.on_packet(|count, _| *count += 1);
                    for _ in 0..FLOWS {
                        flows.next_event().await.unwrap().unwrap();
                    }
                    let task =
                        tokio::spawn(async move { while flows.next_event().await.is_some() {} });
                    Box::new(task) as Box<dyn Any>
                })
            });
        });
        scope.spawn(|| {
            // A start and a message for each flow, and the other end's message.
            watch("sessions", threads, source, |s| {
                reading(
                    s.session_stream(tuple(), all(), |_| Some(Lengths)),
                    2 * FLOWS + 1,
                )
            });
        });
        scope.spawn(|| {
            watch("datagrams", threads, source, |s| {
                reading(
                    s.datagram_stream(tuple(), all(), |_| Some(Lengths)),
                    2 * FLOWS - 2,
                )
            });
        });
        scope.spawn(|| {
            watch("conversations", threads, source, |s| {
                Box::pin(async move {
                    let mut stream = s.conversations(tuple(), all());
                    let (first, mut seen) = tokio::sync::mpsc::channel(2);
                    let Conversation {
                        initiator,
                        responder,
                        ..
                    } = stream.next().await.unwrap().unwrap();
                    let tasks =
                        [initiator, responder].map(|half| tokio::spawn(read(half, first.clone())));
                    seen.recv().await.unwrap();
                    seen.recv().await.unwrap();
                    Box::new((stream, tasks, seen)) as Box<dyn Any>
                })
            });
        });
        scope.spawn(|| {
            watch("broadcast", threads, source, |s| {
                let broadcast = s.flow_stream(tuple()).broadcast(64);
                let readers = (0..64).map(|n| match n % 2 {
                    0 => reading(broadcast.subscribe(), FLOWS),
                    _ => reading(broadcast.subscribe_lossless(), FLOWS),
                });
                let readers: Vec<_> = readers.collect();
                Box::pin(async move {
                    let tasks = futures::future::join_all(readers).await;
                    Box::new((broadcast, tasks)) as Box<dyn Any>
                })
            });
        });
        scope.spawn(|| {
            watch("shared", threads, source, |s| {
                let broadcast = s.broadcast(64);
                let reader = reading(broadcast.subscribe_lossless(), 102);
                Box::pin(async move { Box::new((broadcast, reader.await)) as Box<dyn Any> })
            });
        });
        scope.spawn(|| {
            watch("messages", threads, source, |s| {
                let sessions = s.session_stream(tuple(), all(), |_| Some(Lengths));
                let broadcast = sessions.broadcast(64);
                let again = Broadcast::new(source().packets(), 64);
                let readers = [
                    reading(broadcast.subscribe(), 2 * FLOWS + 1),
                    reading(again.subscribe(), 102),
                ];
                Box::pin(async move {
                    let tasks = futures::future::join_all(readers).await;
                    Box::new((broadcast, again, tasks)) as Box<dyn Any>
                })
            });
        });
        scope.spawn(|| {
            let open = || {
                let builder = Capture::builder().interface("v1");
                FanoutGroup::open(builder, Fanout::default().workers(2)).unwrap()
            };
            watch("workers", threads, open, |group| {
                let workers = group.into_workers().into_iter();
                let streams = workers.map(|s| AsyncSource::new(s).unwrap().flow_stream(tuple()));
                let workers = FlowWorkers::spawn(streams, 64);
                let reader = reading(workers.subscribe_lossless(), FLOWS);
                Box::pin(async move { Box::new((workers, reader.await)) as Box<dyn Any> })
            });
        });
    });
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s3_no_form_of_an_idle_capture_wakes_up_on_one_thread() {
    every_form(1);
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn s3_no_form_of_an_idle_capture_wakes_up_on_two_threads() {
    every_form(2);
}
