//! The changes of a real link.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::future::Future;
use std::time::Duration;

use futures::stream::FusedStream;
use futures::{FutureExt, StreamExt};
use netring_afpacket::{Capture, LinkState, Profile};
use netring_async::{AsyncSource, LinkStream};
use tokio::time::sleep;
use xtask::netns::{Netns, ip, veth};

/// Awaits a future that must be woken by its own descriptor: a timeout would poll it once more.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::select! {
        biased;
        () = sleep(Duration::from_secs(5)) => panic!("it was not woken"),
        output = future => output,
    }
}

#[tokio::test]
#[ignore = "needs a network namespace: cargo xtask test-netns"]
async fn the_changes_of_a_link_are_a_stream_that_ends_with_the_interface_or_the_capture() {
    use LinkState::{Down, Removed, Up};
    let _ns = Netns::enter().unwrap();
    veth("v0", "v1").unwrap();
    let builder = Capture::builder().profile(Profile::LowMemory);
    let capture = builder.interface("v1").build().unwrap();
    let source = AsyncSource::new(capture).unwrap();
    let mut changes = LinkStream::new(source.get_ref().link_monitor().unwrap()).unwrap();
    assert_eq!(changes.state(), Up);
    assert!(changes.next().now_or_never().is_none());
    // A task that waits is woken by each change.
    let task = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(change) = changes.next().await {
            seen.push(change.unwrap());
        }
        assert!(changes.is_terminated() && changes.next().await.is_none());
        seen
    });
    for (end, state) in [("v1", "down"), ("v1", "up"), ("v0", "down"), ("v0", "up")] {
        ip(&format!("link set {end} {state}")).unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    let mut stopped = LinkStream::new(source.get_ref().link_monitor().unwrap()).unwrap();
    ip("link del v1").unwrap();
    assert_eq!(
        soon(task).await.unwrap(),
        [Down, Up, Down, Up, Down, Removed]
    );
    assert_eq!(soon(stopped.next()).await.unwrap().unwrap(), Down);
    source.get_ref().stop_handle().stop();
    assert!(soon(stopped.next()).await.is_none());
}
