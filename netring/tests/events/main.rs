//! Events for `tracing`: those that need no network, and the table that lists all of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod collect;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use collect::Collected;
use netring::flow::extract::FiveTuple;
use netring::flow::{FlowTracker, TrackerConfig};
use netring::pcap::{CaptureFile, CaptureWriter, RotatingWriter};
use netring::replay::Replay;
use netring::{
    AsyncSource, BroadcastRecvError, Error, LinkType, Packet, PacketSink, PacketSlot, PacketWriter,
    SinkStats, Timestamp,
};
use xtask::wire::udp4;

/// A capture file with one packet for each of this many flows.
fn file(flows: u16) -> CaptureFile<Cursor<Vec<u8>>> {
    let mut writer = CaptureWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    for port in 0..flows {
        let frame = udp4(1000 + port, 53, b"?");
        let packet = Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET);
        assert!(writer.write(&packet).unwrap());
    }
    CaptureFile::new(Cursor::new(writer.finish().unwrap())).unwrap()
}

/// It lags once, and reports it once; the end is an event too.
#[tokio::test]
async fn a_subscriber_that_lags_is_one_event_for_each_gap() {
    let (events, _guard) = Collected::here();
    let flows = AsyncSource::replay(file(10_000)).flow_stream(FiveTuple::bidirectional());
    let broadcast = flows.broadcast(1);
    let mut slow = broadcast.subscribe();
    // The first call starts the replay.
    let mut received = slow.next_batch().await.unwrap().unwrap().len() as u64;
    while broadcast.stats().await.unwrap().tracker.packets < 10_000 {
        tokio::task::yield_now().await;
    }
    let stats = broadcast.shutdown().await.unwrap();
    assert_eq!(
        events.lines(),
        ["INFO netring::broadcast: the broadcast has ended"]
    );
    let Some(Err(BroadcastRecvError::Lagged(lost))) = slow.next_batch().await else {
        panic!("it did not lag");
    };
    let lagged = events.take();
    let [lagged] = &lagged[..] else {
        panic!("{lagged:?}");
    };
    assert_eq!(
        lagged.line(),
        "WARN netring::broadcast: a subscriber is too slow: events are lost"
    );
    assert_eq!(lagged.field("lost"), lost.to_string());
    assert_eq!(lagged.field("lost_so_far"), slow.lost().to_string());
    while let Some(batch) = slow.next_batch().await {
        received += batch.unwrap().len() as u64;
    }
    assert_eq!(received + lost, stats.events);
    assert_eq!(events.lines(), [""; 0]);
}

/// A table that stays full causes an event each time the number of emergencies gains a digit.
#[test]
fn a_table_that_is_nearly_full_is_an_event_at_first() {
    let (events, _guard) = Collected::here();
    let config = TrackerConfig::new().max_flows(64);
    let mut tracker = FlowTracker::with_config(FiveTuple::bidirectional(), config).unwrap();
    let mut found = Vec::new();
    let track = |tracker: &mut FlowTracker<FiveTuple>, found: &mut Vec<_>, ports| {
        for port in ports {
            let frame = udp4(port, 53, b"?");
            let packet = Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET);
            tracker.track(&packet, found);
        }
    };
    // 15 of 16.
    track(&mut tracker, &mut found, 1000..1060);
    assert_eq!(events.lines(), [""; 0]);
    track(&mut tracker, &mut found, 1060..1061);
    let emitted = events.take();
    assert_eq!(emitted.len(), 1, "{emitted:?}");
    assert_eq!(
        emitted[0].line(),
        "WARN netring::flow: the flow table is nearly full"
    );
    assert_eq!(emitted[0].field("max_flows"), "64");
    assert_eq!(emitted[0].field("flows"), "60");
    assert_eq!(emitted[0].field("emergencies"), "1");
    track(&mut tracker, &mut found, 2000..60_000);
    assert_eq!(tracker.stats().emergencies, 1);
    assert_eq!(events.lines(), [""; 0]);
}

/// A folder that is deleted when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("netring-events-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_file_is_an_event_at_its_begin_and_at_its_end() {
    let (events, _guard) = Collected::here();
    let folder = Folder::new("rotation");
    let pattern = folder.0.join("{}.pcap").display().to_string();
    let mut writer = RotatingWriter::builder(&pattern)
        .max_packets(100)
        .create()
        .unwrap();
    let frame = udp4(1000, 53, b"?");
    let packet = Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET);
    for _ in 0..250 {
        assert!(writer.write(&packet).unwrap());
    }
    let last = writer.finish().unwrap();
    let emitted = events.take();
    let seen: Vec<_> = emitted
        .iter()
        .map(|it| (it.line(), it.field("number").to_owned()))
        .collect();
    let (begins, complete) = (
        "INFO netring::file: file begins",
        "INFO netring::file: file is complete",
    );
    let expected = [
        (begins, "1"),
        (complete, "1"),
        (begins, "2"),
        (complete, "2"),
        (begins, "3"),
        (complete, "3"),
    ];
    assert_eq!(
        seen,
        expected.map(|(line, n)| (line.to_owned(), n.to_owned()))
    );
    assert_eq!(emitted[5].field("packets"), "50");
    assert_eq!(emitted[5].field("bytes"), last.bytes.to_string());
    assert_eq!(emitted[5].field("file"), last.path.display().to_string());
    assert_eq!(emitted[1].field("packets"), "100");
}

#[test]
fn a_file_that_is_lost_is_an_event_with_its_cause() {
    let (events, _guard) = Collected::here();
    let folder = Folder::new("lost");
    let pattern = folder.0.join("a.pcap").display().to_string();
    let mut writer = RotatingWriter::builder(&pattern).create().unwrap();
    let frame = udp4(1000, 53, b"?");
    let packet = Packet::new(&frame, Timestamp::EPOCH, LinkType::ETHERNET);
    for _ in 0..3 {
        assert!(writer.write(&packet).unwrap());
    }
    fs::remove_file(folder.0.join("a.pcap")).unwrap();
    let error = writer.rotate().unwrap_err();
    let emitted = events.take();
    assert_eq!(emitted.len(), 2, "{emitted:?}");
    assert_eq!(
        emitted[1].line(),
        "WARN netring::file: the file could not be written"
    );
    assert_eq!(emitted[1].field("unwritten"), "3");
    assert_eq!(emitted[1].field("why"), error.to_string());
    drop(writer);
    assert_eq!(events.lines(), [""; 0]);
}

/// Accepts every frame, or fails.
#[derive(Debug, Default)]
struct Sink {
    committed: u64,
    fails: bool,
}

struct Slot<'a>(&'a mut Sink, Vec<u8>);

impl std::ops::Deref for Slot<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.1
    }
}
impl std::ops::DerefMut for Slot<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.1
    }
}
impl PacketSlot for Slot<'_> {
    fn commit(self) {
        self.0.committed += 1;
    }
}

impl PacketSink for Sink {
    type Slot<'a> = Slot<'a>;

    fn room(&mut self) -> Result<usize, Error> {
        Ok(usize::MAX)
    }
    fn slot(&mut self, len: usize) -> Result<Option<Slot<'_>>, Error> {
        match self.fails {
            true => Err(Error::Closed),
            false => Ok(Some(Slot(self, vec![0; len]))),
        }
    }
    fn flush(&mut self) -> Result<usize, Error> {
        Ok(0)
    }
    fn stats(&mut self) -> Result<SinkStats, Error> {
        Ok(SinkStats::counted(self.committed, self.committed))
    }
    fn max_len(&self) -> usize {
        65_535
    }
}

#[test]
fn a_replay_is_an_event_at_its_begin_and_at_its_end() {
    let (events, _guard) = Collected::here();
    let mut replay = Replay::new(Sink::default()).unwrap();
    let stats = replay.run(&mut file(1000)).unwrap();
    let emitted = events.take();
    let lines: Vec<_> = emitted.iter().map(|it| it.line()).collect();
    assert_eq!(
        lines,
        [
            "INFO netring::replay: replay begins",
            "INFO netring::replay: replay ended"
        ]
    );
    assert_eq!(stats.committed, 1000);
    assert_eq!(emitted[1].field("stats"), stats.to_string());
    replay.sink_mut().fails = true;
    let error = replay.run(&mut file(1)).unwrap_err();
    let emitted = events.take();
    assert_eq!(emitted.len(), 2, "{emitted:?}");
    assert_eq!(emitted[0].field("read_so_far"), "1000");
    assert_eq!(emitted[1].line(), "WARN netring::replay: replay failed");
    assert_eq!(emitted[1].field("why"), error.to_string());
}

/// The source files of the crates.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Target, level, message and fields of each event in a source file.
fn events_in(text: &str) -> impl Iterator<Item = (String, BTreeSet<String>)> {
    text.split("__event!(").skip(1).filter_map(|rest| {
        let call = inside(rest).trim().trim_end_matches(',');
        let target = call.strip_prefix('"')?;
        let (target, rest) = target.split_once('"')?;
        let level = rest.trim_start_matches(',').trim().split(',').next()?;
        let (fields, message) = call.strip_suffix('"')?.rsplit_once('"')?;
        let fields = fields.split(',').skip(2).map(str::trim);
        let names = fields.filter(|field| !field.is_empty());
        let names = names.map(|field| field.split(' ').next().unwrap_or(field).to_owned());
        let row = format!("`netring::{target}` | {level} | {message}");
        Some((row, names.collect()))
    })
}

/// The text before the parenthesis that closes the one before it.
fn inside(text: &str) -> &str {
    let mut depth = 1;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    &text[..end.unwrap()]
}

#[test]
fn the_table_lists_each_event_with_its_fields() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for member in ["", "-afpacket", "-async", "-flow", "-sys", "-xdp"] {
        sources(&root.join(format!("netring{member}/src")), &mut files);
    }
    let mut emitted = BTreeMap::new();
    for file in files
        .iter()
        .filter(|file| !file.ends_with("netring-sys/src/event.rs"))
    {
        for (row, fields) in events_in(&fs::read_to_string(file).unwrap()) {
            let before = emitted.insert(row.clone(), fields.clone());
            assert!(before.is_none_or(|before| before == fields), "{row}");
        }
    }
    let rows = include_str!("../../src/events.md").lines();
    let rows = rows.filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeMap<_, BTreeSet<_>> = rows
        .map(|row| {
            let cells: Vec<_> = row.split(" | ").collect();
            let fields = cells[3].split('`').skip(1).step_by(2);
            let fields = fields.filter(|field| *field != "Lagged");
            (
                format!("`{}", cells[..3].join(" | ")),
                fields.map(str::to_owned).collect(),
            )
        })
        .collect();
    assert_eq!(emitted, listed);
}
