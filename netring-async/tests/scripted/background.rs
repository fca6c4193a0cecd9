//! A source that takes long to open and to close blocks only its own thread.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use super::script as scripted;
use crate::ticks;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use netring_async::{AsyncSource, OpenAsync};
use netring_sys::{Build, Error, Open, PacketSource, Readiness, Stats};
use scripted::{Script, Scripted, Step, scripted};
use ticks::ticks_while;
use tokio::time::{sleep, timeout};

/// The time that opening and closing take.
const LONG: Duration = Duration::from_millis(300);
/// The period of the timer that shows that a thread is free.
const TICK: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(10);

/// A source that takes long for both, and reports the thread on which it was closed.
struct Slow {
    source: Scripted,
    closed: Arc<AtomicU64>,
}

const OPEN: u64 = 0;
const CLOSED_HERE: u64 = 1;
const CLOSED_ELSEWHERE: u64 = 2;

impl Slow {
    fn open(source: Scripted, closed: &Arc<AtomicU64>) -> Self {
        thread::sleep(LONG);
        Self {
            source,
            closed: Arc::clone(closed),
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        thread::sleep(LONG);
        let name = thread::current().name().map(String::from);
        let elsewhere = name.as_deref() == Some("netring-close");
        let how = if elsewhere {
            CLOSED_ELSEWHERE
        } else {
            CLOSED_HERE
        };
        self.closed.store(how, Ordering::Release);
    }
}

impl PacketSource for Slow {
    type Batch<'a> = scripted::Batch<'a>;

    fn ready(&mut self) -> Result<Readiness, Error> {
        self.source.ready()
    }

    fn batch(&mut self) -> scripted::Batch<'_> {
        self.source.batch()
    }

    fn stats(&mut self) -> Result<Stats, Error> {
        self.source.stats()
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl AsFd for Slow {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// Opens a slow source of which nothing can be set.
struct Settings;

impl Build for Settings {
    type Source = Slow;

    fn build(self) -> Result<Slow, Error> {
        Ok(Slow::open(scripted().1, &Arc::default()))
    }
}

impl Open for Slow {
    type Builder = Settings;

    fn builder() -> Settings {
        Settings
    }

    fn open(_: &str) -> Result<Self, Error> {
        Settings.build()
    }
}

async fn closes(closed: &AtomicU64) -> u64 {
    let wait = async {
        while closed.load(Ordering::Acquire) == OPEN {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it is never closed");
    closed.load(Ordering::Acquire)
}

fn parts() -> (Script, Scripted, Arc<AtomicU64>) {
    let (script, source) = scripted();
    (script, source, Arc::default())
}

#[tokio::test]
async fn the_runtime_goes_on_while_a_source_is_opened_and_closed() {
    let (script, source, closed) = parts();
    let counter = Arc::clone(&closed);
    let open = AsyncSource::open_with(move || Ok(Slow::open(source, &counter)));
    let (ticks, opened) = ticks_while(TICK, open).await;
    assert!(ticks > 20, "{ticks} ticks while it was opened");
    let mut opened = opened.unwrap();
    script.push(Step::End);
    assert!(opened.next_batch().await.unwrap().is_none());

    let (ticks, ()) = ticks_while(TICK, opened.close()).await;
    assert!(ticks > 20, "{ticks} ticks while it was closed");
    assert_eq!(closed.load(Ordering::Acquire), CLOSED_ELSEWHERE);
}

#[tokio::test]
async fn settings_open_on_a_thread_of_their_own_and_close_in_background() {
    let open = AsyncSource::<Slow>::builder().open();
    let (ticks, opened) = ticks_while(TICK, open).await;
    assert!(ticks > 20, "{ticks} ticks while it was opened");
    let opened = opened.unwrap();
    let closed = Arc::clone(&opened.get_ref().closed);
    drop(opened);
    assert_eq!(closes(&closed).await, CLOSED_ELSEWHERE);
}

#[tokio::test]
async fn a_source_is_dropped_where_its_constructor_says() {
    for (in_background, where_to) in [(true, CLOSED_ELSEWHERE), (false, CLOSED_HERE)] {
        let (_script, source, closed) = parts();
        let slow = Slow::open(source, &closed);
        let mut opened = AsyncSource::new(slow).unwrap();
        if in_background {
            opened = opened.close_in_background();
        }
        let (ticks, how) = ticks_while(TICK, async {
            drop(opened);
            closes(&closed).await
        })
        .await;
        assert_eq!(how, where_to);
        assert_eq!(ticks > 20, in_background, "{ticks} ticks");
    }
}

#[tokio::test]
async fn what_was_opened_by_name_and_streams_of_it_close_in_background() {
    let opened = AsyncSource::<Slow>::open("x0").unwrap();
    let closed = Arc::clone(&opened.get_ref().closed);
    drop(opened.packets());
    assert_eq!(closes(&closed).await, CLOSED_ELSEWHERE);

    let opened = AsyncSource::<Slow>::open("x0").unwrap();
    let closed = Arc::clone(&opened.get_ref().closed);
    drop(opened.into_inner());
    assert_eq!(closes(&closed).await, CLOSED_HERE, "it is the caller's");
}

#[cfg(feature = "flow")]
#[tokio::test]
async fn a_broadcast_closes_its_source_in_background() {
    let (script, source, closed) = parts();
    let slow = Slow::open(source, &closed);
    let key = netring_flow::extract::FiveTuple::bidirectional();
    let broadcast = AsyncSource::new(slow)
        .unwrap()
        .flow_stream(key)
        .broadcast(4);
    script.push(Step::End);
    assert_eq!(closes(&closed).await, CLOSED_ELSEWHERE);
    drop(broadcast);
}

#[tokio::test]
async fn a_source_that_nobody_waits_for_any_more_is_closed_again() {
    let (_script, source, closed) = parts();
    let counter = Arc::clone(&closed);
    let mut open = Box::pin(AsyncSource::open_with(move || {
        Ok(Slow::open(source, &counter))
    }));
    assert!((&mut open).now_or_never().is_none());
    drop(open);
    assert_ne!(closes(&closed).await, OPEN);
}

#[tokio::test]
async fn an_error_of_the_opening_is_the_errors_of_the_future() {
    let gone = || Err::<Scripted, _>(Error::Closed);
    let error = AsyncSource::open_with(gone).await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
}

#[tokio::test]
#[should_panic(expected = "as intended")]
async fn a_panic_of_the_opening_is_the_futures() {
    let _ = AsyncSource::<Scripted>::open_with(|| panic!("as intended")).await;
}

#[test]
fn outside_of_a_runtime_nothing_is_opened() {
    let open = AsyncSource::<Scripted>::open_with(|| panic!("it is opened"));
    let error = open.now_or_never().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("inside a tokio runtime"),
        "{error}"
    );
}
