//! Load for a reader under test: floods of frames and of signals; the cost of the reader; and
//! waiting for a condition.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use netring_sys::Error;
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};

use crate::wire::Sender;

/// Waits until a condition holds.
///
/// # Panics The condition does not hold within `limit`; the message is `what`.
pub fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A thread that sends one frame after the other until it is stopped, and counts them.
#[derive(Debug)]
pub struct Flood {
    worker: Worker,
    sent: Arc<AtomicU64>,
}

impl Flood {
    /// Sends the result of `frame` for each number from 0 on, out of this interface of this
    /// thread's namespace.
    ///
    /// # Errors The interface does not exist, or the caller lacks CAP_NET_RAW.
    pub fn on(
        interface: &str,
        mut frame: impl FnMut(u64) -> Vec<u8> + Send + 'static,
    ) -> Result<Self, Error> {
        let sender = Sender::on(interface)?;
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let worker = Worker::start(move || {
            let number = counter.load(Ordering::Relaxed);
            let done = sender.send(&frame(number)).is_ok();
            // A refused frame is sent again, so the count is of frames that were sent.
            counter.fetch_add(u64::from(done), Ordering::Relaxed);
        });
        Ok(Self { worker, sent })
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Stops, and returns the number of frames sent.
    pub fn stop(self) -> u64 {
        drop(self.worker);
        self.sent.load(Ordering::Relaxed)
    }
}

/// A thread that sends a signal to another every half millisecond, until it is dropped or five
/// seconds have passed: system calls return `EINTR`. (A wait that restarts with each signal
/// therefore ends late, instead of never.)
#[derive(Debug)]
pub struct SignalStorm {
    worker: Worker,
    sent: Arc<AtomicU64>,
}

impl SignalStorm {
    /// Interrupts this thread, which must outlive the storm.
    ///
    /// # Errors The handler could not be installed.
    pub fn on_this_thread() -> std::io::Result<Self> {
        // The handler only sets a flag; without one the signal would end the process.
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::default())?;
        let target: Pthread = pthread_self();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let end = Instant::now() + Duration::from_secs(5);
        let worker = Worker::start(move || {
            if Instant::now() < end && pthread_kill(target, Signal::SIGUSR1).is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_micros(500));
        });
        Ok(Self { worker, sent })
    }

    /// Ends the storm, and returns the number of signals sent.
    pub fn stop(self) -> u64 {
        drop(self.worker);
        self.sent.load(Ordering::Relaxed)
    }
}

/// The cost of a piece of code for the thread that ran it.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Time on a processor, in this process and in the kernel for it.
    pub cpu: Duration,
    /// How often it slept, which is the number of wake-ups. Waits for a page that was swapped out
    /// do not count.
    pub sleeps: u64,
}

/// Runs `work`, and returns its cost for this thread, as accounted by the kernel.
///
/// # Panics The kernel does not account for threads.
pub fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let own = || sleeps(Path::new("/proc/thread-self")).expect("/proc counts for this thread");
    let (cpu, before) = (cpu_time(), own());
    let value = work();
    let cost = Cost {
        cpu: cpu_time() - cpu,
        sleeps: u64::try_from(own() - before).unwrap_or(0),
    };
    (value, cost)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.expect("Linux counts the processor time of threads")
        .into()
}

/// How often a thread gave up its processor to wait, waits for pages of its program excluded; only
/// differences mean something. `task` is its folder in /proc. `None` if it has ended.
pub fn sleeps(task: &Path) -> Option<i64> {
    let status = std::fs::read_to_string(task.join("status")).ok()?;
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    // Behind the name: state, five identifiers, flags, two counts of minor faults, major faults.
    let stat = std::fs::read_to_string(task.join("stat")).ok()?;
    let fetched = stat.rsplit_once(')')?.1.split_whitespace().nth(9);
    let [count, fetched] = [count?, fetched?].map(|text| text.trim().parse::<i64>().ok());
    Some(count? - fetched?)
}

/// A thread that does one thing again and again until it is dropped.
#[derive(Debug)]
struct Worker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(mut work: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                work();
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic message was printed, and the test fails for lack of its work.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_costs_one_wake_up_and_no_time_and_a_loop_costs_time() {
        let pause = Duration::from_millis(50);
        let ((), slept) = cost(|| thread::sleep(pause));
        assert_eq!(slept.sleeps, 1);
        assert!(slept.cpu < pause / 10, "{slept:?}");
        let start = Instant::now();
        let ((), spun) = cost(|| while cpu_time() < pause || start.elapsed() < pause {});
        assert!(spun.cpu >= pause / 10, "{spun:?}");
    }

    #[test]
    fn a_storm_interrupts_the_sleep_of_this_thread() {
        let storm = SignalStorm::on_this_thread().unwrap();
        let ((), cost) = cost(|| thread::sleep(Duration::from_millis(100)));
        // std sleeps on after each signal.
        assert!(cost.sleeps >= 10, "{cost:?}");
        assert!(storm.stop() >= 10);
    }
}
