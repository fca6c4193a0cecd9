//! What depends on a tracker that reassembles packets: streams, sessions and records.

use std::ops::ControlFlow;

use netring_flow::export::{FlowRecord, FlowRecorder};
use netring_flow::extract::{FiveTuple, FiveTupleKey};
use netring_flow::reassembly::{
    Interest, Reassembler, ReassemblyConfig, ReassemblyStats, StreamPoint, StreamVisitor,
};
use netring_flow::{FlowTracker, FlowVisitor, Segment, TrackerConfig};
use netring_sys::{LinkType, Packet};

use super::{MEMORY, cut, datagram};
use crate::common::{ACK, CLIENT, FIN, SERVER, SYN, at, tcp};

/// A connection whose client sends 6000 bytes in segments of 3000, in fragments, of which those of
/// the second come backwards and one comes twice; the server closes it.
fn connection() -> (Vec<u8>, Vec<Vec<u8>>) {
    let sent: Vec<u8> = (0..6000_u32).map(|at| (at / 7) as u8).collect();
    let segment = |start: usize, flags| {
        let sequence = 101 + start as u32;
        tcp(
            CLIENT,
            SERVER,
            sequence,
            501,
            flags,
            &sent[start..start + 3000],
        )
    };
    let (first, second) = (
        cut(&segment(0, ACK), 1, 1480),
        cut(&segment(3000, ACK | FIN), 2, 1480),
    );
    let mut frames = vec![
        tcp(CLIENT, SERVER, 100, 0, SYN, b""),
        tcp(SERVER, CLIENT, 500, 101, SYN | ACK, b""),
        tcp(CLIENT, SERVER, 101, 501, ACK, b""),
    ];
    frames.extend([first[0].clone(), first[0].clone()]);
    frames.extend(first.into_iter().skip(1));
    frames.extend(second.into_iter().rev());
    frames.push(tcp(SERVER, CLIENT, 501, 6102, ACK | FIN, b""));
    frames.push(tcp(CLIENT, SERVER, 6102, 502, ACK, b""));
    (sent, frames)
}

fn track(frames: &[Vec<u8>], visitor: &mut impl FlowVisitor<FiveTupleKey>) {
    let config = TrackerConfig::new().defragment(MEMORY);
    let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    for (number, frame) in frames.iter().enumerate() {
        let packet = Packet::new(frame, at(number as f64 * 1e-3), LinkType::ETHERNET);
        tracker.track(&packet, visitor);
    }
    while tracker.finish(visitor) {}
}

/// The bytes of each stream by its side, and whole datagrams.
#[derive(Default)]
struct Streams {
    streams: [Vec<u8>; 2],
    gaps: u64,
    datagrams: Vec<Vec<u8>>,
}

impl StreamVisitor<FiveTupleKey> for Streams {
    type State = ();

    fn subscribe(&mut self, _: &Segment<'_, FiveTupleKey>) -> Interest<()> {
        Interest::Yes(())
    }

    fn data(
        &mut self,
        at: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        bytes: &[u8],
    ) -> ControlFlow<()> {
        self.streams[at.side as usize].extend_from_slice(bytes);
        ControlFlow::Continue(())
    }

    fn gap(
        &mut self,
        _: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        missing: u64,
    ) -> ControlFlow<()> {
        self.gaps += missing;
        ControlFlow::Continue(())
    }

    fn datagram(
        &mut self,
        _: StreamPoint<'_, FiveTupleKey>,
        (): &mut (),
        datagram: &Segment<'_, FiveTupleKey>,
    ) -> ControlFlow<()> {
        self.datagrams.push(datagram.payload.to_vec());
        ControlFlow::Continue(())
    }
}

fn reassembled(frames: &[Vec<u8>]) -> (Streams, ReassemblyStats) {
    let mut streams = Reassembler::new(ReassemblyConfig::new(), Streams::default()).unwrap();
    track(frames, &mut streams);
    let stats = streams.stats();
    (streams.into_visitor(), stats)
}

#[test]
fn a_stream_of_fragmented_segments_has_no_gap_and_each_byte_once() {
    let (sent, frames) = connection();
    let (streams, stats) = reassembled(&frames);
    assert_eq!(streams.streams, [sent, Vec::new()]);
    assert_eq!(streams.gaps, 0);
    assert_eq!(
        (stats.received, stats.delivered, stats.duplicate),
        (6000, 6000, 0)
    );
    assert_eq!((stats.unreadable, stats.discarded.total()), (0, 0));
}

#[test]
fn a_datagram_reaches_a_visitor_whole_and_once() {
    let (payload, frames) = datagram(1, 3000, 1480);
    let (small, whole) = datagram(2, 100, 1480);
    let (streams, _) = reassembled(&[frames, whole].concat());
    assert_eq!(streams.datagrams, [payload, small]);
}

#[test]
fn a_record_has_all_packets_and_neither_gaps_nor_repetitions() {
    let (_, mut frames) = connection();
    // Without the fragment that comes twice.
    frames.remove(4);
    let mut recorder = FlowRecorder::new();
    track(&frames, &mut recorder);
    let records: Vec<FlowRecord> = recorder.drain().collect();
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(record.history.to_string(), "ShADFf");
    assert_eq!(record.state.as_str(), "SF");
    let sent = &record.initiator;
    assert_eq!(
        (sent.stream_bytes, sent.missed_bytes),
        (Some(6000), Some(0))
    );
    // Two segments without data and the two in three fragments each.
    assert_eq!(sent.packets, 3 + 6);
    let ip_bytes = frames
        .iter()
        .filter(|frame| frame[26..30] == [192, 0, 2, 200]);
    let ip_bytes = ip_bytes.map(|frame| frame.len() as u64 - 14).sum::<u64>();
    assert_eq!(sent.ip_bytes, Some(ip_bytes));
}
