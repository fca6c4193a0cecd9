//! Adapters as sources under test, around each of the others: an adapter that drops nothing changes
//! nothing for the reader.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use netring::adapters::{Filtered, Limit, Tee};
use netring::dedup::{Content, Dedup};
use netring::pcap::CaptureWriter;
use netring::{Clock, Error, LinkType, PacketSource, Readiness, SockFilter};

use super::source::Backend;

/// An adapter that drops nothing.
pub(crate) trait Adapter {
    type Around<S: PacketSource + Send>: PacketSource + Send;

    fn around<S: PacketSource + Send>(source: S) -> Self::Around<S>;
    fn inside<S: PacketSource + Send>(around: &mut Self::Around<S>) -> &mut S;
}

/// A source of `B` with the adapter `A` around it.
#[derive(Debug)]
pub(crate) struct Adapted<A, B>(B, PhantomData<A>);

/// With a filter that accepts what the tests send.
#[derive(Debug)]
pub(crate) struct ByFilter;

/// Limited to more packets than any test sends.
#[derive(Debug)]
pub(crate) struct ByLimit;

/// With a capture file that receives every packet.
#[derive(Debug)]
pub(crate) struct ByTee;

/// Without repetitions; the tests never send a packet twice in a row.
#[derive(Debug)]
pub(crate) struct Once;

impl Adapter for Once {
    type Around<S: PacketSource + Send> = Dedup<S>;

    fn around<S: PacketSource + Send>(source: S) -> Dedup<S> {
        Dedup::content(source, Content::default().window(Duration::ZERO)).unwrap()
    }

    fn inside<S: PacketSource + Send>(around: &mut Dedup<S>) -> &mut S {
        around.get_mut()
    }
}

impl Adapter for ByFilter {
    type Around<S: PacketSource + Send> = Filtered<S>;

    fn around<S: PacketSource + Send>(source: S) -> Filtered<S> {
        // The UDP port of numbered frames.
        let filter = [
            SockFilter::stmt(0x28, 36),
            SockFilter::jump(0x15, 2000, 0, 1),
            SockFilter::stmt(0x06, u32::MAX),
            SockFilter::stmt(0x06, 0),
        ];
        Filtered::new(source, filter).unwrap()
    }

    fn inside<S: PacketSource + Send>(around: &mut Filtered<S>) -> &mut S {
        around.get_mut()
    }
}

impl Adapter for ByLimit {
    type Around<S: PacketSource + Send> = Limit<S>;

    fn around<S: PacketSource + Send>(source: S) -> Limit<S> {
        Limit::new(source, 1 << 40)
    }

    fn inside<S: PacketSource + Send>(around: &mut Limit<S>) -> &mut S {
        around.get_mut()
    }
}

impl Adapter for ByTee {
    type Around<S: PacketSource + Send> = Tee<S, CaptureWriter<io::Sink>>;

    fn around<S: PacketSource + Send>(source: S) -> Self::Around<S> {
        let writer = CaptureWriter::new(io::sink(), LinkType::ETHERNET).unwrap();
        Tee::new(source, writer)
    }

    fn inside<S: PacketSource + Send>(around: &mut Self::Around<S>) -> &mut S {
        around.get_mut()
    }
}

impl<A: Adapter + Send, B: Backend> Backend for Adapted<A, B> {
    type Source = A::Around<B::Source>;

    const HOLDS: u64 = B::HOLDS;
    const OVERFLOWS: Option<u64> = B::OVERFLOWS;
    const CLOCKS: &[Clock] = B::CLOCKS;

    fn open() -> (Self, Self::Source) {
        let (backend, source) = B::open();
        (Self(backend, PhantomData), A::around(source))
    }

    fn offer(&mut self, frame: &[u8]) {
        self.0.offer(frame);
    }

    fn wait(source: &mut Self::Source, time: Duration) -> Result<Readiness, Error> {
        match B::wait(A::inside(source), time)? {
            Readiness::Empty => Ok(Readiness::Empty),
            _ => source.ready(),
        }
    }

    fn end(&mut self) {
        self.0.end();
    }

    fn interface(&self) -> u32 {
        self.0.interface()
    }
}
