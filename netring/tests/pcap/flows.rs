//! Flows of a capture file, in each way that the facade offers: a tracker, a stream, and
//! subscribers.

use super::bytes;

use futures::StreamExt;
use netring::flow::extract::{FiveTuple, FiveTupleKey};
use netring::flow::{EndReason, FlowEvent, FlowTracker};
use netring::pcap::{CaptureFile, FileError};
use netring::{AsyncSource, BroadcastRecvError, Error, PacketSource};
use xtask::wire::{tcp4, udp4};

use bytes::{Little, MICROS, enhanced, header, interface, record, section};

/// A flow that ended: its key, packets, bytes on the wire, history, and the reason for its end.
type Flow = (String, u64, u64, String, EndReason);

/// Of a UDP and a TCP flow.
fn frames() -> Vec<Vec<u8>> {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    const FIN: u8 = 1;
    vec![
        tcp4(4000, 80, 1, SYN, b""),
        udp4(5000, 53, &[0; 20]),
        tcp4(4000, 80, 2, ACK, &[0; 100]),
        udp4(5000, 53, &[0; 30]),
        tcp4(4000, 80, 102, FIN | ACK, b""),
    ]
}

fn expected() -> Vec<Flow> {
    vec![
        (
            "tcp 10.0.0.1:4000 10.0.0.2:80".into(),
            3,
            54 + 154 + 54,
            "SDF".into(),
            EndReason::SourceEnded,
        ),
        (
            "udp 10.0.0.1:5000 10.0.0.2:53".into(),
            2,
            62 + 72,
            String::new(),
            EndReason::SourceEnded,
        ),
    ]
}

fn classic() -> Vec<u8> {
    let mut file = header(Little, MICROS, 65_535, 1);
    for (second, frame) in (1..).zip(frames()) {
        file.extend(record(Little, (second, 0), frame.len() as u32, &frame));
    }
    file
}

fn ng() -> Vec<u8> {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, b""));
    for (second, frame) in (1..).zip(frames()) {
        file.extend(enhanced(
            Little,
            0,
            second * 1_000_000,
            frame.len() as u32,
            &frame,
        ));
    }
    file
}

/// Adds a flow if the event is the end of one.
fn note(event: &FlowEvent<FiveTupleKey>, flows: &mut Vec<Flow>) {
    if let FlowEvent::Ended {
        key,
        reason,
        history,
        stats,
        ..
    } = event
    {
        let (packets, bytes) = (stats.packets(), stats.bytes());
        flows.push((
            key.to_string(),
            packets,
            bytes,
            history.to_string(),
            *reason,
        ));
        flows.sort_by(|a, b| a.0.cmp(&b.0));
    }
}

#[test]
fn a_tracker_takes_a_file() {
    for bytes in [classic(), ng()] {
        let mut file = CaptureFile::new(&bytes[..]).unwrap();
        let mut tracker = FlowTracker::new(FiveTuple::bidirectional());
        let mut events = Vec::new();
        while let Some(batch) = file.next_batch().unwrap() {
            tracker.track_batch(&batch, &mut events);
        }
        assert!(!tracker.finish(&mut events));
        let mut flows = Vec::new();
        events.iter().for_each(|event| note(event, &mut flows));
        assert_eq!(flows, expected());
        assert_eq!(tracker.stats().tracked, 5);
    }
}

#[tokio::test]
async fn a_stream_takes_a_file() {
    let file = CaptureFile::new(std::io::Cursor::new(ng())).unwrap();
    let mut stream = AsyncSource::replay(file).flow_stream(FiveTuple::bidirectional());
    let mut flows = Vec::new();
    while let Some(event) = stream.next().await {
        note(&event.unwrap(), &mut flows);
    }
    assert_eq!(flows, expected());
    assert_eq!(stream.stats().unwrap().delivered.exact(), Some(5));
}

#[tokio::test]
async fn subscribers_of_a_file_that_is_cut_short_get_its_flows_and_then_the_fault() {
    let mut bytes = classic();
    bytes.extend(record(Little, (9, 0), 60, &[0; 60]));
    bytes.truncate(bytes.len() - 1);
    let file = CaptureFile::new(std::io::Cursor::new(bytes)).unwrap();
    let stream = AsyncSource::replay(file).flow_stream(FiveTuple::bidirectional());
    let broadcast = stream.broadcast(1024);
    let (first, second) = (broadcast.subscribe(), broadcast.subscribe());
    for mut subscriber in [first, second] {
        let mut flows = Vec::new();
        let fault = loop {
            match subscriber
                .next()
                .await
                .expect("the fault comes before the end")
            {
                Ok(event) => note(&event, &mut flows),
                Err(fault) => break fault,
            }
        };
        assert_eq!(flows, expected());
        let BroadcastRecvError::Source(error) = fault else {
            panic!("{fault}");
        };
        let Error::Source { source, .. } = &*error else {
            panic!("{error}");
        };
        let fault = source.downcast_ref();
        assert!(
            matches!(fault, Some(FileError::CutShort { missing: 1, .. })),
            "{fault:?}"
        );
        assert!(subscriber.next().await.is_none());
    }
}
