//! A sequence of files: their sizes, names and number, and their failures.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netring::pcap::{
    CaptureFile, CaptureWriter, FileError, FinishedFile, Format, Fsync, InterfaceDescription,
    RotatingWriter, RotationBuilder,
};
use netring::{Clock, Error, LinkType, Packet, PacketSource, PacketWriter, Stats, Timestamp};

use super::tshark::{Folder, infos};
use super::{cause, packets, read};

fn packet(data: &[u8], n: u64) -> Packet<'_> {
    let time = Timestamp::from_nanos(1_700_000_000_000_000_000 + n as i64, Clock::Unknown);
    Packet::new(data, time, LinkType::ETHERNET).with_interface(3)
}

/// The files of a folder, by name.
fn files(folder: &Folder) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.file("")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn pattern(folder: &Folder, name: &str) -> String {
    folder.file(name).to_str().unwrap().to_owned()
}

fn builder(folder: &Folder, name: &str) -> RotationBuilder {
    RotatingWriter::builder(pattern(folder, name))
}

/// The times of the packets in a complete file.
fn times(path: &Path) -> Vec<i64> {
    packets(&fs::read(path).unwrap())
        .iter()
        .map(|it| it.nanos - 1_700_000_000_000_000_000)
        .collect()
}

#[test]
fn files_end_by_count_and_have_every_packet_once_and_in_order() {
    let folder = Folder::new();
    let seen = Arc::new(Mutex::new(Vec::<FinishedFile>::new()));
    let finished = Arc::clone(&seen);
    let mut writer = builder(&folder, "a-{}.pcapng")
        .max_packets(100)
        .on_finished(move |file| finished.lock().unwrap().push(file.clone()))
        .create()
        .unwrap();
    for n in 0..1_050 {
        assert!(writer.write(&packet(&[7; 60], n)).unwrap());
    }
    assert_eq!((writer.files(), writer.packets()), (11, 1_050));
    let last = writer.finish().unwrap();
    assert_eq!((last.number, last.packets), (11, 50));
    let seen = seen.lock().unwrap();
    let files = files(&folder);
    assert_eq!(files.len(), 11);
    let mut next = 0;
    for (n, (path, told)) in files.iter().zip(seen.iter()).enumerate() {
        assert_eq!(path, &folder.file(&format!("a-{:05}.pcapng", n + 1)));
        assert_eq!(&told.path, path);
        assert_eq!(told.number, n as u64 + 1);
        assert_eq!(told.bytes, fs::metadata(path).unwrap().len());
        assert!(told.opened <= told.closed);
        let times = times(path);
        assert_eq!(times.len() as u64, told.packets);
        for time in times {
            assert_eq!(time, next);
            next += 1;
        }
    }
    assert_eq!(next, 1_050);
}

#[test]
fn no_file_is_larger_than_its_limit() {
    for format in [Format::PcapNg, Format::Pcap(LinkType::ETHERNET)] {
        let folder = Folder::new();
        let mut writer = builder(&folder, "a-{}")
            .writer(CaptureWriter::builder(format))
            .max_bytes(100_000)
            .create()
            .unwrap();
        let data = [7; 1_514];
        for n in 0..3_000_u64 {
            writer
                .write(&packet(&data[..60 + (n as usize * 97) % 1_454], n))
                .unwrap();
            if format == Format::PcapNg && n % 50 == 0 {
                writer.set_statistics(3, Stats::counted(n)).unwrap();
            }
        }
        writer.finish().unwrap();
        let mut next = 0;
        let files = files(&folder);
        for (n, path) in files.iter().enumerate() {
            let len = fs::metadata(path).unwrap().len();
            assert!(len <= 100_000, "{len}");
            // And as large as possible: the next packet had no room.
            assert!(len > 98_000 || n + 1 == files.len(), "{len}");
            for time in times(path) {
                assert_eq!(time, next);
                next += 1;
            }
        }
        assert_eq!(next, 3_000);
    }
}

#[test]
fn a_packet_larger_than_the_limit_has_a_file_of_its_own() {
    let folder = Folder::new();
    let mut writer = builder(&folder, "a-{}.pcapng")
        .max_bytes(500)
        .create()
        .unwrap();
    for n in 0..3 {
        writer.write(&packet(&[7; 1_514], n)).unwrap();
    }
    writer.finish().unwrap();
    let files = files(&folder);
    assert_eq!(files.len(), 3);
    for (n, path) in files.iter().enumerate() {
        assert_eq!(times(path), [n as i64]);
    }
}

/// The oldest file is deleted before a new one is created, so there are never more.
#[test]
fn so_many_files_are_kept() {
    let folder = Folder::new();
    fs::write(folder.file("a-00000.pcapng"), "of an earlier run").unwrap();
    let mut writer = builder(&folder, "a-{}.pcapng")
        .max_packets(10)
        .keep(3)
        .create()
        .unwrap();
    for n in 0..95 {
        writer.write(&packet(&[7; 60], n)).unwrap();
        assert!(files(&folder).len() <= 4);
    }
    writer.finish().unwrap();
    let names: Vec<_> = files(&folder);
    let expected = [
        "a-00000.pcapng",
        "a-00008.pcapng",
        "a-00009.pcapng",
        "a-00010.pcapng",
    ];
    assert_eq!(names, expected.map(|name| folder.file(name)));
    assert_eq!(times(&names[1]), (70..80).collect::<Vec<_>>());
    assert_eq!(times(&names[3]), (90..95).collect::<Vec<_>>());
}

#[test]
fn one_file_is_kept_if_one_is_asked_for() {
    let folder = Folder::new();
    let mut writer = builder(&folder, "a-{}.pcapng")
        .max_packets(10)
        .keep(1)
        .create()
        .unwrap();
    for n in 0..25 {
        writer.write(&packet(&[7; 60], n)).unwrap();
        assert_eq!(files(&folder).len(), 1);
    }
    writer.finish().unwrap();
    assert_eq!(files(&folder), [folder.file("a-00003.pcapng")]);
}

/// A program that starts again within a second loses no file: names that exist get a number.
#[test]
fn nothing_is_overwritten_unless_that_is_asked_for() {
    let folder = Folder::new();
    fs::write(folder.file("a.pcapng"), "precious").unwrap();
    let mut writer = builder(&folder, "a.pcapng")
        .max_packets(1)
        .create()
        .unwrap();
    for n in 0..3 {
        writer.write(&packet(&[7; 60], n)).unwrap();
    }
    assert_eq!(writer.path(), Some(&*folder.file("a-4.pcapng")));
    drop(writer);
    assert_eq!(fs::read(folder.file("a.pcapng")).unwrap(), b"precious");
    for n in 0..3 {
        assert_eq!(times(&folder.file(&format!("a-{}.pcapng", n + 2))), [n]);
    }
    let mut writer = builder(&folder, "a.pcapng")
        .max_packets(1)
        .keep(2)
        .overwrite()
        .create()
        .unwrap();
    for n in 0..4 {
        writer.write(&packet(&[7; 60], n)).unwrap();
    }
    drop(writer);
    assert_eq!(times(&folder.file("a.pcapng")), [3]);
    assert_eq!(files(&folder).len(), 4);
}

#[test]
fn a_file_ends_by_its_age_also_without_packets() {
    let folder = Folder::new();
    let age = Duration::from_millis(20);
    let mut writer = builder(&folder, "a-{}.pcapng")
        .max_age(age)
        .create()
        .unwrap();
    writer.write(&packet(&[7; 60], 0)).unwrap();
    let start = std::time::Instant::now();
    while writer.files() < 3 {
        writer.tick().unwrap();
        std::thread::yield_now();
    }
    assert!(start.elapsed() >= age);
    // By a flush, as from a tee.
    while writer.files() < 4 {
        writer.flush().unwrap();
    }
    // And by packets alone.
    let mut n = 1;
    while writer.files() < 5 {
        writer.write(&packet(&[7; 60], n)).unwrap();
        n += 1;
    }
    writer.finish().unwrap();
    let read: Vec<_> = files(&folder).iter().flat_map(|path| times(path)).collect();
    assert_eq!(read, (0..n as i64).collect::<Vec<_>>());
}

/// A file ends when the clock reaches a multiple, even without packets, and the next one begins
/// behind it: so each covers its own interval.
#[test]
fn a_file_ends_at_a_multiple_of_the_clock() {
    const EVERY: u128 = 50_000_000;
    let folder = Folder::new();
    let (finished, all) = std::sync::mpsc::channel();
    let mut writer = builder(&folder, "a-{}.pcapng")
        .every(Duration::from_nanos(EVERY as u64))
        .utc()
        .on_finished(move |file| finished.send(file.clone()).unwrap())
        .create()
        .unwrap();
    let mut n = 0;
    while writer.files() < 5 {
        if n < 100 {
            writer.write(&packet(&[7; 60], n)).unwrap();
            n += 1;
        }
        writer.tick().unwrap();
        std::thread::yield_now();
    }
    drop(writer);
    let number = |time: std::time::SystemTime| {
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_nanos() / EVERY
    };
    let all: Vec<_> = all.iter().collect();
    assert_eq!(all.len(), 5);
    for two in all.windows(2) {
        assert!(number(two[0].closed) > number(two[0].opened), "{two:?}");
        assert!(number(two[1].opened) > number(two[0].opened), "{two:?}");
    }
    let packets: u64 = all.iter().map(|file| file.packets).sum();
    assert_eq!(packets, n);
}

#[test]
fn each_file_has_the_interfaces_and_the_statistics() {
    let folder = Folder::new();
    let uplink = InterfaceDescription::new(LinkType::ETHERNET).with_name("eth0");
    let settings = CaptureWriter::builder(Format::PcapNg).interface(3, uplink);
    let mut writer = builder(&folder, "a-{}.pcapng")
        .writer(settings)
        .max_packets(2)
        .fsync(Fsync::EachFile)
        .create()
        .unwrap();
    let tunnel = InterfaceDescription::new(LinkType::RAW_IP).with_name("tun0");
    writer.describe(9, tunnel).unwrap();
    writer.note_dropped(3, 5).unwrap();
    for n in 0..5 {
        writer.write(&packet(&[7; 60], n)).unwrap();
        writer.set_statistics(3, Stats::counted(n + 1)).unwrap();
    }
    writer.finish().unwrap();
    let files = files(&folder);
    assert_eq!(files.len(), 3);
    for (path, delivered) in files.iter().zip([2, 4, 5]) {
        let mut file = CaptureFile::open(path).unwrap();
        while file.next_batch().unwrap().is_some() {}
        let names: Vec<_> = file
            .interfaces()
            .map(|(_, it)| it.name().unwrap().into_owned())
            .collect();
        assert_eq!(names, ["eth0", "tun0"]);
        let statistics: Vec<_> = file.statistics().collect();
        assert_eq!(statistics.len(), 1);
        assert_eq!(
            (statistics[0].0, statistics[0].1.delivered),
            (1, Some(delivered))
        );
        // Without a warning.
        infos(path);
    }
    let mut file = CaptureFile::open(&files[0]).unwrap();
    let batch = file.next_batch().unwrap().unwrap();
    let dropped: Vec<_> = batch.records().map(|it| it.dropped()).collect();
    assert_eq!(dropped, [Some(5), None]);
}

#[test]
fn a_rotated_file_is_compressed_and_limited_too() {
    let folder = Folder::new();
    let mut writer = builder(&folder, "a-{}.pcapng.gz")
        .writer(CaptureWriter::builder(Format::PcapNg).gzip())
        .max_bytes(30_000)
        .create()
        .unwrap();
    let mut word = 1_u32;
    let mut data = [0; 400];
    for n in 0..1_000 {
        for byte in &mut data {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (word >> 24) as u8;
        }
        writer.write(&packet(&data, n)).unwrap();
    }
    writer.finish().unwrap();
    let files = files(&folder);
    assert!((2..=14).contains(&files.len()), "{files:?}");
    let read: Vec<_> = files.iter().flat_map(|path| times(path)).collect();
    assert_eq!(read, (0..1_000).collect::<Vec<_>>());
    for path in &files {
        assert!(fs::metadata(path).unwrap().len() < 30_000 + 192 * 1024);
    }
}

#[test]
fn a_file_is_synced_by_its_policy() {
    for policy in [Fsync::EachFile, Fsync::Every(Duration::from_nanos(1))] {
        let folder = Folder::new();
        let mut writer = builder(&folder, "a-{}.pcapng")
            .fsync(policy)
            .create()
            .unwrap();
        writer.write(&packet(&[7; 60], 0)).unwrap();
        if let Fsync::Every(_) = policy {
            writer.tick().unwrap();
            assert_eq!(writer.unwritten(), 0);
        } else {
            assert_eq!(writer.unwritten(), 1);
        }
        writer.finish().unwrap();
        assert_eq!(times(&files(&folder)[0]), [0]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_a_file_is_created() {
    let folder = Folder::new();
    let make = || builder(&folder, "a-{}.pcapng");
    for (builder, expected) in [
        (make().max_bytes(0), "max_bytes"),
        (make().max_packets(0), "max_packets"),
        (make().max_age(Duration::ZERO), "max_age"),
        (make().every(Duration::ZERO), "every"),
        (make().keep(0), "keep"),
        (make().fsync(Fsync::Every(Duration::ZERO)), "fsync"),
        (builder(&folder, "../a.pcapng"), "pattern"),
        (builder(&folder, "%Q.pcapng"), "pattern"),
        (
            make().writer(CaptureWriter::builder(LinkType::UNKNOWN)),
            "link_type",
        ),
    ] {
        match builder.create().unwrap_err() {
            Error::Config { setting, .. } => assert_eq!(setting, expected),
            other => panic!("{expected}: {other}"),
        }
    }
    assert!(files(&folder).is_empty());
    let error = builder(&folder, "nowhere/a.pcapng").create().unwrap_err();
    assert!(matches!(cause(&error), FileError::Open(_)), "{error}");
    assert!(
        error
            .to_string()
            .contains("/nowhere/a.pcapng: it cannot be opened"),
        "{error}"
    );
}

/// A folder that is removed takes the packets of its file with it: they are counted, and the error
/// names the file.
#[test]
fn a_folder_that_is_removed_is_an_error_and_its_packets_are_counted() {
    let folder = Folder::new();
    fs::create_dir(folder.file("b")).unwrap();
    let make = || {
        builder(&folder, "b/a-{}.pcapng")
            .max_packets(10)
            .create()
            .unwrap()
    };
    let mut writer = make();
    for n in 0..15 {
        writer.write(&packet(&[7; 60], n)).unwrap();
    }
    fs::remove_dir_all(folder.file("b")).unwrap();
    let mut n = 15;
    let error = loop {
        match writer.write(&packet(&[7; 60], n)) {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_terminal());
    assert!(matches!(cause(&error), FileError::Removed), "{error}");
    assert!(
        error
            .to_string()
            .contains("b/a-00002.pcapng: it was removed"),
        "{error}"
    );
    // The first file was complete; no packet of the second one remains.
    assert_eq!((n, writer.packets(), writer.unwritten()), (20, 20, 10));
    assert!(matches!(
        writer.write(&packet(&[7; 60], 0)),
        Err(Error::Closed)
    ));
    assert!(matches!(writer.finish(), Err(Error::Closed)));

    // Also before the file ends.
    fs::create_dir(folder.file("b")).unwrap();
    let mut writer = builder(&folder, "b/a-{}.pcapng").create().unwrap();
    writer.write(&packet(&[7; 60], 0)).unwrap();
    fs::remove_file(folder.file("b/a-00001.pcapng")).unwrap();
    let error = loop {
        match writer.tick() {
            Ok(()) => std::thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(cause(&error), FileError::Removed), "{error}");
    assert_eq!((writer.packets(), writer.unwritten()), (1, 1));

    // Between two files: the next one cannot be created.
    let mut writer = make();
    for n in 0..10 {
        writer.write(&packet(&[7; 60], n)).unwrap();
    }
    assert!(writer.check_next().is_ok());
    fs::rename(folder.file("b"), folder.file("c")).unwrap();
    let error = writer.check_next().unwrap_err();
    assert!(error.to_string().contains("b/a-00002.pcapng"), "{error}");
    let error = writer.write(&packet(&[7; 60], 10)).unwrap_err();
    assert!(matches!(cause(&error), FileError::Open(_)), "{error}");
    assert_eq!((writer.packets(), writer.unwritten()), (10, 0));
    assert_eq!(times(&folder.file("c/a-00001.pcapng")).len(), 10);
}

/// What a killed program leaves: whole packets up to the last buffer.
#[test]
fn what_is_in_a_file_that_was_not_completed_is_whole() {
    let folder = Folder::new();
    let mut writer = builder(&folder, "a.pcapng").create().unwrap();
    for n in 0..5_000 {
        writer.write(&packet(&[7; 60], n)).unwrap();
    }
    let unwritten = writer.unwritten();
    // A killed program runs no destructor either.
    std::mem::forget(writer);
    let (seen, end, _) = read(&fs::read(folder.file("a.pcapng")).unwrap()[..]);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(seen.len() as u64 + unwritten, 5_000);
    // A block takes 92 bytes, so less than a buffer of 64 KiB is missing.
    assert!(unwritten < 65_536 / 92, "{unwritten}");
}
