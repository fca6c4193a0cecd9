//! The thread that reads the source.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use netring_sys::{Error, PacketBatch, PacketSource, Readiness};

use super::queue::Queue;

/// The longest wait for packets before the thread checks for questions.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// Reads the source to its end, or until nobody reads the queue, and closes it. A panic is an error
/// of the source.
pub(super) fn run<S: PacketSource>(source: S, queue: &Queue, lossless: bool) {
    let whole = AssertUnwindSafe(|| {
        let mut source = source;
        let end = read(&mut source, queue, lossless);
        (end, source.stats())
    });
    let (end, stats) = catch_unwind(whole)
        .unwrap_or_else(|panic| (Err(panicked(&*panic)), Err(panicked(&*panic))));
    queue.end(end, stats);
}

fn read(source: &mut impl PacketSource, queue: &Queue, lossless: bool) -> Result<(), Error> {
    // Wait for room only while nothing is borrowed from the source: its memory is free for the next
    // packets, and it can report its statistics.
    while queue.serve(lossless, || source.stats()) {
        match source.wait(Some(LOOK)) {
            Ok(Readiness::Ready) => queue.offer(source.batch().packets(), !lossless),
            Ok(Readiness::Empty) => {}
            Ok(Readiness::Ended) => return Ok(()),
            Err(error) if error.is_terminal() => return Err(error),
            Err(report) => queue.report(report, !lossless),
        }
    }
    Ok(())
}

/// The error for a source that panicked.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let source = text.unwrap_or("a value that is not text");
    Error::Source {
        what: "the source of the channel panicked".into(),
        source: source.into(),
    }
}
