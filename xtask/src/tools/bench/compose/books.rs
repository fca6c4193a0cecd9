//! The figures of a soak, each beside the figure that it must equal.

use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use netring::pcap::{CaptureFile, FinishedFile};
use netring_flow::TrackerStats;
use netring_sys::{Count, PacketBatch, PacketSource, Stats};

use super::super::files::Folder;
use super::super::generator::Sent;
use super::super::{Row, Table, Target};
use super::reader::Read;
use crate::Result;

/// Files that are kept.
pub(super) const KEEP: usize = 4;

/// How much memory may grow after the first quarter of the time, in bytes: the size of the flow
/// table if all flows are active at once. A byte lost with each packet would be more in a minute.
const GROWTH: u64 = 16 << 20;

/// The files that are complete.
#[derive(Clone, Debug, Default)]
pub(super) struct Files(Arc<Mutex<Finished>>);

#[derive(Debug, Default)]
struct Finished {
    files: u64,
    packets: u64,
    /// The last ones, which are not deleted.
    kept: VecDeque<FinishedFile>,
}

impl Files {
    pub(super) fn add(&self, file: &FinishedFile) {
        let mut finished = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        finished.files += 1;
        finished.packets += file.packets;
        if finished.kept.len() == KEEP {
            finished.kept.pop_front();
        }
        finished.kept.push_back(file.clone());
    }
}

pub(super) struct Books {
    pub(super) sent: Sent,
    pub(super) capture: Stats,
    /// The tee's figures, and those of its writer.
    pub(super) written: u64,
    pub(super) missed: u64,
    pub(super) taken: u64,
    pub(super) unwritten: u64,
    pub(super) files: Files,
    pub(super) tracker: TrackerStats,
    pub(super) readers: Vec<(&'static str, Read)>,
    /// Events that were left when the broadcast ended.
    pub(super) drained: Read,
    /// How often the capture waited for the lossless subscriber.
    pub(super) waits: u64,
    /// Resident bytes after a quarter of the time, and at its end.
    pub(super) memory: [u64; 2],
}

impl Books {
    pub(super) fn check(&self, folder: &Folder) -> Result<()> {
        let [offered, delivered, dropped, invalid] = [
            self.capture.offered,
            self.capture.delivered,
            self.capture.dropped,
            self.capture.invalid,
        ]
        .map(|count| count.exact().unwrap_or(u64::MAX));
        same("sent", self.sent.frames, "offered", offered)?;
        let fates = delivered.saturating_add(dropped).saturating_add(invalid);
        same("offered", offered, "delivered, dropped or invalid", fates)?;
        let tee = self.written + self.missed;
        same("delivered", delivered, "written or missed", tee)?;
        same("written", self.written, "taken by the writer", self.taken)?;
        same(
            "before the end not in a file",
            self.unwritten,
            "expected",
            0,
        )?;
        self.check_files(folder)?;
        self.check_events(delivered)?;
        let [first, last] = self.memory;
        if last > first + GROWTH {
            return Err(format!("memory grew from {first} to {last} bytes").into());
        }
        Ok(())
    }

    /// Reads the files that are kept.
    fn check_files(&self, folder: &Folder) -> Result<()> {
        let finished = self.files.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut kept, mut read) = (0, 0);
        for file in &finished.kept {
            let mut packets = 0;
            let mut reader = CaptureFile::open(&file.path)?;
            while let Some(batch) = reader.next_batch()? {
                packets += batch.packets().count() as u64;
            }
            let name = file.path.display().to_string();
            same(
                &name,
                packets,
                "packets when it was completed",
                file.packets,
            )?;
            kept += file.packets;
            read += packets;
        }
        let deleted = finished.packets - kept;
        same("written", self.written, "in files", read + deleted)?;
        let there = fs::read_dir(folder.path())?.count() as u64;
        let expected = finished.files.min(KEEP as u64);
        same("files in the folder", there, "kept", expected)
    }

    fn check_events(&self, delivered: u64) -> Result<()> {
        let (tracker, drained) = (&self.tracker, &self.drained);
        same(
            "delivered",
            delivered,
            "seen by the tracker",
            tracker.packets,
        )?;
        same("delivered", delivered, "in flows", tracker.tracked)?;
        let told = tracker.flows_started
            + tracker.flows_established
            + tracker.flows_closed
            + tracker.ended.total()
            + tracker.ticks
            + tracker.icmp_errors;
        let all = self.readers.iter().find(|(_, read)| read.lost == 0);
        let (_, all) = all.ok_or("each subscriber lost events")?;
        let received = all.events - all.anomalies + drained.events - drained.anomalies;
        same("events of the tracker", told, "received", received)?;
        let packets = all.packets + drained.packets;
        same("in flows", tracker.tracked, "in flows that ended", packets)?;
        for (name, read) in &self.readers {
            same("published", all.events, name, read.events + read.lost)?;
            if *name == "lossless" {
                same("lost to it", read.lost, "expected", 0)?;
            }
        }
        Ok(())
    }

    pub(super) fn report(&self, table: &mut Table) {
        let finished = self.files.0.lock().unwrap_or_else(PoisonError::into_inner);
        let time = self.sent.time.as_secs_f64();
        let rate = self.sent.frames as f64 / 1e6 / time;
        let value = |count: Count| count.exact().unwrap_or(u64::MAX);
        let lost = value(self.capture.dropped) as f64;
        let published = self.readers.iter().map(|(_, read)| read.events + read.lost);
        let [first, last] = self.memory.map(|bytes| bytes as f64 / f64::from(1 << 20));
        for (what, unit, figure, target) in [
            ("time", "s", time, None),
            ("offered", "Mpps", rate, None),
            ("lost", "packets", lost, Some(0.0)),
            (
                "missed by the tee",
                "packets",
                self.missed as f64,
                Some(0.0),
            ),
            ("files", "files", finished.files as f64, None),
            ("flows", "flows", self.tracker.flows_started as f64, None),
            (
                "events",
                "events",
                published.max().unwrap_or(0) as f64,
                None,
            ),
            (
                "waits for the lossless subscriber",
                "times",
                self.waits as f64,
                None,
            ),
            ("memory, after a quarter", "MiB", first, None),
            ("memory, at the end", "MiB", last, None),
        ] {
            let row = Row::new(format!("compose: {what}"), unit, figure);
            table.add(row.target(target.map(Target::AtMost)));
        }
        for (name, read) in &self.readers {
            table.note(format!(
                "compose: the {name} subscriber received {} and lost {} events",
                read.events, read.lost
            ));
        }
        table.note(format!(
            "compose: the books balance: {} sent = {} written + {} missed + {} dropped, and {} in flows",
            self.sent.frames, self.written, self.missed, lost, self.tracker.tracked
        ));
    }
}

fn same(what: &str, figure: u64, other: &str, expected: u64) -> Result<()> {
    if figure == expected {
        return Ok(());
    }
    Err(format!("the books do not balance: {what} {figure}, {other} {expected}").into())
}
