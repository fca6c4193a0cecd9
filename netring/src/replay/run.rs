//! The loop of a replay: reads, waits, sends.

use std::time::{Duration, Instant};

use netring_sys::__event;

use super::{Replay, ReplayStats};
use crate::outgoing::{Plan, Reason, Segmented};
use crate::{Error, Packet, PacketBatch, PacketSink, PacketSlot, PacketSource, Readiness};

/// How long to wait for an empty source before checking the stop handle.
const LOOK: Duration = Duration::from_millis(50);
/// The waits while a sink is full, each longer than the one before.
const SHORTEST: Duration = Duration::from_micros(10);
const LONGEST: Duration = Duration::from_millis(1);
/// How long the end of a run waits for frames without progress.
const DRAIN: Duration = Duration::from_secs(1);

/// The outcome for a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Committed,
    /// The sink refused it.
    Refused(Reason),
    /// The replay was stopped before.
    Stopped,
}

impl<K: PacketSink> Replay<K> {
    /// Replays a source until its end, and waits until the sink has sent everything, but no longer
    /// than a second without progress ([`ReplayStats::in_flight`]). Another run continues the
    /// schedule: its first packet follows the last one without a gap.
    ///
    /// Packets of a batch are held while earlier ones wait for their time, so a live source may
    /// fill up meanwhile, and counts its drops.
    ///
    /// # Errors
    /// A terminal error of the source or of the sink; everything before it was sent.
    pub fn run<S: PacketSource>(&mut self, source: &mut S) -> Result<ReplayStats, Error> {
        __event!(
            "replay",
            INFO,
            read_so_far = self.stats.read,
            "replay begins"
        );
        let start = Instant::now();
        self.pace.restart();
        let passed = self.pass(source);
        let drained = self.drain();
        self.stats.duration += start.elapsed();
        let ended = passed.and(drained);
        self.log_ended(&ended);
        ended.map(|()| self.stats())
    }

    /// Replays a source this many times, opening it each time, or until it is stopped.
    ///
    /// ```no_run
    /// # #[cfg(feature = "pcap")]
    /// # fn example(mut sink: impl netring::PacketSink) -> Result<(), netring::Error> {
    /// use netring::{pcap::CaptureFile, replay::Replay};
    ///
    /// let mut replay = Replay::new(&mut sink)?.mtu(1500);
    /// println!("{}", replay.repeat(100, || CaptureFile::open("trace.pcapng"))?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of `open` and [`run`](Self::run).
    pub fn repeat<S, F>(&mut self, times: u64, mut open: F) -> Result<ReplayStats, Error>
    where
        S: PacketSource,
        F: FnMut() -> Result<S, Error>,
    {
        for _ in 0..times {
            if self.stop.is_stopped() {
                break;
            }
            self.run(&mut open()?)?;
        }
        Ok(self.stats())
    }

    fn log_ended(&self, ended: &Result<(), Error>) {
        match ended {
            Ok(()) => __event!("replay", INFO, stats = %self.stats, "replay ended"),
            Err(error) => {
                __event!("replay", WARN, stats = %self.stats, why = %error, "replay failed");
            }
        }
    }

    fn pass<S: PacketSource>(&mut self, source: &mut S) -> Result<(), Error> {
        while self.find(source)? {
            let batch = source.batch();
            let mut packets = batch.packets();
            for packet in packets.by_ref() {
                self.stats.read += 1;
                let step = self.replay(&packet);
                match step {
                    Ok(Step::Committed) => self.stats.committed += 1,
                    Ok(Step::Refused(reason)) => self.stats.refused.add(reason),
                    Ok(Step::Stopped) | Err(_) => {
                        let rest = packets.count() as u64;
                        self.stats.read += rest;
                        self.stats.unsent += rest + 1;
                        return step.map(|_| ());
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for a batch. False at the end, or if the replay was stopped.
    fn find<S: PacketSource>(&mut self, source: &mut S) -> Result<bool, Error> {
        let mut found = source.ready();
        loop {
            match found {
                _ if self.stop.is_stopped() => return Ok(false),
                Ok(Readiness::Ready) => return Ok(true),
                Ok(Readiness::Ended) => return Ok(false),
                Err(error) if error.is_terminal() => return Err(error),
                Ok(Readiness::Empty) | Err(_) => {}
            }
            self.flush()?;
            found = source.wait(Some(LOOK));
        }
    }

    fn replay(&mut self, packet: &Packet<'_>) -> Result<Step, Error> {
        if !self.pace.next(packet.timestamp(), self.longest_gap) {
            self.stats.backwards += 1;
        }
        let bytes = packet.wire_bytes();
        let limits = (self.sink.max_len(), self.sink.max_len());
        match self.outgoing.plan(packet, &bytes, limits) {
            Ok(Plan::AsItIs) => self.commit(bytes.len(), |to| bytes.copy_to(to)),
            Ok(plan) => self.changed(&plan),
            Err(reason) => Ok(Step::Refused(reason)),
        }
    }

    /// Sends what was copied.
    fn changed(&mut self, plan: &Plan) -> Result<Step, Error> {
        // Taken out, so that the sink can be used meanwhile.
        let frame = std::mem::take(&mut self.outgoing.frame);
        let step = match plan {
            Plan::Segments(cut) => self.segments(&frame, cut),
            _ => self.commit(frame.len(), |to| to.copy_from_slice(&frame)),
        };
        self.outgoing.frame = frame;
        step
    }

    fn segments(&mut self, frame: &[u8], cut: &Segmented) -> Result<Step, Error> {
        for index in 0..cut.count() {
            let write = |to: &mut [u8]| cut.write(frame, index, to);
            let step = self.commit(cut.len(index), write)?;
            if step != Step::Committed {
                return Ok(step);
            }
        }
        self.stats.segmented += 1;
        Ok(Step::Committed)
    }

    /// Commits a frame once it is due and there is room.
    fn commit(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> Result<Step, Error> {
        if !self.until_due()? {
            return Ok(Step::Stopped);
        }
        let mut pause = SHORTEST;
        loop {
            match self.sink.slot(len) {
                Ok(Some(mut slot)) => {
                    write(&mut slot);
                    slot.commit();
                    break;
                }
                Ok(None) => {}
                // The MTU was reduced meanwhile.
                Err(Error::FrameLength { .. }) => return Ok(Step::Refused(Reason::TooLong)),
                Err(error) if error.is_terminal() => return Err(error),
                Err(_) => {}
            }
            self.flush()?;
            if self.room()? == 0 || pause > SHORTEST {
                self.stop.wait(pause)?;
            }
            if self.stop.is_stopped() {
                return Ok(Step::Stopped);
            }
            pause = (pause * 2).min(LONGEST);
        }
        self.stats.latest = self.stats.latest.max(self.pace.late());
        self.pace.sent(len);
        self.stats.frames += 1;
        self.stats.bytes += len as u64;
        Ok(Step::Committed)
    }

    /// Sleeps until the next frame is due, after flushing those before it. False if the replay was
    /// stopped.
    fn until_due(&mut self) -> Result<bool, Error> {
        loop {
            if self.stop.is_stopped() {
                return Ok(false);
            }
            let left = self.pace.until_due();
            if left.is_zero() {
                return Ok(true);
            }
            // Frames that the interface does not take now must not wait for the next one.
            let time = match self.flush()? {
                true => left,
                false => left.min(LONGEST),
            };
            self.stop.wait(time)?;
        }
    }

    /// Returns whether nothing is left to flush.
    fn flush(&mut self) -> Result<bool, Error> {
        match self.sink.flush() {
            Ok(left) => {
                self.is_down = false;
                Ok(left == 0)
            }
            Err(error) if error.is_terminal() => Err(error),
            Err(error) => {
                let is_down = matches!(error, Error::LinkDown { .. });
                self.stats.link_downs += u64::from(is_down && !self.is_down);
                self.is_down = is_down;
                Ok(false)
            }
        }
    }

    fn room(&mut self) -> Result<usize, Error> {
        match self.sink.room() {
            Err(error) if !error.is_terminal() => Ok(0),
            other => other,
        }
    }

    fn drain(&mut self) -> Result<(), Error> {
        let (mut pending, mut since) = (u64::MAX, Instant::now());
        let mut pause = SHORTEST;
        let drained = loop {
            let flushed = self.flush().and_then(|_| self.room());
            let left = self.sink.pending()?;
            if left < pending {
                (pending, since) = (left, Instant::now());
            }
            match flushed {
                Err(error) => break Err(error),
                Ok(_) if left == 0 || self.stop.is_stopped() || since.elapsed() > DRAIN => {
                    break Ok(());
                }
                Ok(_) => {}
            }
            self.stop.wait(pause)?;
            pause = (pause * 2).min(LONGEST);
        };
        self.stats.in_flight = pending;
        drained
    }
}
