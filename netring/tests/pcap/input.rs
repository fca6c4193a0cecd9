//! A file as an [`Input`], with everything that accepts a source. `netns` tests the same for an
//! interface.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use futures::StreamExt;
use netring::adapters::Limit;
use netring::flow::FlowEvent;
use netring::flow::extract::FiveTuple;
use netring::{AsyncSource, Count, Error, Filter, Input, PacketBatch, PacketSource};
use xtask::wire::{number, numbered};

use super::bytes::{Little, MICROS, header, record};

/// A file of numbered packets, which is deleted when this is dropped.
struct Written(PathBuf);

impl Written {
    fn new(test: &str, packets: u64) -> Self {
        let mut file = header(Little, MICROS, 65_535, 1);
        for n in 0..packets {
            file.extend(record(Little, (n as u32, 0), 60, &numbered(n, 60)));
        }
        let name = format!("netring-input-{test}-{}.pcap", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, file).unwrap();
        Self(path)
    }

    fn open(&self) -> Input {
        Input::from_file(&self.0).unwrap()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Nothing more can be done about it.
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_is_read_by_every_loop() {
    let written = Written::new("loops", 10);
    let mut input = written.open();
    assert!(!input.is_live() && input.stop_handle().is_none() && input.descriptor().is_none());
    let broke = input.try_for_each(|packet| match number(packet.data()) {
        Some(3) => ControlFlow::Break("three"),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(broke.unwrap(), Some("three"));
    let batch = input.next_batch().unwrap().unwrap();
    let rest = batch.packets().map(|packet| number(packet.data()).unwrap());
    assert_eq!(rest.collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    drop(batch);
    assert!(input.next_batch().unwrap().is_none());
    assert_eq!(input.stats().unwrap().delivered, Count::Exact(10));
}

#[test]
fn what_cannot_be_opened_is_an_error_of_the_file_or_of_the_interface() {
    let error = Input::from_file("/no/such.pcap").unwrap_err().to_string();
    assert!(error.contains("/no/such.pcap"), "{error}");
    let error = Input::from_interface("no-such-name").unwrap_err();
    assert!(
        matches!(&error, Error::NoSuchInterface { name, .. } if name == "no-such-name"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_is_read_by_async_loops_flows_and_through_adapters() {
    let written = Written::new("async", 7);
    let mut source = written.open().into_async().unwrap();
    let mut seen = 0;
    while let Some(batch) = source.next_batch().await.unwrap() {
        seen += batch.packets().count();
    }
    assert_eq!(seen, 7);

    let limited = Limit::new(written.open(), 5);
    let source = AsyncSource::with_descriptor(limited, |limited| limited.get_ref().descriptor());
    let mut flows = source.unwrap().flow_stream(FiveTuple::bidirectional());
    let mut packets = None;
    while let Some(event) = flows.next().await {
        if let FlowEvent::Ended { stats, .. } = event.unwrap() {
            packets = Some(stats.packets());
        }
    }
    assert_eq!(packets, Some(5));
}

#[test]
fn an_input_of_a_file_has_a_filter() {
    let written = Written::new("filter", 10);
    let builder =
        || Input::builder().filter("len = 60 and udp[15] & 1 = 1".parse::<Filter>().unwrap());
    let mut input = builder().open_file(&written.0).unwrap();
    let mut odd = Vec::new();
    input
        .for_each(|packet| odd.push(number(packet.data()).unwrap()))
        .unwrap();
    assert_eq!(odd, [1, 3, 5, 7, 9]);
    assert_eq!(input.stats().unwrap().left_out, Count::Exact(5));
    let mut all = Input::builder().open_file(&written.0).unwrap();
    all.for_each(|_| ()).unwrap();
    assert_eq!(all.stats().unwrap().delivered, Count::Exact(10));
    let error = builder()
        .open_file("/no/such.pcap")
        .unwrap_err()
        .to_string();
    assert!(error.contains("/no/such.pcap"), "{error}");
    let bad = netring::SockFilter::stmt(0x05, 7);
    let error = Input::builder()
        .filter([bad])
        .open_file(&written.0)
        .unwrap_err();
    assert!(
        error.to_string().contains("jumps out of the program"),
        "{error}"
    );
}
