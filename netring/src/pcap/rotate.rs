//! Capture files one after another.

mod builder;
mod files;
mod interval;
mod pattern;

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use netring_sys::__event;

pub use self::builder::{Fsync, RotationBuilder};
use self::builder::{Limits, Settings};
use super::interface::InterfaceDescription;
use super::read::Record;
use super::statistics::InterfaceStatistics;
use super::write::{CaptureWriter, Encoder};
use crate::{Error, Packet, PacketWriter};

/// Packets between two looks at the clock.
const PACKETS_PER_LOOK: u32 = 64;

/// How often to check that the file still has a name.
const REMOVED_EVERY: Duration = Duration::from_secs(1);

/// Writes packets to one capture file after another: a file ends when it reaches its maximum size,
/// age or number of packets, at multiples of the clock, or by [`rotate`](Self::rotate), whichever
/// comes first.
///
/// A file is written under its final name from the start, so that after the program is killed all
/// of it but the last buffer (64 KiB) can be read. A file that exists is not replaced unless that
/// is requested. With [`keep`](RotationBuilder::keep) the oldest files of this writer are deleted.
///
/// All files have the interfaces of the ones before, with the same numbers.
///
/// Age and multiples follow the host's clock, which is read on [`flush`](PacketWriter::flush),
/// [`tick`](Self::tick) and each 64th packet. A [`Tee`](crate::adapters::Tee) flushes when its
/// source has nothing more; a program that must end files while no packets arrive calls `tick`.
///
/// After an error nothing more is written. Packets that are not in the files are counted
/// ([`unwritten`](Self::unwritten)).
///
/// ```no_run
/// use netring::adapters::Tee;
/// use netring::pcap::RotatingWriter;
/// use netring::{Capture, PacketBatch, PacketSource};
/// use std::time::Duration;
///
/// let writer = RotatingWriter::builder("/var/cap/eth0-%Y%m%d-%H%M%S.pcapng")
///     .max_bytes(100 << 20)
///     .max_age(Duration::from_secs(3600))
///     .keep(24)
///     .on_finished(|file| eprintln!("{}: {} packets", file.path.display(), file.packets))
///     .create()?;
/// let mut tee = Tee::new(Capture::open("eth0")?, writer);
/// while let Some(batch) = tee.next_batch()? {
///     println!("{} packets", batch.packets().count());
/// }
/// # Ok::<(), netring::Error>(())
/// ```
pub struct RotatingWriter {
    settings: Settings,
    /// `None` after an error, and once all is complete.
    current: Option<Current>,
    /// The complete files, oldest first, that will eventually be deleted.
    finished: VecDeque<PathBuf>,
    /// Files so far.
    files: u64,
    /// Packets taken for earlier files, and those of them that did not reach one.
    packets: u64,
    unwritten: u64,
    until_look: u32,
}

/// The file that is being written.
struct Current {
    writer: CaptureWriter,
    path: PathBuf,
    opened: SystemTime,
    since: Instant,
    synced: Instant,
    checked: Instant,
    /// When it ends by the clock; `None` if it does not.
    until: Option<jiff::Timestamp>,
}

/// A complete file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FinishedFile {
    /// Its name.
    pub path: PathBuf,
    /// Its number among the files of this writer, from 1.
    pub number: u64,
    /// Its packets.
    pub packets: u64,
    /// Its bytes.
    pub bytes: u64,
    /// When it was created.
    pub opened: SystemTime,
    /// When it was completed.
    pub closed: SystemTime,
}

impl RotatingWriter {
    /// Settings for files with names after a pattern.
    ///
    /// The conversions of strftime (`%Y%m%d-%H%M%S`) stand for the local time at which the file is
    /// created, and `{}` for its number, from 00001. If the name is taken, a number is added:
    /// `a-2.pcapng`. Directories must exist, and `..` is refused.
    pub fn builder(pattern: impl Into<String>) -> RotationBuilder {
        RotationBuilder::new(pattern.into())
    }

    fn begin(settings: Settings) -> Result<Self, Error> {
        let encoder = settings.writer.encoder()?;
        let mut writer = Self {
            settings,
            current: None,
            finished: VecDeque::new(),
            files: 0,
            packets: 0,
            unwritten: 0,
            until_look: PACKETS_PER_LOOK,
        };
        writer.open(encoder)?;
        writer.check_next()?;
        Ok(writer)
    }

    /// The name of the file that is being written; `None` after an error.
    pub fn path(&self) -> Option<&Path> {
        self.current.as_ref().map(|current| &*current.path)
    }

    /// Files so far, with the one that is being written.
    pub const fn files(&self) -> u64 {
        self.files
    }

    /// Packets that were taken, for all files.
    pub fn packets(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |it| it.writer.packets());
        self.packets + current
    }

    /// Packets that were taken and are in no file: they are buffered, or an error kept them out.
    pub fn unwritten(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |it| it.writer.unwritten());
        self.unwritten + current
    }

    /// Checks that the next file can be created, by creating it and removing it again. `create`
    /// does so too; call it again after dropping privileges.
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`](super::FileError) that has the name of the file.
    pub fn check_next(&self) -> Result<(), Error> {
        files::check(&self.settings, self.files + 1)
    }

    /// Ends the file if it is old enough, and syncs it if that is due. Returns an error if the file
    /// was removed while being written. Call it now and then while no packets arrive.
    ///
    /// # Errors
    /// The errors of [`rotate`](Self::rotate).
    pub fn tick(&mut self) -> Result<(), Error> {
        self.until_look = PACKETS_PER_LOOK;
        let Some(current) = &mut self.current else {
            return Err(Error::Closed);
        };
        let now = Instant::now();
        if now.duration_since(current.checked) >= REMOVED_EVERY {
            current.checked = now;
            if let Err(error) = current.check_name() {
                return Err(self.lose(error, true));
            }
        }
        if let Fsync::Every(time) = self.settings.fsync
            && now.duration_since(current.synced) >= time
        {
            current.synced = now;
            if let Err(error) = current.sync() {
                return Err(self.lose(error, false));
            }
        }
        let is_over = current.until.is_some_and(|until| {
            let clock = jiff::Timestamp::now();
            let left = until.as_nanosecond() - clock.as_nanosecond();
            // More than an interval is left if the clock was set back.
            left <= 0 || self.settings.limits.is_beyond(left)
        });
        if is_over || now.duration_since(current.since) >= self.settings.limits.age {
            self.rotate()?;
        }
        Ok(())
    }

    /// Completes the file and begins the next one.
    ///
    /// # Errors
    /// [`Error::Source`] with a [`FileError`](super::FileError) that has the name of the file that
    /// could not be completed, deleted or created; [`Error::Closed`] after that.
    pub fn rotate(&mut self) -> Result<(), Error> {
        let encoder = self.close()?.1;
        self.open(encoder)
    }

    /// Completes the last file, and returns its description.
    ///
    /// # Errors
    /// The errors of [`rotate`](Self::rotate).
    pub fn finish(mut self) -> Result<FinishedFile, Error> {
        self.close().map(|(finished, _)| finished)
    }

    /// Describes an interface in this file and all later ones: see [`CaptureWriter::describe`].
    ///
    /// # Errors
    /// Those of [`CaptureWriter::describe`].
    pub fn describe(
        &mut self,
        interface: u32,
        description: InterfaceDescription,
    ) -> Result<(), Error> {
        self.with(|writer| writer.describe(interface, description))
    }

    /// Notes that packets of an interface were dropped: see [`CaptureWriter::note_dropped`].
    ///
    /// # Errors
    /// Those of [`CaptureWriter::note_dropped`].
    pub fn note_dropped(&mut self, interface: u32, packets: u64) -> Result<(), Error> {
        self.with(|writer| writer.note_dropped(interface, packets))
    }

    /// Sets the statistics of an interface, which are written at the end of this file, and of later
    /// ones until there are newer: see [`CaptureWriter::set_statistics`].
    ///
    /// # Errors
    /// Those of [`CaptureWriter::set_statistics`].
    pub fn set_statistics(
        &mut self,
        interface: u32,
        statistics: impl Into<InterfaceStatistics>,
    ) -> Result<(), Error> {
        self.with(|writer| writer.set_statistics(interface, statistics))
    }

    /// Writes a packet of a file with all its options: see [`CaptureWriter::write_record`].
    ///
    /// # Errors
    /// Those of [`CaptureWriter::write_record`], and those of [`rotate`](Self::rotate).
    pub fn write_record(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        let len = record.packet().data().len() + record.options_len();
        self.make_room(len)?;
        self.with(|writer| writer.write_record(record))
    }

    /// Uses the writer of the current file, and gives it up after a final error.
    #[inline]
    fn with<T>(
        &mut self,
        f: impl FnOnce(&mut CaptureWriter) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(current) = &mut self.current else {
            return Err(Error::Closed);
        };
        match f(&mut current.writer) {
            Err(error) if error.is_terminal() => Err(self.lose(error, false)),
            result => result,
        }
    }

    /// Begins the next file if a packet of this many bytes has no room in this one, or if it is
    /// time.
    #[inline]
    fn make_room(&mut self, len: usize) -> Result<(), Error> {
        self.until_look -= 1;
        if self.until_look == 0 {
            self.tick()?;
        }
        let Some(current) = &self.current else {
            return Err(Error::Closed);
        };
        if current.is_full(&self.settings.limits, len) {
            self.rotate()?;
        }
        Ok(())
    }

    /// Creates the next file, with the interfaces of the one before.
    fn open(&mut self, encoder: Encoder) -> Result<(), Error> {
        let number = self.files + 1;
        if let Some(keep) = self.settings.keep {
            // The new file is one of them.
            while self.finished.len() >= keep.get() {
                let Some(oldest) = self.finished.pop_front() else {
                    break;
                };
                files::remove(&oldest)?;
            }
        }
        let (file, path) = files::create(&self.settings, number)?;
        // With names that repeat, a file is replaced, and is no longer there to be deleted.
        self.finished.retain(|older| *older != path);
        let name = path.display().to_string();
        let writer = self.settings.writer.begin(file, name, encoder)?;
        self.files = number;
        __event!("file", INFO, file = %path.display(), number, "file begins");
        let (now, opened) = (Instant::now(), SystemTime::now());
        let interval = self.settings.limits.interval;
        let until = interval.and_then(|interval| self.settings.pattern.next_multiple(interval));
        self.current = Some(Current {
            writer,
            path,
            opened,
            since: now,
            synced: now,
            checked: now,
            until,
        });
        Ok(())
    }

    /// Completes the current file. Returns it, and what the next one begins with.
    fn close(&mut self) -> Result<(FinishedFile, Encoder), Error> {
        let Some(mut current) = self.current.take() else {
            return Err(Error::Closed);
        };
        let encoder = current.writer.encoder();
        let (taken, name) = (current.writer.packets(), current.path.display().to_string());
        let complete = match current.writer.end() {
            Ok(file) => files::complete(&file, &current.path, self.settings.fsync, &name),
            Err(error) => Err(error),
        };
        let unwritten = current.writer.unwritten();
        self.packets += taken;
        let bytes = match complete {
            Ok(bytes) => bytes,
            Err(error) => {
                // Of a file that was removed nothing is left.
                let removed = files::is_removal(&error);
                let unwritten = if removed { taken } else { unwritten };
                log_lost(&current.path, unwritten, &error);
                self.unwritten += unwritten;
                return Err(error);
            }
        };
        let finished = FinishedFile {
            path: current.path,
            number: self.files,
            packets: taken,
            bytes,
            opened: current.opened,
            closed: SystemTime::now(),
        };
        __event!(
            "file",
            INFO,
            file = %finished.path.display(),
            number = finished.number,
            packets = finished.packets,
            bytes = finished.bytes,
            "file is complete"
        );
        if self.settings.keep.is_some() {
            self.finished.push_back(finished.path.clone());
        }
        if let Some(f) = &mut self.settings.on_finished {
            f(&finished);
        }
        Ok((finished, encoder))
    }

    /// Gives the current file up after an error; if it was `removed`, with all its packets.
    #[cold]
    fn lose(&mut self, error: Error, removed: bool) -> Error {
        if let Some(current) = self.current.take() {
            let (taken, unwritten) = (current.writer.packets(), current.writer.unwritten());
            let unwritten = if removed { taken } else { unwritten };
            log_lost(&current.path, unwritten, &error);
            self.packets += taken;
            self.unwritten += unwritten;
        }
        error
    }
}

/// A file was given up.
fn log_lost(path: &Path, unwritten: u64, error: &Error) {
    __event!(
        "file",
        WARN,
        file = %path.display(),
        unwritten,
        why = %error,
        "the file could not be written"
    );
}

impl Current {
    /// Whether a packet of this many bytes has no room. The first one always has.
    #[inline]
    fn is_full(&self, limits: &Limits, len: usize) -> bool {
        let packets = self.writer.packets();
        packets > 0 && (packets >= limits.packets || self.writer.complete_len(len) > limits.bytes)
    }

    /// An error if the file no longer has a name.
    fn check_name(&self) -> Result<(), Error> {
        let name = self.path.display().to_string();
        match self.writer.get_ref() {
            Some(file) => files::check_name(file, &name),
            None => Ok(()),
        }
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.writer.flush()?;
        let name = self.path.display().to_string();
        match self.writer.get_ref() {
            Some(file) => files::sync(file, &name),
            None => Ok(()),
        }
    }
}

impl PacketWriter for RotatingWriter {
    /// Writes a packet, to the next file if this one is full; there is always room.
    ///
    /// # Errors
    /// As for a [`CaptureWriter`], and the errors of [`rotate`](Self::rotate).
    #[inline]
    fn write(&mut self, packet: &Packet<'_>) -> Result<bool, Error> {
        self.make_room(packet.data().len())?;
        self.with(|writer| writer.write(packet))
    }

    fn flush(&mut self) -> Result<bool, Error> {
        self.with(PacketWriter::flush)?;
        self.tick()?;
        Ok(true)
    }
}

/// Completes the last file.
impl Drop for RotatingWriter {
    fn drop(&mut self) {
        // An error cannot be reported here; `finish` reports it.
        let _ = self.close();
    }
}

impl fmt::Debug for RotatingWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatingWriter")
            .field("path", &self.path())
            .field("files", &self.files)
            .field("packets", &self.packets())
            .field("unwritten", &self.unwritten())
            .finish_non_exhaustive()
    }
}
