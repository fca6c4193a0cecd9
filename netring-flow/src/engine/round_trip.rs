//! Round-trip times: from a segment to its acknowledgement, as seen at the capture point.
//!
//! Optional, in memory separate from the table, so that trackers without it pay neither time nor
//! memory. One segment per direction is timed at a time.

use netring_sys::Timestamp;

use crate::RoundTrip;
use crate::extract::{Orientation, TcpSegment};
use crate::table::Slot;

const FIN: u8 = TcpSegment::FIN;
const SYN: u8 = TcpSegment::SYN;
const RST: u8 = TcpSegment::RST;
const ACK: u8 = TcpSegment::ACK;

/// Times are allocated for this many flows together; growing copies nothing.
const CHUNK: usize = 1 << 12;

/// The times of all flows, by their slots.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips {
    chunks: Vec<Box<[Trips]>>,
}

/// Bytes per flow.
pub(crate) const SIZE: usize = size_of::<Trips>();

/// The segments of each end.
type Trips = [Trip; 2];

/// The segments of one end, and how long their acknowledgements took.
#[derive(Clone, Copy, Debug)]
struct Trip {
    /// When the timed segment was seen, in nanoseconds; `i64::MAX` if none is.
    sent: i64,
    handshake: i64,
    min: i64,
    smoothed: i64,
    samples: u32,
    /// One past the highest number that was sent.
    highest: u32,
    /// The number that acknowledges the timed segment.
    expected: u32,
    has_sent: bool,
    is_handshake: bool,
}

impl Trip {
    const NEW: Self = Self {
        sent: i64::MAX,
        handshake: -1,
        min: i64::MAX,
        smoothed: 0,
        samples: 0,
        highest: 0,
        expected: 0,
        has_sent: false,
        is_handshake: false,
    };

    /// Notes a segment from this end.
    fn send(&mut self, segment: &TcpSegment, payload: u32, time: i64) {
        let controls = u32::from(segment.has(SYN)) + u32::from(segment.has(FIN));
        let end = segment
            .sequence
            .wrapping_add(payload)
            .wrapping_add(controls);
        if end == segment.sequence {
            return;
        }
        let is_new =
            !self.has_sent || segment.sequence.wrapping_sub(self.highest).cast_signed() >= 0;
        if !is_new {
            // An acknowledgement may be for either transmission (RFC 6298, Karn's algorithm).
            self.sent = i64::MAX;
            if end.wrapping_sub(self.highest).cast_signed() <= 0 {
                return;
            }
        }
        self.highest = end;
        self.has_sent = true;
        if is_new && self.sent == i64::MAX {
            self.sent = time;
            self.expected = end;
            self.is_handshake = segment.has(SYN);
        }
    }

    /// Notes an acknowledgement from the other end.
    fn acknowledge(&mut self, number: u32, time: i64) {
        if self.sent == i64::MAX || number.wrapping_sub(self.expected).cast_signed() < 0 {
            return;
        }
        let took = time.saturating_sub(self.sent);
        self.sent = i64::MAX;
        // Time went back.
        if took < 0 {
            return;
        }
        if self.is_handshake {
            self.handshake = took;
        }
        self.min = self.min.min(took);
        self.smoothed = match self.samples {
            0 => took,
            // An eighth of the difference, as in RFC 6298.
            _ => self.smoothed + (took - self.smoothed) / 8,
        };
        self.samples = self.samples.saturating_add(1);
    }

    fn report(&self) -> Option<RoundTrip> {
        // Without samples, the other fields mean nothing.
        RoundTrip::new(
            u64::try_from(self.handshake).ok(),
            self.min.cast_unsigned(),
            self.smoothed.cast_unsigned(),
            self.samples,
        )
    }
}

impl RoundTrips {
    /// Starts a flow.
    pub(super) fn begin(&mut self, slot: Slot) {
        let (chunk, at) = Self::place(slot);
        while self.chunks.len() <= chunk {
            self.chunks.push(vec![[Trip::NEW; 2]; CHUNK].into());
        }
        self.chunks[chunk][at] = [Trip::NEW; 2];
    }

    /// Times a segment of a flow.
    #[inline(never)]
    pub(super) fn take(
        &mut self,
        slot: Slot,
        segment: &TcpSegment,
        payload: u32,
        from: Orientation,
        time: Timestamp,
    ) {
        let (chunk, at) = Self::place(slot);
        let [forward, reverse] = &mut self.chunks[chunk][at];
        let (sender, receiver) = match from {
            Orientation::Forward => (forward, reverse),
            Orientation::Reverse => (reverse, forward),
        };
        let time = time.as_nanos();
        if segment.has(RST) {
            return;
        }
        if segment.has(ACK) {
            receiver.acknowledge(segment.acknowledgement, time);
        }
        sender.send(segment, payload, time);
    }

    /// The measurements in each direction.
    pub(super) fn report(&self, slot: Slot) -> [Option<RoundTrip>; 2] {
        let (chunk, at) = Self::place(slot);
        self.chunks[chunk][at].map(|trip| trip.report())
    }

    const fn place(slot: Slot) -> (usize, usize) {
        (slot.index() / CHUNK, slot.index() % CHUNK)
    }
}
