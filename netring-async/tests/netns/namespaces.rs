//! A runtime with several threads opens captures in other network namespaces, and its threads stay
//! where they are.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::path::PathBuf;
use std::time::Duration;

use netring_afpacket::Capture;
use netring_async::{AsyncSource, OpenAsync};
use netring_sys::{Count, Namespace, PacketBatch};
use tokio::runtime::Builder;
use xtask::netns::{Netns, veth};
use xtask::wire::{Sender, number, numbered};

const LIMIT: Duration = Duration::from_secs(30);
/// Captures in each namespace.
const CAPTURES: u64 = 10;
const PACKETS: u64 = 20;

fn of_this_thread() -> PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").unwrap()
}

/// Opens a capture, and reads all packets that are sent once everything is open.
async fn receives(namespace: Namespace, opened: tokio::sync::mpsc::Sender<()>) -> Vec<u64> {
    let home = of_this_thread();
    let builder = Capture::builder().interface("v1").namespace(namespace);
    let builder = builder.block_size(64 << 10).block_count(4);
    let builder = builder.retire_timeout(Duration::from_millis(5));
    let mut capture: AsyncSource<Capture> = builder.open().await.unwrap();
    assert_eq!(of_this_thread(), home);
    opened.send(()).await.unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < PACKETS as usize {
        let batch = capture.next_batch().await.unwrap().unwrap();
        numbers.extend(batch.packets().filter_map(|packet| number(packet.data())));
    }
    assert_eq!(of_this_thread(), home);
    let stats = capture.stats().unwrap();
    assert_eq!(
        (stats.offered, stats.dropped),
        (Count::Exact(PACKETS), Count::Exact(0))
    );
    numbers
}

#[test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
fn many_captures_in_several_namespaces_open_at_once() {
    let _here = Netns::enter().unwrap();
    let home = of_this_thread();
    let others: Vec<_> = (0..4).map(|_| Netns::new().unwrap()).collect();
    for there in &others {
        there.run(|| veth("v0", "v1")).unwrap();
    }
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(4).enable_all().build().unwrap();
    let (opened, mut all_open) = tokio::sync::mpsc::channel(1);
    let mut tasks = Vec::new();
    for (place, there) in others.iter().enumerate() {
        for _ in 0..CAPTURES {
            let namespace = there.handle().unwrap();
            tasks.push((
                place as u64,
                runtime.spawn(receives(namespace, opened.clone())),
            ));
        }
    }
    runtime.block_on(async {
        for _ in 0..tasks.len() {
            tokio::time::timeout(LIMIT, all_open.recv())
                .await
                .unwrap()
                .unwrap();
        }
    });
    for (place, there) in others.iter().enumerate() {
        let send = || {
            let sender = Sender::on("v0").unwrap();
            (0..PACKETS).for_each(|n| sender.send(&numbered(100 * place as u64 + n, 100)).unwrap());
            Ok(())
        };
        there.run(send).unwrap();
    }
    for (place, task) in tasks {
        let finished = runtime.block_on(async { tokio::time::timeout(LIMIT, task).await });
        let expected = (100 * place..100 * place + PACKETS).collect::<Vec<_>>();
        assert_eq!(finished.unwrap().unwrap(), expected);
    }
    // Every thread of the runtime is where it was.
    let threads = (0..16).map(|_| runtime.spawn(async { of_this_thread() }));
    for thread in threads.collect::<Vec<_>>() {
        assert_eq!(runtime.block_on(thread).unwrap(), home);
    }
    assert_eq!(of_this_thread(), home);
}
