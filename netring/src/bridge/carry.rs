//! Carries single frames to a sink: whole, or in segments.

use super::frame::{Frame, Verdict, Way};
use super::stats::Counts;
use crate::outgoing::{Outgoing, Plan, Reason, Segmented};
use crate::{Direction, Error, LinkType, Packet, PacketSink, PacketSlot, WireBytes};

/// Carries the frames of one direction.
#[derive(Debug)]
pub(super) struct Carrier {
    way: Way,
    pub(super) outgoing: Outgoing,
    /// The packet in [`Outgoing::frame`] of which this segment is next.
    cutting: Option<(Segmented, usize)>,
    /// The other interface was down at the last flush.
    pub(super) is_down: bool,
    pub(super) counts: Counts,
}

/// The outcome for a frame to carry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// It is counted.
    Done,
    /// The sink has no room for it now.
    NoRoom,
}

/// The outcome for a frame to write into the sink.
enum Written {
    Done,
    NoRoom,
    /// The sink does not complete checksums or segmentation.
    NotOffloaded,
}

impl Carrier {
    pub(super) fn new(way: Way, link_type: LinkType, mtu: Option<u32>) -> Self {
        let mut outgoing = Outgoing::new(link_type);
        outgoing.mtu = mtu;
        outgoing.find_partial = true;
        outgoing.keep_sizes = true;
        Self {
            way,
            outgoing,
            cutting: None,
            is_down: false,
            counts: Counts::default(),
        }
    }

    /// Segments that wait for room.
    pub(super) const fn waiting(&self) -> u64 {
        match &self.cutting {
            Some((cut, next)) => (cut.count() - *next) as u64,
            None => 0,
        }
    }

    /// Decides about a frame and hands it to the sink.
    #[inline]
    pub(super) fn carry<K: PacketSink>(
        &mut self,
        sink: &mut K,
        packet: &Packet<'_>,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<Carried, Error> {
        if self.cutting.is_some() && self.resume(sink)? == Carried::NoRoom {
            return Ok(Carried::NoRoom);
        }
        if packet.direction() == Some(Direction::Outgoing) {
            self.counts.outgoing += 1;
            return Ok(Carried::Done);
        }
        if self.is_down {
            self.counts.link_down += 1;
            return Ok(Carried::Done);
        }
        let bytes = packet.wire_bytes();
        if let Some(written) = self.offload(sink, packet, &bytes, decide)? {
            return Ok(written);
        }
        let longest = (sink.max_whole_len(false), sink.max_whole_len(true));
        match self.outgoing.plan(packet, &bytes, longest) {
            Ok(Plan::AsItIs) => {
                let write = |to: &mut [u8]| bytes.copy_to(to);
                self.write(sink, packet, bytes.len(), write, false, decide)
            }
            Ok(Plan::Whole) => {
                let frame = std::mem::take(&mut self.outgoing.frame);
                let write = |to: &mut [u8]| to.copy_from_slice(&frame);
                let written = self.write(sink, packet, frame.len(), write, false, decide);
                self.outgoing.frame = frame;
                written
            }
            Ok(Plan::Segments(cut)) => return self.cut(sink, packet, cut, decide),
            Err(reason) => {
                self.counts.refused.add(reason);
                return Ok(Carried::Done);
            }
        }
        .map(|written| match written {
            Written::NoRoom => Carried::NoRoom,
            _ => Carried::Done,
        })
    }

    /// Leaves checksum and segmentation to the sink. `None` if there is nothing to leave to it, or
    /// it does not support that.
    #[inline]
    fn offload<K: PacketSink>(
        &mut self,
        sink: &mut K,
        packet: &Packet<'_>,
        bytes: &WireBytes<'_>,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<Option<Carried>, Error> {
        let is_needed = packet
            .offload()
            .is_some_and(|it| it.checksum().is_some() || it.segments().is_some());
        if !is_needed || bytes.len() > sink.max_len() || self.outgoing.check(packet, bytes).is_err()
        {
            return Ok(None);
        }
        let longest = (sink.max_whole_len(false), sink.max_whole_len(true));
        let is_one = packet.offload().is_some_and(|it| it.segments().is_none());
        if is_one && bytes.len() > self.outgoing.limit(packet, bytes, longest) {
            return Ok(None);
        }
        let write = |to: &mut [u8]| bytes.copy_to(to);
        let written = self.write(sink, packet, bytes.len(), write, true, decide)?;
        Ok(match written {
            Written::Done => Some(Carried::Done),
            Written::NoRoom => Some(Carried::NoRoom),
            Written::NotOffloaded => None,
        })
    }

    /// Writes a frame into a slot, decides about it there, and commits it.
    #[inline]
    fn write<K: PacketSink>(
        &mut self,
        sink: &mut K,
        packet: &Packet<'_>,
        len: usize,
        write: impl FnOnce(&mut [u8]),
        offload: bool,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<Written, Error> {
        let mut slot = match sink.slot(len) {
            Ok(Some(slot)) => slot,
            Ok(None) => return Ok(Written::NoRoom),
            // The MTU was reduced meanwhile.
            Err(Error::FrameLength { .. }) => {
                self.counts.refused.add(Reason::TooLong);
                return Ok(Written::Done);
            }
            Err(error) if error.is_terminal() => return Err(error),
            Err(_) => return Ok(Written::NoRoom),
        };
        write(&mut slot);
        if offload {
            let wanted = packet.wire_offload();
            if !wanted.is_some_and(|wanted| slot.request_offload(&wanted)) {
                return Ok(Written::NotOffloaded);
            }
        }
        if self.forwards(packet, &mut slot, decide) {
            slot.commit();
            self.counts.committed += 1;
            self.counts.bytes += len as u64;
        }
        Ok(Written::Done)
    }

    /// Lets the caller decide about a frame; if the decision panics, the frame stays counted as
    /// undecided.
    #[inline]
    fn forwards(
        &mut self,
        packet: &Packet<'_>,
        data: &mut [u8],
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> bool {
        self.counts.undecided += 1;
        let verdict = decide(&mut Frame::new(packet, data, self.way));
        self.counts.undecided -= 1;
        match verdict {
            Verdict::Forward => true,
            Verdict::Drop => {
                self.counts.dropped += 1;
                false
            }
        }
    }

    /// Decides about a packet that is sent in segments.
    #[cold]
    fn cut<K: PacketSink>(
        &mut self,
        sink: &mut K,
        packet: &Packet<'_>,
        cut: Segmented,
        decide: &mut impl FnMut(&mut Frame<'_>) -> Verdict,
    ) -> Result<Carried, Error> {
        let mut frame = std::mem::take(&mut self.outgoing.frame);
        let forwards = self.forwards(packet, &mut frame, decide);
        self.outgoing.frame = frame;
        if forwards {
            self.counts.split += cut.count() as u64 - 1;
            self.cutting = Some((cut, 0));
            // Segments without room are counted as waiting. An error will be returned again.
            let _ = self.resume(sink);
        }
        Ok(Carried::Done)
    }

    /// Sends the segments that wait.
    pub(super) fn resume<K: PacketSink>(&mut self, sink: &mut K) -> Result<Carried, Error> {
        while let Some((cut, next)) = self.cutting {
            if next == cut.count() {
                self.cutting = None;
                break;
            }
            if self.is_down {
                self.counts.link_down += self.waiting();
                self.cutting = None;
                break;
            }
            match sink.slot(cut.len(next)) {
                Ok(Some(mut slot)) => {
                    cut.write(&self.outgoing.frame, next, &mut slot);
                    slot.commit();
                    self.counts.committed += 1;
                    self.counts.bytes += cut.len(next) as u64;
                    self.cutting = Some((cut, next + 1));
                }
                Err(Error::FrameLength { .. }) => {
                    self.counts.refused.add_all(Reason::TooLong, self.waiting());
                    self.cutting = None;
                }
                Err(error) if error.is_terminal() => return Err(error),
                Ok(None) | Err(_) => return Ok(Carried::NoRoom),
            }
        }
        Ok(Carried::Done)
    }
}
