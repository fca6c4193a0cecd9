//! Packet I/O for Linux: rings, flows, async streams and broadcasts behind one import.
//!
//! ```no_run
//! use futures::StreamExt;
//! use netring::AsyncCapture;
//! use netring::flow::extract::FiveTuple;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), netring::Error> {
//! let cap = AsyncCapture::open("eth0")?;
//! let bc = cap.flow_stream(FiveTuple::bidirectional()).broadcast(1024);
//! let mut a = bc.subscribe();
//! let mut b = bc.subscribe();
//! tokio::select! {
//!     evt = a.next() => println!("a: {evt:?}"),
//!     evt = b.next() => println!("b: {evt:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! | module | feature | contents |
//! |---|---|---|
//! | the root | | [`Packet`], [`PacketSource`], [`Stats`], [`Error`]: types that all layers share |
//! | [`ChannelCapture`] | | any source on its own thread, with a bounded channel to the reader |
//! | [`prelude`] | | the traits and the few types that almost every program needs |
//! | [`dedup`] | | leave out packets that a source delivers more than once |
//! | [`bridge`], [`Bridge`] | | frames between two interfaces, in both directions, with a decision about each |
//! | [`replay`] | | the packets of any source to any sink, at the speed at which they were recorded or another |
#![cfg_attr(
    feature = "afpacket",
    doc = "| [`afpacket`], [`Capture`], [`Captures`], [`FanoutGroup`] | `afpacket` | capture from one, several or all interfaces, including interfaces added later, through rings that the kernel fills; or through one ring per thread |"
)]
#![cfg_attr(
    feature = "afpacket",
    doc = "| [`Injector`] | `afpacket` | send frames through a ring that the kernel reads |"
)]
#![cfg_attr(
    feature = "xdp",
    doc = "| [`xdp`], [`XdpCapture`], [`XdpInjector`], [`XdpSocket`] | `xdp` | AF_XDP: capture from all queues, injection, and direct access to the rings |"
)]
#![cfg_attr(
    all(feature = "xdp", feature = "afpacket"),
    doc = "| [`auto`] | `xdp`, `afpacket` | picks the best available backend, without taking packets away from the host unless permitted |"
)]
#![cfg_attr(
    all(feature = "xdp", feature = "afpacket"),
    doc = "| [`suggest`] | `xdp`, `afpacket` | backend, profile and workers for an interface, with the reasons |"
)]
#![cfg_attr(
    feature = "flow",
    doc = "| [`flow`] | `flow` | flows from any source |"
)]
#![cfg_attr(
    feature = "async",
    doc = "| [`AsyncSource`], [`PacketStream`], [`LinkStream`] | `async` | any source with tokio |"
)]
#![cfg_attr(
    all(feature = "async", feature = "afpacket"),
    doc = "| [`AsyncCapture`], [`AsyncCaptures`] | `async`, `afpacket` | captures with tokio |"
)]
#![cfg_attr(
    all(feature = "async", feature = "afpacket"),
    doc = "| [`AsyncSink`], [`AsyncInjector`] | `async`, `afpacket` | any sink, and an injector, with tokio |"
)]
#![cfg_attr(
    all(feature = "async", feature = "xdp"),
    doc = "| [`AsyncXdpCapture`] | `async`, `xdp` | an AF_XDP capture with tokio |"
)]
#![cfg_attr(
    all(feature = "async", feature = "flow"),
    doc = "| [`FlowStream`], [`FlowBroadcast`], [`FlowWorkers`] | `async`, `flow` | flows as a stream, for one reader or for many; of several sources in parallel |"
)]
#![cfg_attr(
    all(feature = "async", feature = "flow"),
    doc = "| [`RecordStream`], [`RecordWorkers`] | `async`, `flow` | complete records of flows as a stream, for conn.log, EVE or IPFIX |"
)]
#![cfg_attr(
    all(feature = "async", feature = "flow"),
    doc = "| [`SessionStream`], [`DatagramStream`] | `async`, `flow` | messages of protocols as a stream |"
)]
#![cfg_attr(
    all(feature = "async", feature = "flow"),
    doc = "| [`ConversationStream`], [`Conversation`] | `async`, `flow` | connections as two streams of bytes each |"
)]
#![cfg_attr(
    all(feature = "async", feature = "flow"),
    doc = "| [`PacketBroadcast`], [`Broadcast`] | `async`, `flow` | packets, or the items of any stream, for many readers |"
)]
#![cfg_attr(
    all(feature = "afpacket", feature = "pcap"),
    doc = "| [`Input`] | `afpacket`, `pcap` | an interface or a file, in one type |"
)]
#![cfg_attr(
    feature = "pcap",
    doc = "| [`pcap`] | `pcap` | capture files as a source, and to write to; `compression` and `rotation` add to it |"
)]
#![cfg_attr(
    feature = "metrics",
    doc = "| [`metrics`] | `metrics` | statistics as counters and gauges, for Prometheus and others |"
)]
//!
//! Only modules whose features are enabled are listed. `afpacket`, `flow` and `async` are enabled
//! by default, `xdp`, `pcap` and `flowscope` (extractors of the crate flowscope, in `flow`) are
//! not; `compression` (gzip both ways, zstd to read) and `rotation` (one capture file after
//! another) add to `pcap`. Features only add to the API. With `afpacket` alone, neither tokio nor
//! aya is built. `metrics` publishes statistics through the crate of that name. `parsers` accepts
//! session parsers written for flowscope; `http`, `tls` and `dns` add flowscope's own. `serde` adds
//! `Serialize` and `Deserialize` to packets' metadata, keys, events and statistics. `tracing` has
//! all layers emit events through the crate of that name.
//!
//! # Filters
//!
//! A [`Filter`] is text in the language of tcpdump, typed parts ([`filter::Expr`]) or classic BPF.
//! Every builder takes one, and so do sources that read packets from elsewhere. It means the same
//! everywhere; a backend that cannot express it rejects it.
//!
//! ```no_run
//! # #[cfg(all(feature = "afpacket", feature = "pcap"))]
//! # fn main() -> Result<(), netring::Error> {
//! use netring::pcap::CaptureFile;
//! use netring::{Capture, Filter, Matcher};
//!
//! let filter: Filter = "tcp dst port 443 and not net 10.0.0.0/8".parse()?;
//! // In the kernel: rejected packets never enter the ring.
//! let capture = Capture::builder().interface("eth0").filter(&filter).build()?;
//! // In user space, over a file and over single packets.
//! let file = CaptureFile::open("trace.pcapng")?.filter(&filter)?;
//! let matcher = Matcher::new(&filter)?;
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "afpacket", feature = "pcap")))]
//! # fn main() {}
//! ```
//!
//! # Without a runtime
//!
//! ```no_run
//! # #[cfg(feature = "afpacket")]
//! # fn main() -> Result<(), netring::Error> {
//! use netring::{Capture, PacketBatch, PacketSource};
//!
//! let mut capture = Capture::open("eth0")?;
//! while let Some(batch) = capture.next_batch()? {
//!     for packet in batch.packets() {
//!         println!("{} {} bytes", packet.timestamp(), packet.wire_len());
//!     }
//! }
//! println!("{}", capture.stats()?);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "afpacket"))]
//! # fn main() {}
//! ```
#![cfg_attr(feature = "tracing", doc = include_str!("events.md"))]
#![forbid(unsafe_code)]

#[cfg(all(feature = "xdp", feature = "afpacket"))]
pub mod auto;
pub mod bridge;
mod channel;
pub mod dedup;
#[cfg(all(feature = "afpacket", any(feature = "pcap", feature = "xdp")))]
mod either;
#[cfg(all(feature = "afpacket", feature = "pcap"))]
mod input;
#[cfg(feature = "metrics")]
pub mod metrics;
mod outgoing;
#[cfg(feature = "pcap")]
pub mod pcap;
pub mod prelude;
#[cfg(all(
    doctest,
    feature = "afpacket",
    feature = "async",
    feature = "flow",
    feature = "xdp"
))]
mod readmes;
pub mod replay;
#[cfg(all(feature = "xdp", feature = "afpacket"))]
pub mod suggest;

pub use netring_sys::{
    Adjustable, Build, CardRings, Checksum, Clock, Count, Direction, Driver, Duplex, Error, Filter,
    HardwareTimestamps, Interface, InterfaceAddress, InterfaceCounters, InterfaceFeature,
    InterfaceInformation, LinkAddress, LinkType, Matcher, Membership, Meta, Namespace, Offload,
    Open, OpenSink, Packet, PacketBatch, PacketBuf, PacketSink, PacketSlot, PacketSource,
    PacketVec, PacketVecIter, PacketWriter, ParseError, PartialChecksum, Privileges, Profile,
    QueueCounts, Readiness, Segmentation, Segments, SinkStats, Stats, SyscallError, Timed,
    Timestamp, Timestamping, VlanTag, WireBytes, XdpFeatures, XdpMode, adapters, wait,
};

pub use bridge::Bridge;
pub use channel::{Batches, ChannelBuilder, ChannelCapture, Forwarded, Forwarding};
pub use replay::Replay;

/// Filter expressions, and the programs compiled from them.
pub use netring_sys::filter;
/// An instruction of a classic BPF filter.
pub use netring_sys::kernel::filter::SockFilter;

#[cfg(feature = "afpacket")]
pub use netring_afpacket as afpacket;
#[cfg(feature = "afpacket")]
pub use netring_afpacket::{Capture, Captures, Fanout, FanoutGroup, FanoutMode, Injector};

#[cfg(all(feature = "afpacket", feature = "pcap"))]
pub use input::{Input, InputBatch, InputBuilder};

#[cfg(feature = "xdp")]
pub use netring_xdp as xdp;
#[cfg(feature = "xdp")]
pub use netring_xdp::{XdpCapture, XdpInjector, XdpSocket};

#[cfg(feature = "flow")]
pub use netring_flow as flow;

#[cfg(feature = "async")]
pub use netring_async::{AsyncSink, AsyncSource, LinkStream, OpenAsync, PacketStream};
#[cfg(all(feature = "async", feature = "flow"))]
pub use netring_async::{
    Broadcast, BroadcastRecvError, BroadcastStats, Chunk, Conversation, ConversationConfig,
    ConversationHalf, ConversationStats, ConversationStream, DatagramStream, EventBatch,
    FlowBroadcast, FlowStateStream, FlowStream, FlowSubscriber, FlowWorkers, MissingBytes,
    PacketBroadcast, PacketSubscriber, Published, RecordBroadcast, RecordStream, RecordWorkers,
    SessionBroadcast, SessionBroadcastStats, SessionStream, SharedEvent, SharedPacket,
    SharedPackets, Subscriber, SubscriberStats, UnfinishedStream, WorkerEvent, Workers,
};

/// A capture for tokio: `AsyncCapture::open("eth0")`, or with settings:
///
/// ```no_run
/// use netring::afpacket::Profile;
/// use netring::{AsyncCapture, OpenAsync};
/// # async fn example() -> Result<(), netring::Error> {
///
/// let settings = AsyncCapture::builder().interface("eth0");
/// let capture = settings.profile(Profile::Immediate).open().await?;
/// let stop = capture.stop_handle();
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "async", feature = "afpacket"))]
pub type AsyncCapture = AsyncSource<Capture>;

/// Captures from several interfaces for tokio, some of which may join later:
///
/// ```no_run
/// use netring::{AsyncCaptures, Capture, Captures, OpenAsync};
/// # async fn example() -> Result<(), netring::Error> {
///
/// let settings = Captures::builder(Capture::builder()).interfaces(["eth0", "wg0"]);
/// let captures: AsyncCaptures = settings.join(true).reopen(true).open().await?;
/// println!("{}", captures.get_ref().joins());
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "async", feature = "afpacket"))]
pub type AsyncCaptures = AsyncSource<Captures>;

/// An injector for tokio: `AsyncInjector::open("eth0")`, or with settings:
///
/// ```no_run
/// use netring::{AsyncInjector, Injector};
/// # async fn example() -> Result<(), netring::Error> {
///
/// let settings = Injector::builder("eth0").qdisc_bypass(true);
/// let mut injector = AsyncInjector::open_with(|| settings.build()).await?;
/// injector.send(&[0xff; 60]).await?;
/// injector.flush().await?;
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "async", feature = "afpacket"))]
pub type AsyncInjector = AsyncSink<Injector>;

/// An AF_XDP injector for tokio, as [`AsyncSink`] describes: `AsyncXdpInjector::open("eth0")`.
#[cfg(all(feature = "async", feature = "xdp"))]
pub type AsyncXdpInjector = AsyncSink<XdpInjector>;

/// An AF_XDP capture for tokio: `AsyncXdpCapture::open("eth0")`, or with settings:
///
/// ```no_run
/// use netring::{AsyncXdpCapture, OpenAsync};
/// # async fn example() -> Result<(), netring::Error> {
///
/// let settings = AsyncXdpCapture::builder().interface("eth0");
/// let capture = settings.queues([0]).open().await?;
/// let stop = capture.stop_handle();
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "async", feature = "xdp"))]
pub type AsyncXdpCapture = AsyncSource<XdpCapture>;

/// A capture with the best backend that lets packets reach the host, for tokio:
/// `AsyncAutoCapture::open("eth0")`, or with settings:
///
/// ```no_run
/// use netring::{AsyncAutoCapture, OpenAsync};
/// # async fn example() -> Result<(), netring::Error> {
///
/// let settings = AsyncAutoCapture::builder().interface("eth0");
/// let capture = settings.open().await?;
/// println!("{}", capture.get_ref().backend());
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "async", feature = "xdp", feature = "afpacket"))]
pub type AsyncAutoCapture = AsyncSource<auto::AutoCapture>;
