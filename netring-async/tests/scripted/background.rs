//! A source that takes long to open and to close blocks only its own thread.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use super::script as scripted;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use futures::FutureExt;
use netring_async::{AsyncSource, OpenAsync};
use netring_sys::{Build, Error, Open, PacketSource, Readiness, Stats};
use scripted::{Script, Scripted, Step, scripted};
use tokio::time::{sleep, timeout};

/// The period of the timer that shows that a thread is free.
const TICK: Duration = Duration::from_millis(2);
/// How often it fires while a source is opened or closed.
const TICKS: u64 = 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts how often a timer fires on the thread of a runtime.
struct Timer {
    thread: ThreadId,
    ticks: AtomicU64,
}

thread_local! {
    static TIMER: Arc<Timer> = Arc::new(Timer {
        thread: thread::current().id(),
        ticks: AtomicU64::new(0),
    });
}

impl Timer {
    fn here() -> Arc<Self> {
        TIMER.with(Arc::clone)
    }

    /// Takes long: on another thread than that of the timer, until it has fired often meanwhile.
    fn is_waited_for(&self) {
        if thread::current().id() == self.thread {
            return;
        }
        // No memory is handed over: the count alone says how often it fired.
        let now = || self.ticks.load(Ordering::Relaxed);
        let (end, enough) = (Instant::now() + PATIENCE, now() + TICKS);
        while now() < enough {
            assert!(Instant::now() < end, "the runtime does not go on");
            thread::sleep(TICK / 2);
        }
    }
}

/// Awaits the future while the timer of this thread fires.
async fn with_timer<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        tokio::select! {
            biased;
            output = &mut future => return output,
            () = sleep(TICK) => Timer::here().ticks.fetch_add(1, Ordering::Relaxed),
        };
    }
}

/// A source that takes long for both, and reports the thread on which it was closed.
struct Slow {
    source: Scripted,
    closed: Arc<AtomicU64>,
    timer: Arc<Timer>,
}

const OPEN: u64 = 0;
const CLOSED_HERE: u64 = 1;
const CLOSED_ELSEWHERE: u64 = 2;
const CLOSED_WRONG: u64 = 3;

impl Slow {
    fn open(source: Scripted, closed: &Arc<AtomicU64>, timer: &Arc<Timer>) -> Self {
        timer.is_waited_for();
        Self {
            source,
            closed: Arc::clone(closed),
            timer: Arc::clone(timer),
        }
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.timer.is_waited_for();
        let thread = thread::current();
        let how = match thread.name() {
            Some("netring-close") => CLOSED_ELSEWHERE,
            _ if thread.id() == self.timer.thread => CLOSED_HERE,
            _ => CLOSED_WRONG,
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
struct Settings(Arc<Timer>);

impl Build for Settings {
    type Source = Slow;

    fn build(self) -> Result<Slow, Error> {
        Ok(Slow::open(scripted().1, &Arc::default(), &self.0))
    }
}

impl Open for Slow {
    type Builder = Settings;

    fn builder() -> Settings {
        Settings(Timer::here())
    }

    fn open(_: &str) -> Result<Self, Error> {
        Self::builder().build()
    }
}

async fn closes(closed: &AtomicU64) -> u64 {
    let wait = async {
        while closed.load(Ordering::Acquire) == OPEN {
            sleep(Duration::from_millis(5)).await;
        }
    };
    with_timer(timeout(PATIENCE, wait))
        .await
        .expect("it is never closed");
    closed.load(Ordering::Acquire)
}

/// What opens a slow source.
fn parts() -> (
    Script,
    impl FnOnce() -> Slow + Send + 'static,
    Arc<AtomicU64>,
) {
    let (script, source) = scripted();
    let (closed, timer) = (Arc::default(), Timer::here());
    let counter = Arc::clone(&closed);
    let open = move || Slow::open(source, &counter, &timer);
    (script, open, closed)
}

#[tokio::test]
async fn the_runtime_goes_on_while_a_source_is_opened_and_closed() {
    let (script, open, closed) = parts();
    let open = AsyncSource::open_with(|| Ok(open()));
    let mut opened = with_timer(open).await.unwrap();
    script.push(Step::End);
    assert!(opened.next_batch().await.unwrap().is_none());

    with_timer(opened.close()).await;
    assert_eq!(closed.load(Ordering::Acquire), CLOSED_ELSEWHERE);
}

#[tokio::test]
async fn settings_open_on_a_thread_of_their_own_and_close_in_background() {
    let open = AsyncSource::<Slow>::builder().open();
    let opened = with_timer(open).await.unwrap();
    let closed = Arc::clone(&opened.get_ref().closed);
    drop(opened);
    assert_eq!(closes(&closed).await, CLOSED_ELSEWHERE);
}

#[tokio::test]
async fn a_source_is_dropped_where_its_constructor_says() {
    for (in_background, where_to) in [(true, CLOSED_ELSEWHERE), (false, CLOSED_HERE)] {
        let (_script, open, closed) = parts();
        let mut opened = AsyncSource::new(open()).unwrap();
        if in_background {
            opened = opened.close_in_background();
        }
        drop(opened);
        assert_eq!(closes(&closed).await, where_to);
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
    let (script, open, closed) = parts();
    let key = netring_flow::extract::FiveTuple::bidirectional();
    let broadcast = AsyncSource::new(open())
        .unwrap()
        .flow_stream(key)
        .broadcast(4);
    script.push(Step::End);
    assert_eq!(closes(&closed).await, CLOSED_ELSEWHERE);
    drop(broadcast);
}

#[tokio::test]
async fn a_source_that_nobody_waits_for_any_more_is_closed_again() {
    let (_script, open, closed) = parts();
    let mut open = Box::pin(AsyncSource::open_with(|| Ok(open())));
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
