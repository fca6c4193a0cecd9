//! The cost of opening and closing for the calling thread, and how long they block a
//! single-threaded runtime.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use netring::AsyncCapture;
use netring_afpacket::{Capture, CaptureBuilder};
use netring_sys::kernel::packet::ETH_P_ALL;
use netring_sys::{Interface, syscall};

use super::ends::NEAR;
use super::live::Wire;
use super::measure::{self, median};
use super::pause::PROFILES;
use super::{Options, Row, Table, Target};
use crate::Result;

pub(super) fn run(options: &Options, table: &mut Table) -> Result<()> {
    let _wire = Wire::new()?;
    measure::pin(measure::MEASURED_CORE);
    for profile in PROFILES {
        let settings = || Capture::builder().interface(NEAR).profile(profile);
        let (mut ours, mut plain) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            ours.push(both(|| Ok(settings().build()?))?);
            plain.push(both(plain_socket)?);
        }
        for (what, of) in [("opening", 0), ("closing", 1)] {
            let figures =
                |rounds: &[[f64; 2]]| median(rounds.iter().map(|both| both[of]).collect());
            let row = Row::new(format!("{what}: {profile:?}"), "ms", figures(&ours));
            table.add(row.peer("recvfrom", figures(&plain)));
        }
    }
    runtime(options, table)
}

/// Milliseconds for opening, and for closing.
fn both<T>(open: impl FnOnce() -> Result<T>) -> Result<[f64; 2]> {
    let start = Instant::now();
    let opened = open()?;
    let middle = Instant::now();
    drop(opened);
    Ok([middle - start, middle.elapsed()].map(millis))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A packet socket without a ring.
fn plain_socket() -> Result<OwnedFd> {
    let socket = syscall::packet_socket()?;
    let index = Interface::by_name(NEAR)?.index;
    syscall::bind_packet(socket.as_fd(), index, ETH_P_ALL)?;
    Ok(socket)
}

/// The longest gap between two ticks of a 1 ms timer meanwhile: if another thread opens, and if the
/// runtime's own does.
fn runtime(options: &Options, table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let settings = || Capture::builder().interface(NEAR);
    let (mut opening, mut closing) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..options.rounds {
        runtime.block_on(async {
            let beside = AsyncCapture::open_with(move || settings().build());
            let (gap, capture) = longest_gap(beside).await;
            opening[0].push(gap);
            closing[0].push(longest_gap(capture?.close()).await.0);
            let (gap, capture) = longest_gap(async { in_place(settings()) }).await;
            opening[1].push(gap);
            let capture = capture?;
            closing[1].push(longest_gap(async { drop(capture) }).await.0);
            Ok::<_, Box<dyn std::error::Error>>(())
        })?;
    }
    for (what, [beside, in_place]) in [("opening", opening), ("closing", closing)] {
        let row = Row::new(
            format!("{what}, async: longest gap of a timer of 1 ms"),
            "ms",
            median(beside),
        );
        let row = row.peer("on the runtime's thread", median(in_place));
        table.add(row.target(Target::AtMost(5.0)));
    }
    Ok(())
}

fn in_place(settings: CaptureBuilder) -> Result<AsyncCapture> {
    Ok(AsyncCapture::new(settings.build()?)?)
}

/// Milliseconds, and the output of the future.
async fn longest_gap<T>(future: impl Future<Output = T>) -> (f64, T) {
    let mut future = std::pin::pin!(future);
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    let tick = Duration::from_millis(1);
    loop {
        let output = tokio::select! {
            biased;
            output = &mut future => Some(output),
            () = tokio::time::sleep(tick) => None,
        };
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if let Some(output) = output {
            return (millis(longest), output);
        }
    }
}
