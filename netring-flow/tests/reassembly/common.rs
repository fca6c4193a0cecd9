//! Segments by hand, and a log of what a reassembler reports.

use std::ops::{ControlFlow, Range};

use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{
    ClosedFlow, Interest, Reassembler, ReassemblyConfig, ReassemblyStats, Side, StreamEnd,
    StreamPoint, StreamVisitor, Subscription,
};
use netring_flow::{FlowTracker, Segment};
use netring_sys::{LinkType, Packet};

#[path = "../frames/mod.rs"]
mod frames;

pub(crate) use frames::{ACK, CLIENT, FIN, RST, SERVER, SYN, at, udp};

pub(crate) const URG: u8 = 32;

/// A segment with any flags, and an urgent pointer of 3 if URG is set.
pub(crate) fn tcp(
    from: &str,
    to: &str,
    sequence: u32,
    ack: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = frames::tcp(from, to, sequence, ack, flags, payload);
    bytes[14 + 20 + 13] = flags;
    bytes[14 + 20 + 8..][..4].copy_from_slice(&ack.to_be_bytes());
    if flags & URG != 0 {
        bytes[14 + 20 + 18..][..2].copy_from_slice(&3_u16.to_be_bytes());
    }
    bytes
}

/// Writes down what is reported, and keeps the bytes of each side.
pub(crate) struct Log {
    pub(crate) subscription: Subscription<FiveTupleKey>,
    pub(crate) lines: Vec<String>,
    /// The streams with a dot for each missing byte.
    pub(crate) streams: [Vec<u8>; 2],
    pub(crate) times: Vec<f64>,
    pub(crate) mid_stream: bool,
    /// Breaks off when this many lines are written.
    pub(crate) stop_at: usize,
}

fn letter(side: Side) -> char {
    match side {
        Side::Initiator => 'I',
        Side::Responder => 'R',
    }
}

impl Log {
    fn write(&mut self, line: String) -> ControlFlow<()> {
        self.lines.push(line);
        if self.lines.len() == self.stop_at {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl StreamVisitor<FiveTupleKey> for Log {
    type State = ();

    fn subscribe(&mut self, first: &Segment<'_, FiveTupleKey>) -> Interest<()> {
        self.subscription.interest(first, ())
    }

    fn first_bytes(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        bytes: &[u8],
    ) -> Option<bool> {
        self.subscription.decide(at, bytes)
    }

    fn data(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        bytes: &[u8],
    ) -> ControlFlow<()> {
        assert!(!bytes.is_empty());
        self.mid_stream |= at.mid_stream;
        let stream = &mut self.streams[at.side as usize];
        if at.offset < 1 << 24 {
            stream.resize(at.offset as usize, b'.');
            stream.extend_from_slice(bytes);
        }
        let start = self::at(0.0).as_nanos();
        self.times.push((at.time.as_nanos() - start) as f64 / 1e9);
        let text = bytes.escape_ascii();
        self.write(format!("{}+{} {text}", letter(at.side), at.offset))
    }

    fn gap(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        missing: u64,
    ) -> ControlFlow<()> {
        assert_ne!(missing, 0);
        self.write(format!("{}?{} {missing}", letter(at.side), at.offset))
    }

    fn inconsistent(&mut self, at: StreamPoint<'_, FiveTupleKey>, (): &mut (), range: Range<u64>) {
        let _ = self.write(format!("{}!{range:?}", letter(at.side)));
    }

    fn end(&mut self, at: StreamPoint<'_, FiveTupleKey>, (): &mut (), reason: StreamEnd) {
        let _ = self.write(format!("{}.{} {reason}", letter(at.side), at.offset));
    }

    fn datagram(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        datagram: &Segment<'_, FiveTupleKey>,
    ) -> ControlFlow<()> {
        let text = datagram.payload.escape_ascii();
        self.write(format!("{}={} {text}", letter(at.side), at.offset))
    }

    fn close(&mut self, flow: ClosedFlow<'_, FiveTupleKey>, (): ()) {
        let _ = self.write(format!("closed {}", flow.reason));
    }
}

/// A tracker with a reassembler behind it.
pub(crate) struct Bench {
    pub(crate) tracker: FlowTracker<FiveTuple>,
    pub(crate) streams: Reassembler<FiveTupleKey, Log>,
    /// Added to the sequence numbers of client and server.
    pub(crate) shift: [u32; 2],
    pub(crate) now: f64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(ReassemblyConfig::new())
    }

    pub(crate) fn with(config: ReassemblyConfig) -> Self {
        Self::of(config, Subscription::all())
    }

    pub(crate) fn of(config: ReassemblyConfig, subscription: Subscription<FiveTupleKey>) -> Self {
        let log = Log {
            subscription,
            lines: Vec::new(),
            streams: Default::default(),
            times: Vec::new(),
            mid_stream: false,
            stop_at: usize::MAX,
        };
        Self {
            tracker: FlowTracker::new(FiveTuple::bidirectional()),
            streams: Reassembler::new(config, log).unwrap(),
            shift: [0; 2],
            now: 0.0,
        }
    }

    pub(crate) fn frame(&mut self, frame: &[u8]) {
        self.cut(frame, frame.len());
    }

    /// A frame of which a snap length keeps so many bytes.
    pub(crate) fn cut(&mut self, frame: &[u8], len: usize) {
        self.now += 0.0001;
        let packet = Packet::new(&frame[..len], at(self.now), LinkType::ETHERNET);
        let packet = packet.with_wire_len(frame.len() as u32);
        self.tracker.track(&packet, &mut self.streams);
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, seconds: f64) -> &mut Self {
        self.now += seconds;
        self
    }

    /// A segment from the client: flags, sequence and acknowledgement numbers.
    pub(crate) fn c(&mut self, flags: u8, sequence: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let frame = self.segment(0, flags, sequence, ack, payload);
        self.frame(&frame);
        self
    }

    /// A segment from the server.
    pub(crate) fn s(&mut self, flags: u8, sequence: u32, ack: u32, payload: &[u8]) -> &mut Self {
        let frame = self.segment(1, flags, sequence, ack, payload);
        self.frame(&frame);
        self
    }

    pub(crate) fn segment(
        &self,
        from: usize,
        flags: u8,
        sequence: u32,
        ack: u32,
        payload: &[u8],
    ) -> Vec<u8> {
        let (own, other) = (self.shift[from], self.shift[1 - from]);
        let ends = [CLIENT, SERVER];
        let (sequence, ack) = (sequence.wrapping_add(own), ack.wrapping_add(other));
        tcp(ends[from], ends[1 - from], sequence, ack, flags, payload)
    }

    /// A handshake: the first bytes of both ends have the number 1.
    pub(crate) fn handshake(&mut self) -> &mut Self {
        self.c(SYN, 0, 0, b"");
        self.s(SYN | ACK, 0, 1, b"");
        self.c(ACK, 1, 1, b"")
    }

    pub(crate) fn expire(&mut self) -> &mut Self {
        while self.streams.expire(at(self.now)) {}
        self
    }

    pub(crate) fn finish(&mut self) -> &mut Self {
        while self.tracker.finish(&mut self.streams) {}
        assert_eq!(self.streams.active(), 0);
        let stats = self.stats();
        assert_eq!((stats.held, stats.memory), (0, 0));
        self
    }

    /// The totals, after a check that they add up.
    pub(crate) fn stats(&self) -> ReassemblyStats {
        let stats = self.streams.stats();
        assert_eq!(
            stats.received,
            stats.delivered + stats.duplicate + stats.discarded.total() + stats.held,
            "{stats:?}"
        );
        stats
    }

    /// What was reported since the last call.
    pub(crate) fn log(&mut self) -> Vec<String> {
        self.stats();
        std::mem::take(&mut self.streams.visitor_mut().lines)
    }

    /// The stream of a side, with a dot for each missing byte.
    pub(crate) fn stream(&self, side: Side) -> String {
        self.streams.visitor().streams[side as usize]
            .escape_ascii()
            .to_string()
    }
}
