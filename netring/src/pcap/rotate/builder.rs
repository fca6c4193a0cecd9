//! The settings of files that are written one after another.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::pattern::Pattern;
use super::{FinishedFile, RotatingWriter};
use crate::Error;
use crate::pcap::write::{CaptureWriter, Format, WriterBuilder};

/// When files are written to the medium (`fsync`), so that they survive a loss of power. The thread
/// that writes waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fsync {
    /// When the kernel does it: usually within 30 seconds.
    #[default]
    Never,
    /// When a file is complete, with its directory.
    EachFile,
    /// Whenever this time has passed, and when a file is complete.
    Every(Duration),
}

/// Settings of a [`RotatingWriter`], made by [`RotatingWriter::builder`]. Without limits there is
/// one file, until [`RotatingWriter::rotate`].
#[must_use]
pub struct RotationBuilder {
    pattern: String,
    utc: bool,
    keep: Option<usize>,
    settings: Settings,
}

/// Called with a file that is complete.
type OnFinished = Box<dyn FnMut(&FinishedFile) + Send>;

/// The settings that are used when a file begins or ends.
pub(super) struct Settings {
    pub(super) pattern: Pattern,
    pub(super) writer: WriterBuilder,
    pub(super) limits: Limits,
    pub(super) keep: Option<NonZeroUsize>,
    pub(super) overwrite: bool,
    pub(super) fsync: Fsync,
    pub(super) on_finished: Option<OnFinished>,
}

/// The limits of a file.
pub(super) struct Limits {
    pub(super) bytes: u64,
    pub(super) packets: u64,
    pub(super) age: Duration,
    pub(super) interval: Option<Duration>,
}

impl Limits {
    /// Whether this many nanoseconds exceed an interval, including a clock change of up to a day.
    pub(super) fn is_beyond(&self, nanos: i128) -> bool {
        const DAY: i128 = 24 * 3600 * 1_000_000_000;
        let interval = self.interval.map_or(0, |interval| interval.as_nanos());
        i128::try_from(interval).is_ok_and(|interval| nanos > interval + DAY)
    }
}

impl RotationBuilder {
    pub(super) fn new(pattern: String) -> Self {
        Self {
            pattern,
            utc: false,
            keep: None,
            settings: Settings {
                pattern: Pattern::EMPTY,
                writer: CaptureWriter::builder(Format::PcapNg),
                limits: Limits {
                    bytes: u64::MAX,
                    packets: u64::MAX,
                    age: Duration::MAX,
                    interval: None,
                },
                keep: None,
                overwrite: false,
                fsync: Fsync::Never,
                on_finished: None,
            },
        }
    }

    /// The format, compression and description of each file; default pcapng.
    pub fn writer(mut self, writer: WriterBuilder) -> Self {
        self.settings.writer = writer;
        self
    }

    /// The maximum number of bytes of a file; default no limit. A file is larger only if its first
    /// packet is. For a compressed file the bytes written so far count: it may exceed the limit by
    /// the compressed size of 192 KiB of packets.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.limits.bytes = bytes;
        self
    }

    /// The longest time that a file is written; default no limit.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.settings.limits.age = age;
        self
    }

    /// Ends files when the clock shows a multiple of this time, in addition to all other limits:
    /// every full hour with 3600 s, and at midnight with 24 h. The clock is the one that names the
    /// files: local time unless [`utc`](Self::utc) is set. Default: none.
    #[doc(alias = "interval")]
    pub fn every(mut self, interval: Duration) -> Self {
        self.settings.limits.interval = Some(interval);
        self
    }

    /// The maximum number of packets in a file; default no limit.
    pub fn max_packets(mut self, packets: u64) -> Self {
        self.settings.limits.packets = packets;
        self
    }

    /// How many files are kept, including the one being written; default all. Before a new one is
    /// created, the oldest is deleted. Files of an earlier run are left alone.
    pub fn keep(mut self, files: usize) -> Self {
        self.keep = Some(files);
        self
    }

    /// Replaces a file of the same name instead of choosing another name.
    pub fn overwrite(mut self) -> Self {
        self.settings.overwrite = true;
        self
    }

    /// Names files by UTC instead of local time.
    pub fn utc(mut self) -> Self {
        self.utc = true;
        self
    }

    /// When files are written to the medium; default [`Fsync::Never`].
    pub fn fsync(mut self, policy: Fsync) -> Self {
        self.settings.fsync = policy;
        self
    }

    /// Calls `f` with each file that is complete, on the thread that writes: packets wait
    /// meanwhile. Move slow work to another thread.
    pub fn on_finished(mut self, f: impl FnMut(&FinishedFile) + Send + 'static) -> Self {
        self.settings.on_finished = Some(Box::new(f));
        self
    }

    /// Creates the first file, and checks that the second one can be.
    ///
    /// # Errors
    /// [`Error::Config`] for a limit of 0, and for a pattern that is empty, contains `..`, or has a
    /// conversion that does not exist or stands for a slash. [`Error::Source`] with a
    /// [`FileError`](crate::pcap::FileError) if a file cannot be created. Errors of
    /// [`WriterBuilder::create`].
    pub fn create(self) -> Result<RotatingWriter, Error> {
        let Self {
            pattern,
            utc,
            keep,
            mut settings,
        } = self;
        settings.pattern = Pattern::new(pattern, utc)?;
        let limits = &settings.limits;
        for (setting, is_zero) in [
            ("max_bytes", limits.bytes == 0),
            ("max_packets", limits.packets == 0),
            ("max_age", limits.age.is_zero()),
            ("every", limits.interval == Some(Duration::ZERO)),
            ("fsync", settings.fsync == Fsync::Every(Duration::ZERO)),
            ("keep", keep == Some(0)),
        ] {
            if is_zero {
                let why = "0; leave it out for no limit".into();
                return Err(Error::Config { setting, why });
            }
        }
        settings.keep = keep.and_then(NonZeroUsize::new);
        RotatingWriter::begin(settings)
    }
}

impl fmt::Debug for RotationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotationBuilder")
            .field("pattern", &self.pattern)
            .finish_non_exhaustive()
    }
}
