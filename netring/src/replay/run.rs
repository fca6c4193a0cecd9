//! The loop of a replay: reads, waits, sends.

use std::time::{Duration, Instant};

use super::layout::{Layout, TCP, UDP, has_no_length, word};
use super::segment::{Segmented, fill_checksum};
use super::stats::Reason;
use super::{Replay, ReplayStats};
use crate::{
    Checksum, Error, LinkType, Packet, PacketBatch, PacketSink, PacketSlot, PacketSource,
    Readiness, Segmentation, VlanTag, WireBytes,
};

/// How long a source that may be empty is waited for until the next look at the stop handle.
const LOOK: Duration = Duration::from_millis(50);
/// The waits for a sink that is full, of which each is longer than the one before.
const SHORTEST: Duration = Duration::from_micros(10);
const LONGEST: Duration = Duration::from_millis(1);
/// How long the end of a run waits for frames of which none makes progress.
const DRAIN: Duration = Duration::from_secs(1);

/// What is sent of a packet whose bytes were copied.
enum Plan {
    Whole,
    Segments(Segmented),
}

/// What became of a frame.
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
    /// Packets of a batch are held while those before them wait for their time, so a live source
    /// may fill up meanwhile, and counts what it drops.
    ///
    /// # Errors
    /// A terminal error of the source or of the sink; everything before it was sent.
    pub fn run<S: PacketSource>(&mut self, source: &mut S) -> Result<ReplayStats, Error> {
        let start = Instant::now();
        self.pace.restart();
        let passed = self.pass(source);
        let drained = self.drain();
        self.stats.duration += start.elapsed();
        passed.and(drained).map(|()| self.stats())
    }

    /// Replays a source so many times, opening it each time, or until it is stopped.
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
        let limit = self.limit(packet, &bytes);
        let as_it_is = !self.fix_checksums
            && bytes.len() <= limit
            && packet.checksum() != Checksum::Partial
            && packet
                .offload()
                .is_none_or(|offload| offload.segments().is_none())
            && !has_no_length(packet.data(), packet.link_type());
        let shortest = match self.link_type {
            LinkType::ETHERNET => 14,
            _ => 1,
        };
        let refused = match as_it_is {
            _ if packet.is_cut() => Reason::Cut,
            _ if packet.link_type() != self.link_type => Reason::LinkType,
            _ if bytes.len() < shortest => Reason::TooShort,
            true => return self.commit(bytes.len(), |to| bytes.copy_to(to)),
            false => match self.plan(packet, &bytes, limit) {
                Ok(plan) => return self.changed(&plan),
                Err(reason) => reason,
            },
        };
        Ok(Step::Refused(refused))
    }

    /// Bytes of the longest frame, if it begins as this one.
    fn limit(&self, packet: &Packet<'_>, bytes: &WireBytes<'_>) -> usize {
        let most = self.sink.max_len();
        let Some(mtu) = self.mtu else {
            return most;
        };
        let tpid = match packet.vlan() {
            Some(VlanTag { tpid, .. }) if bytes.len() > packet.data().len() => Some(tpid),
            _ => word(packet.data(), 12),
        };
        let header = match (self.link_type, tpid) {
            (LinkType::ETHERNET, Some(0x8100)) => 18,
            (LinkType::ETHERNET, _) => 14,
            _ => 0,
        };
        most.min((mtu as usize).saturating_add(header))
    }

    /// Copies a packet that cannot be sent as it is, and says what is sent of it.
    fn plan(
        &mut self,
        packet: &Packet<'_>,
        bytes: &WireBytes<'_>,
        limit: usize,
    ) -> Result<Plan, Reason> {
        let frame = &mut self.scratch;
        frame.resize(bytes.len(), 0);
        bytes.copy_to(frame);
        let layout = Layout::of(frame, self.link_type);
        let joined = packet.offload().and_then(|offload| offload.segments());
        let has_no_length = has_no_length(frame, self.link_type);
        if joined.is_some() || has_no_length || frame.len() > limit {
            let reason = match joined.is_some() || has_no_length {
                true => Reason::Unsegmentable,
                false => Reason::TooLong,
            };
            // Without metadata it is a super-packet of TCP, since no other can be told from a long
            // packet.
            let protocol = match joined.map(|joined| joined.kind) {
                None | Some(Some(Segmentation::Tcp4 | Segmentation::Tcp6)) => TCP,
                Some(Some(Segmentation::Udp)) => UDP,
                Some(_) => return Err(reason),
            };
            let layout = layout.filter(|layout| layout.protocol == protocol);
            if !self.segment {
                return Err(reason);
            }
            let size = joined
                .map(|joined| joined.segment_len)
                .filter(|size| *size > 0);
            let cut = layout.and_then(|layout| Segmented::new(frame, layout, limit, size));
            return cut.map(Plan::Segments).ok_or(reason);
        }
        let is_partial = packet.checksum() == Checksum::Partial;
        // A datagram over IPv4 may have none.
        let has_none = |layout: &Layout| {
            layout.protocol == UDP && !layout.is_v6 && word(frame, layout.transport + 6) == Some(0)
        };
        let layout = layout.filter(|layout| is_partial || !has_none(layout));
        let is_filled = layout.is_some_and(|layout| fill_checksum(frame, layout));
        match is_partial && !is_filled {
            true => Err(Reason::Checksum),
            false => Ok(Plan::Whole),
        }
    }

    /// Sends what was copied.
    fn changed(&mut self, plan: &Plan) -> Result<Step, Error> {
        // Taken out, so that the sink can be used meanwhile.
        let frame = std::mem::take(&mut self.scratch);
        let step = match plan {
            Plan::Whole => self.commit(frame.len(), |to| to.copy_from_slice(&frame)),
            Plan::Segments(cut) => self.segments(&frame, cut),
        };
        self.scratch = frame;
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
                // The MTU was made smaller meanwhile.
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
            // What the interface does not take now is not to wait for the next frame.
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
