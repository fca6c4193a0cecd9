//! The streams that the reassembler makes of a capture.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::Duration;

use netring::pcap::CaptureFile;
use netring_flow::extract::{FiveTuple, FiveTupleKey, Orientation, Piece, TcpSegment};
use netring_flow::reassembly::{
    Interest, Reassembler, ReassemblyConfig, StreamPoint, StreamVisitor, UrgentPolicy,
};
use netring_flow::{FlowEvent, FlowTracker, FlowVisitor, Segment, Timeouts, TrackerConfig};
use netring_sys::{PacketSource, Readiness};

use super::arrivals::{Connection, Part, miss, push};
use super::{Streams, oracle};
use crate::Result;

/// What a capture contains.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) streams: Streams<Stream>,
    /// The number of TCP connections, or more.
    pub(super) connections: usize,
    /// Why it could not be opened.
    pub(super) fault: Option<String>,
}

/// A stream, and what was reported about it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) parts: Vec<Part>,
    /// The same for each connection, with what it was made of.
    pub(super) connections: Vec<Connection>,
    /// The number of segments.
    pub(super) segments: u64,
    pub(super) inconsistent: bool,
    pub(super) mid_stream: bool,
    /// A snap length cut some of its segments.
    pub(super) cut: bool,
    /// SYNs with different numbers were seen.
    pub(super) several_syns: bool,
    /// What was not delivered, although it was not sent before: data of a RST, after the end, or
    /// out of the window.
    pub(super) discarded: Vec<u8>,
    /// The number of the first SYN.
    pub(super) syn: Option<u32>,
}

impl Stream {
    fn push(&mut self, bytes: &[u8]) {
        push(&mut self.parts, bytes);
        if let Some(connection) = self.connections.last_mut() {
            push(&mut connection.parts, bytes);
        }
    }

    fn miss(&mut self, missing: u64) {
        miss(&mut self.parts, missing);
        if let Some(connection) = self.connections.last_mut() {
            miss(&mut connection.parts, missing);
        }
    }
}

/// Parts as tshark prints them.
pub(super) fn printed(parts: &[Part]) -> Vec<u8> {
    let bytes = parts.iter().map(|part| match part {
        Part::Bytes(bytes) => bytes.clone(),
        Part::Missing(missing) => oracle::missing(*missing),
    });
    bytes.collect::<Vec<_>>().concat()
}

/// Keeps the streams of all connections.
#[derive(Default)]
struct Collect(Observed);

impl Collect {
    fn stream(&mut self, at: &StreamPoint<'_, FiveTupleKey>) -> &mut Stream {
        let stream = self.of(at.key, at.orientation);
        stream.mid_stream |= at.mid_stream;
        stream
    }

    fn of(&mut self, key: &FiveTupleKey, from: Orientation) -> &mut Stream {
        let (a, b) = (oracle::end(key.a()), oracle::end(key.b()));
        let ends = match from {
            Orientation::Forward => (a, b),
            Orientation::Reverse => (b, a),
        };
        self.0.streams.entry(ends).or_default()
    }
}

/// The reassembler, and what becomes of each segment.
struct Watch(Reassembler<FiveTupleKey, Collect>);

impl FlowVisitor<FiveTupleKey> for Watch {
    fn event(&mut self, event: FlowEvent<FiveTupleKey>) {
        self.0.event(event);
    }

    fn segment(&mut self, segment: &Segment<'_, FiveTupleKey>) {
        let before = self.0.stats();
        self.0.segment(segment);
        let after = self.0.stats();
        let Some(tcp) = segment.tcp() else {
            return;
        };
        if segment.piece == Piece::Held {
            return;
        }
        let visitor = self.0.visitor_mut();
        let stream = visitor.of(segment.key, segment.orientation);
        stream.cut |= segment.missing() != 0;
        if tcp.has(TcpSegment::SYN) {
            let first = *stream.syn.get_or_insert(tcp.sequence);
            stream.several_syns |= first != tcp.sequence;
        }
        let discarded = after.discarded.total() != before.discarded.total();
        if discarded {
            stream.discarded.extend_from_slice(segment.payload);
        }
        stream.segments += 1;
        if let Some(connection) = stream.connections.last_mut() {
            connection.sent(segment, discarded);
        }
        let other = visitor.of(segment.key, segment.orientation.flipped());
        if let Some(connection) = other.connections.last_mut()
            && tcp.has(TcpSegment::ACK)
        {
            connection.acknowledged(tcp.acknowledgement);
        }
    }
}

impl StreamVisitor<FiveTupleKey> for Collect {
    type State = ();

    fn subscribe(&mut self, first: &Segment<'_, FiveTupleKey>) -> Interest<()> {
        if first.tcp().is_none() {
            return Interest::No;
        }
        self.0.connections += 1;
        for from in [Orientation::Forward, Orientation::Reverse] {
            let connections = &mut self.of(first.key, from).connections;
            connections.push(Connection::default());
        }
        Interest::Yes(())
    }

    fn data(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        bytes: &[u8],
    ) -> ControlFlow<()> {
        self.stream(&at).push(bytes);
        ControlFlow::Continue(())
    }

    fn gap(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        missing: u64,
    ) -> ControlFlow<()> {
        self.stream(&at).miss(missing);
        ControlFlow::Continue(())
    }

    fn inconsistent(&mut self, at: StreamPoint<'_, FiveTupleKey>, (): &mut (), _: Range<u64>) {
        self.stream(&at).inconsistent = true;
    }
}

/// Reassembles a capture with settings that match tshark's: it never gives up a hole by time, has
/// urgent data in the stream, and puts fragmented packets together, whenever they come.
pub(super) fn observe(path: &Path) -> Result<Observed> {
    let config = TrackerConfig::new()
        .timeouts(Timeouts::never())
        .fragment_timeout(Duration::MAX)
        .defragment(64 << 20);
    let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config)?;
    let config = ReassemblyConfig::new()
        .deadline(Duration::MAX)
        .urgent(UrgentPolicy::Inline)
        .compare_delivered(1 << 20)
        .max_held_per_flow(64 << 20);
    let mut streams = Watch(Reassembler::new(config, Collect::default())?);
    let mut fault = None;
    match CaptureFile::open(path) {
        Ok(mut file) => {
            while let Ok(Readiness::Ready) = file.ready() {
                tracker.track_batch(&file.batch(), &mut streams);
            }
        }
        Err(why) => fault = Some(why.to_string()),
    }
    while tracker.finish(&mut streams) {}
    let stats = streams.0.stats();
    let counted = stats.delivered + stats.duplicate + stats.discarded.total();
    if stats.received != counted || stats.held != 0 || stats.memory != 0 {
        return Err(format!("totals do not add up: {stats:?}").into());
    }
    let mut observed = streams.0.into_visitor().0;
    observed.fault = fault;
    Ok(observed)
}
