//! The settings of a capture.

mod membership;
mod namespace;

use netring_sys::{Error, Filter, Membership, Namespace, Profile};

use super::XdpCapture;
use crate::injector::XdpInjector;
use crate::memory::umem::HugePages;
use crate::options::{DriverMetadata, RingSize, Sizes};
use crate::program::{AttachMode, DefaultAction, Program, SocketMap};
use crate::socket::config::{SocketOptions, option_setters};

/// The settings of an [`XdpCapture`], from [`XdpCapture::builder`].
///
/// ```no_run
/// use netring_xdp::XdpCapture;
/// use netring_xdp::program::AttachMode;
///
/// let capture = XdpCapture::builder()
///     .interface("eth0")
///     .attach_mode(AttachMode::Native)
///     .promiscuous(true)
///     .build()?;
/// println!("{}", capture.mode());
/// if let Some(why) = capture.why_not_zero_copy() {
///     println!("not in zero-copy mode: {why}");
/// }
/// # Ok::<(), netring_xdp::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct CaptureBuilder {
    pub(super) interface: String,
    pub(super) queues: Option<Vec<u32>>,
    pub(super) partial: bool,
    /// `None`: the size of the profile, or with multi-buffer one entry for each chunk.
    pub(super) receive_ring: Option<u32>,
    pub(super) profile_ring: RingSize,
    pub(super) chunks: u32,
    pub(super) chunk_size: Option<u32>,
    pub(super) huge_pages: HugePages,
    /// Options common to all its sockets, except multi-buffer.
    pub(super) options: SocketOptions,
    pub(super) multi_buffer: Option<bool>,
    pub(super) promiscuous: bool,
    pub(super) all_multicast: bool,
    pub(super) addresses: Vec<Membership>,
    pub(super) namespace: Option<Namespace>,
    pub(super) feed: FeedBy,
    pub(super) attach_mode: AttachMode,
    pub(super) default_action: DefaultAction,
    pub(super) filter: Option<Filter>,
    pub(super) metadata: DriverMetadata,
    pub(super) rx_hash: bool,
    pub(super) hardware_timestamps: bool,
}

/// The program that feeds the sockets.
#[derive(Debug)]
pub(super) enum FeedBy {
    /// The program that this crate generates.
    Generated,
    /// The user's own program, attached by us.
    Program(Box<Program>),
    /// A program that another process attached.
    Sockets(SocketMap),
}

impl CaptureBuilder {
    pub(super) fn new() -> Self {
        Self {
            interface: String::new(),
            queues: None,
            partial: false,
            receive_ring: None,
            profile_ring: RingSize::DEFAULT,
            chunks: 4096,
            chunk_size: None,
            huge_pages: HugePages::No,
            options: SocketOptions::default(),
            multi_buffer: None,
            promiscuous: false,
            all_multicast: false,
            addresses: Vec::new(),
            namespace: None,
            feed: FeedBy::Generated,
            attach_mode: AttachMode::BestAvailable,
            default_action: DefaultAction::Pass,
            filter: None,
            metadata: DriverMetadata::Try,
            rx_hash: false,
            hardware_timestamps: false,
        }
    }

    /// The name of the interface to capture from, in the network namespace of the thread that calls
    /// [`build`](Self::build), or in the given [namespace](Self::namespace). Must be given.
    pub fn interface(mut self, name: &str) -> Self {
        name.clone_into(&mut self.interface);
        self
    }

    /// Receives from these queues, numbered from 0. Default: all queues of the interface.
    ///
    /// An interface spreads packets over all of its queues, and packets of queues without a socket
    /// are missed. So a subset is refused unless [`partial`](Self::partial) allows it. To use fewer
    /// queues, reduce those of the interface: `ethtool -L eth0 combined 2`.
    pub fn queues(mut self, queues: impl IntoIterator<Item = u32>) -> Self {
        self.queues = Some(queues.into_iter().collect());
        self
    }

    /// Allows a capture of some queues only, if other queues have their own sockets or flow
    /// steering directs the wanted packets to these. Missed packets are counted
    /// ([`XdpCapture::program_counters`]). Default: no.
    pub const fn partial(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// Sets the rings, chunks, [`multi_buffer`](Self::multi_buffer) and
    /// [`moderation`](Self::moderation) of each queue for a purpose. Default: [`Profile::Default`].
    /// Settings made after it override it.
    ///
    /// | profile | receive ring | chunks per queue | moderation | for |
    /// |---|---|---|---|---|
    /// | `Default` | 2048 | 4096: 8 MiB | off | a reader that pauses for 2 ms at a million packets a second |
    /// | `LowLatency` | 2048 | 4096: 8 MiB | off | the same: packets are seen as they arrive |
    /// | `HighThroughput` | 8192 | 16,384: 32 MiB | 50 µs | the fewest system calls and the longest pause, 8 ms at a million packets a second |
    /// | `LowMemory` | 512 | 1024: 2 MiB | off | little memory |
    /// | `Jumbo` | 8192 | 8192 of 4096 bytes: 32 MiB | off | frames of 9000 bytes and more: `multi_buffer` on |
    /// | `Immediate` | 2048 | 4096: 8 MiB | off | as `LowLatency` |
    ///
    /// The memory figures are for chunks of 2048 bytes, which hold packets of an MTU up to 1770;
    /// above that they double. In copy mode a packet waits in the receive ring, and a queue that
    /// takes packets of one chunk each holds as many as that ring has entries. With multi-buffer
    /// the ring has an entry for each chunk instead. Without CAP_IPC_LOCK a process may lock as
    /// much memory as `ulimit -l` allows, often 8 MiB.
    pub const fn profile(mut self, profile: Profile) -> Self {
        let sizes = Sizes::of(profile);
        self.chunks = sizes.chunks();
        self.chunk_size = sizes.chunk_size;
        self.options.moderation = sizes.moderation;
        (self.receive_ring, self.profile_ring) = (None, sizes.ring);
        self.multi_buffer = if sizes.multi_buffer { Some(true) } else { None };
        self
    }

    /// Entries of each queue's receive ring, a power of two. Default: 2048; with
    /// [`multi_buffer`](Self::multi_buffer), which lets a packet take several, one for each of the
    /// [chunks](Self::chunks).
    #[doc(alias = "XDP_RX_RING")]
    pub const fn receive_ring(mut self, entries: u32) -> Self {
        self.receive_ring = Some(entries);
        self
    }

    /// Chunks of packet memory for each queue. Default: 4096, which is 8 MiB, or 16 if the MTU is
    /// above 1770.
    ///
    /// The kernel locks the memory; a process without CAP_IPC_LOCK may lock as much as `ulimit -l`
    /// allows.
    pub const fn chunks(mut self, chunks: u32) -> Self {
        self.chunks = chunks;
        self
    }

    /// Bytes of a chunk: a power of two from 2048 to a page. Default: the smallest that holds a
    /// packet of the interface's MTU with two VLAN tags, or a page.
    pub const fn chunk_size(mut self, bytes: u32) -> Self {
        self.chunk_size = Some(bytes);
        self
    }

    /// Whether packet memory is in huge pages. Default: no.
    pub const fn huge_pages(mut self, huge_pages: HugePages) -> Self {
        self.huge_pages = huge_pages;
        self
    }

    option_setters!(options: copy_mode need_wakeup busy_poll moderation);

    /// Takes packets that are larger than a chunk (`XDP_USE_SG`, kernel 6.6): they are assembled by
    /// a copy, and delivered whole or not at all. Without it such packets are dropped, and counted;
    /// [`XdpCapture::longest`] reports what fits.
    ///
    /// Default: on if the interface can deliver such packets. That is the case if its MTU is larger
    /// than a chunk, or larger than the driver supports without multi-buffer (above 3506 with pages
    /// of 4 KiB). In [generic mode](AttachMode::Generic) it is the case for any MTU, because that
    /// mode receives packets that offloads assembled (GSO of this host or of the other end of a
    /// veth pair, GRO of a port below), up to 64 KiB, or 512 KiB with BIG TCP. In native mode
    /// drivers deliver no such packets; veth makes the other end cut them first.
    ///
    /// If the kernel is older than 6.6, the default is an error for an MTU that does not fit, and
    /// off in generic mode.
    #[doc(alias = "XDP_USE_SG")]
    pub const fn multi_buffer(mut self, multi_buffer: bool) -> Self {
        self.multi_buffer = Some(multi_buffer);
        self
    }

    /// Whether to also receive packets addressed to other hosts: the interface is in promiscuous
    /// mode while the capture lives. Default: no.
    #[doc(alias = "PACKET_MR_PROMISC")]
    pub const fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// Where the program runs. Default: [`AttachMode::BestAvailable`].
    pub const fn attach_mode(mut self, mode: AttachMode) -> Self {
        self.attach_mode = mode;
        self
    }

    /// Which packets to take: a [`Filter`], from text (`"tcp port 443".parse::<Filter>()?`), typed
    /// parts ([`Expr`](netring_sys::filter::Expr)) or a classic BPF program. Packets that it
    /// rejects go to the kernel, or are dropped ([`default_action`](Self::default_action)), and the
    /// program counts them ([`XdpCapture::program_counters`]); they are not in
    /// [`Stats`](netring_sys::Stats). Default: all packets. For the generated program; with another
    /// one [`build`](Self::build) refuses it.
    ///
    /// It runs before the packet goes anywhere. `build` compiles an expression for the interface's
    /// link type, and refuses one that has no meaning there, or tests something that an XDP program
    /// does not see; see [`Redirect::filter`](crate::program::Redirect::filter). A VLAN tag that
    /// the card moved out of the bytes counts if the capture has it as [metadata](Self::metadata);
    /// otherwise [`XdpCapture::why_no_metadata`] says why not, and such a packet is treated as
    /// untagged.
    #[doc(alias = "SO_ATTACH_FILTER")]
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// What happens to packets that go to no socket: those of queues without one, and those that
    /// the [filter](Self::filter) rejects. Default: [`DefaultAction::Pass`]. For the generated
    /// program.
    pub const fn default_action(mut self, default_action: DefaultAction) -> Self {
        self.default_action = default_action;
        self
    }

    /// Whether to ask the driver for metadata of each packet: the VLAN tag that is not in its bytes
    /// ([`Meta::vlan`](netring_sys::Meta::vlan)), and on request the hash
    /// ([`rx_hash`](Self::rx_hash)) and the hardware timestamp
    /// ([`hardware_timestamps`](Self::hardware_timestamps)). Kernel 6.8 (6.3 without VLAN tags).
    /// Default: [`DriverMetadata::Try`]; [`XdpCapture::has_metadata`] and
    /// [`XdpCapture::why_no_metadata`] report the outcome.
    ///
    /// It needs native mode. The mode of a capture is not changed for it, and in generic mode there
    /// is no metadata: a tag that the card moved out of the bytes, or that the stack sends as
    /// metadata over a veth pair, is lost. In that case leave tags in the bytes: `ethtool -K eth0
    /// rxvlan off`; on veth `txvlan off` at the other end.
    ///
    /// For each packet the program takes about 30 ns more (veth, where a packet takes about 650
    /// ns), and the reader about 30 instructions. The first capture of a process takes about 0.1 s
    /// longer to open, because it reads the kernel's types.
    ///
    /// [The user's own program](Self::program) is trusted to write metadata if it is one of
    /// [`Redirect::metadata`](crate::program::Redirect::metadata), or with
    /// [`DriverMetadata::Require`].
    pub const fn metadata(mut self, metadata: DriverMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Whether packets carry the hash of their flow
    /// ([`Meta::rx_hash`](netring_sys::Meta::rx_hash)), part of the [metadata](Self::metadata).
    /// Default: no. If no card computed it, as on veth, the kernel computes it for the request,
    /// which takes about 130 ns per packet.
    pub const fn rx_hash(mut self, rx_hash: bool) -> Self {
        self.rx_hash = rx_hash;
        self
    }

    /// Whether packets carry the hardware timestamp
    /// ([`Clock::Hardware`](netring_sys::Clock::Hardware)) if the driver knows it, part of the
    /// [metadata](Self::metadata). Default: no. The card's clock may be far from the host's, and
    /// some cards stamp only some packets: the others have the time of their batch, so the two
    /// clocks would be mixed.
    ///
    /// Hardware timestamps must be enabled on the card, by
    /// [`HardwareTimestamps`](netring_sys::HardwareTimestamps) or `hwstamp_ctl`.
    pub const fn hardware_timestamps(mut self, hardware_timestamps: bool) -> Self {
        self.hardware_timestamps = hardware_timestamps;
        self
    }

    /// The user's own program, which this capture attaches and gives its sockets, instead of the
    /// generated one. Its counts are unknown, so [`Stats::offered`](netring_sys::Stats::offered) is
    /// then a lower bound.
    pub fn program(mut self, program: Program) -> Self {
        self.feed = FeedBy::Program(Box::new(program));
        self
    }

    /// The map of a program that another process attached; the capture attaches none.
    pub fn sockets(mut self, sockets: SocketMap) -> Self {
        self.feed = FeedBy::Sockets(sockets);
        self
    }

    /// Opens the capture.
    ///
    /// # Errors
    /// Those of [`XdpCapture::open`], and [`Error::Config`] for impossible settings, which names
    /// the possible values.
    pub fn build(self) -> Result<XdpCapture, Error> {
        self.open(None).map(|(capture, _)| capture)
    }

    /// Opens the capture, and an injector over the socket of its first queue. A queue has one
    /// socket, so a capture and an injector that are opened separately cannot share one.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_with_injector(
        self,
        transmit_ring: RingSize,
    ) -> Result<(XdpCapture, XdpInjector), Error> {
        let (capture, injector) = self.open(Some(transmit_ring))?;
        injector
            .map(|injector| (capture, injector))
            .ok_or(Error::Closed)
    }
}
