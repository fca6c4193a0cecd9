//! A file through everything that accepts a source.

use std::ops::ControlFlow;
use std::time::Duration;

use netring::pcap::CaptureFile;
use netring::{Clock, Error, Packet, PacketBatch, PacketSource, Readiness, Stats, Timed};

use super::bytes::{Little, MICROS, header, record};

/// The loop of a reader of any source.
fn count<S: PacketSource>(mut source: S) -> Result<(u64, u64), Error> {
    let (mut packets, mut bytes) = (0, 0);
    while source.ready()? == Readiness::Ready {
        let batch = source.batch();
        for packet in batch.packets() {
            packets += 1;
            bytes += packet.data().len() as u64;
        }
    }
    Ok((packets, bytes))
}

/// Packets that contain their number.
fn numbered(packets: u32) -> Vec<u8> {
    let mut file = header(Little, MICROS, 65_535, 1);
    for number in 0..packets {
        file.extend(record(Little, (number, 0), 60, &number.to_le_bytes()));
    }
    file
}

#[test]
fn generic_code_takes_a_file_and_a_loan_of_it() {
    let bytes = numbered(5_000);
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    assert!(!file.is_live());
    assert_eq!(count(&mut file).unwrap(), (5_000, 20_000));
    assert_eq!(count(&mut file).unwrap(), (0, 0));
    assert_eq!(file.stats().unwrap(), Stats::counted(5_000));
}

#[test]
fn a_file_on_disk_is_the_same() {
    let path = std::env::temp_dir().join(format!("netring-source-{}.pcap", std::process::id()));
    std::fs::write(&path, numbered(3)).unwrap();
    let result = CaptureFile::open(&path).and_then(count);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(result.unwrap(), (3, 12));
}

#[test]
fn every_packet_comes_once_and_in_order_over_many_batches_and_refills() {
    // 2 MB: eight times the buffer.
    let bytes = numbered(100_000);
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    let mut next = 0_u32;
    while let Some(batch) = file.next_batch().unwrap() {
        // A batch can be walked more than once.
        assert!(batch.packets().count() <= 1024);
        for packet in batch.packets() {
            assert_eq!(packet.data(), next.to_le_bytes());
            assert_eq!(
                packet.timestamp().as_nanos(),
                i64::from(next) * 1_000_000_000
            );
            assert_eq!(packet.timestamp().clock(), Clock::Unknown);
            assert!(packet.is_cut());
            next += 1;
        }
    }
    assert_eq!(next, 100_000);
}

#[test]
fn looking_lends_nothing_and_a_dropped_batch_had_every_packet() {
    let bytes = numbered(1_500);
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    for _ in 0..3 {
        assert_eq!(file.ready().unwrap(), Readiness::Ready);
        let stats = file.stats().unwrap();
        assert_eq!(
            (stats.delivered.exact(), stats.pending()),
            (Some(0), Some(1024))
        );
    }
    drop(file.batch());
    assert_eq!(file.stats().unwrap(), Stats::counted(1024));
    // A batch contains nothing before `ready` was called.
    assert_eq!(file.batch().packets().count(), 0);
    assert_eq!(file.stats().unwrap(), Stats::counted(1024));
    std::mem::forget(file.next_batch().unwrap());
    let batch = file.next_batch().unwrap().unwrap();
    assert_eq!(batch.packets().count(), 476);
    assert_eq!(
        batch.packets().next().unwrap().data(),
        1024_u32.to_le_bytes()
    );
}

#[test]
fn a_file_can_go_to_another_thread() {
    let bytes = numbered(3);
    let file = CaptureFile::new(std::io::Cursor::new(bytes)).unwrap();
    let counted = std::thread::spawn(move || count(file).unwrap());
    assert_eq!(counted.join().unwrap(), (3, 12));
}

#[test]
fn a_loop_that_breaks_keeps_its_place_in_the_file() {
    let bytes = numbered(2_500);
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    let mut seen = Vec::new();
    let number = |packet: &Packet<'_>| u32::from_le_bytes(packet.data().try_into().unwrap());
    // Within the first batch, at its last packet, at the first of the next, and over a whole one.
    for stop in [0, 10, 1023, 1024, 2200] {
        let broke = file.try_for_each(|packet| {
            seen.push(number(&packet));
            match seen.last() {
                Some(last) if *last == stop => ControlFlow::Break(stop),
                _ => ControlFlow::Continue(()),
            }
        });
        assert_eq!(broke.unwrap(), Some(stop));
        let stats = file.stats().unwrap();
        assert_eq!(stats.delivered.exact(), Some(u64::from(stop) + 1));
    }
    // The rest of a batch, as a batch; and then up to the end.
    let batch = file.next_batch().unwrap().unwrap();
    seen.extend(batch.packets().map(|packet| number(&packet)));
    drop(batch);
    let end = file.try_for_each(|packet| -> ControlFlow<()> {
        seen.push(number(&packet));
        ControlFlow::Continue(())
    });
    assert_eq!(end.unwrap(), None);
    assert_eq!(seen, (0..2_500).collect::<Vec<_>>());
    assert_eq!(file.stats().unwrap(), Stats::counted(2_500));
}

#[test]
fn a_file_never_times_out() {
    let bytes = numbered(1_025);
    let mut file = CaptureFile::new(&bytes[..]).unwrap();
    for count in [1024, 1] {
        match file.next_batch_timeout(Duration::ZERO).unwrap() {
            Timed::Batch(batch) => assert_eq!(batch.packets().count(), count),
            other => panic!("{other:?}"),
        }
    }
    for timeout in [Duration::ZERO, Duration::MAX] {
        let end = file.next_batch_timeout(timeout).unwrap();
        assert!(matches!(end, Timed::Ended), "{end:?}");
    }
    let mut seen = 0;
    file.for_each(|_| seen += 1).unwrap();
    assert_eq!(seen, 0);
}
