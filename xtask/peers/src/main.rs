//! Peers that need a C library, each measured as a program of its own by `cargo xtask bench
//! --peers`.
//!
//! `netring-peers PEER INTERFACE` prints `ready` once it receives. When its input is closed and no
//! more packets arrive, it prints a line `NAME NUMBER` for each figure and ends: `delivered`,
//! `dropped` (packets), `awake` (nanoseconds of CPU between two waits), `user`, `system`
//! (nanoseconds of CPU), `waits`.
//!
//! `filter-pcap CAPTURE EXPRESSION MILLISECONDS` and `compile-pcap FILE` need no interface: they
//! measure libpcap's filters.
//!
//! `read-pcap FILE` reads a capture file, and `write-pcap FILE BYTES PACKETS` writes one of packets
//! with so many bytes; both print `delivered` and `awake`.
//!
//! `paused-pcap` reads nothing; when its input is closed, it prints `dropped`.
//!
//! `netring-peers where-xsk` prints the path of the program in C on libxdp (`c/xsk.c`), which the
//! bench runs directly.
#![forbid(unsafe_code)]

mod file_pcap;
mod filter_pcap;
mod paused_pcap;
mod receive_pcap;

use std::error::Error;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use netring_sys::syscall::poll_readable;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Longer than any pause of the generator.
const QUIET: Duration = Duration::from_millis(60);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["receive-pcap", interface] => receive_pcap::run(interface),
        ["paused-pcap", interface] => paused_pcap::run(interface),
        ["read-pcap", path] => file_pcap::read(path),
        ["write-pcap", path, len, packets] => file_pcap::write(path, len, packets),
        ["filter-pcap", file, expression, time] => filter_pcap::run(file, expression, time),
        ["compile-pcap", file] => filter_pcap::compile(file),
        ["where-xsk"] => {
            println!("{}", env!("XSK"));
            Ok(())
        }
        _ => Err("expected a peer, and an interface or what else it takes".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Reads, without waiting in `read`, until the input is closed and no more packets arrive; prints
/// what that cost.
fn measure<R>(
    reader: &mut R,
    fd: impl Fn(&R) -> BorrowedFd<'_>,
    mut read: impl FnMut(&mut R) -> Result<()>,
) -> Result<()> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        // Relaxed: it publishes no other memory. Partner: the load below.
        stop.store(true, Ordering::Relaxed);
    });
    println!("ready");
    let (mut awake, mut waits) = (Duration::ZERO, 0);
    let before = getrusage(UsageWho::RUSAGE_THREAD)?;
    loop {
        let start = cpu_time()?;
        read(reader)?;
        awake += cpu_time()? - start;
        waits += 1;
        // Relaxed: see above. It is read before the wait: packets sent before the stop have arrived
        // by the end of the wait.
        let last = stopped.load(Ordering::Relaxed);
        if !poll_readable(fd(reader), Some(QUIET))? && last {
            break;
        }
    }
    let after = getrusage(UsageWho::RUSAGE_THREAD)?;
    let user = after.user_time() - before.user_time();
    let system = after.system_time() - before.system_time();
    println!("awake {}", awake.as_nanos());
    println!("user {}", user.num_nanoseconds());
    println!("system {}", system.num_nanoseconds());
    println!("waits {waits}");
    Ok(())
}

/// The CPU time of this thread in nanoseconds.
fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// A word derived from what a reader reads, the same for every measured program.
fn touch(data: &[u8], wire_len: u32, nanos: u64) -> u64 {
    let first = data.first_chunk().copied().map_or(0, u64::from_ne_bytes);
    let last = data.last_chunk().copied().map_or(0, u64::from_ne_bytes);
    first ^ last ^ data.len() as u64 ^ (u64::from(wire_len) << 32) ^ nanos
}
