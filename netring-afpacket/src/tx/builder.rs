//! The settings of an injector.

use netring_sys::{Namespace, Profile};

use crate::socket::TimestampSource;

/// The settings of an [`Injector`](crate::Injector), from
/// [`Injector::builder`](crate::Injector::builder).
///
/// ```no_run
/// use netring_afpacket::Injector;
///
/// let injector = Injector::builder("eth0").qdisc_bypass(true).build()?;
/// println!("{} slots", injector.ring().slots().unwrap_or_default());
/// # Ok::<(), netring_sys::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct InjectorBuilder {
    pub(crate) interface: String,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) profile: Profile,
    pub(crate) slots: Option<usize>,
    pub(crate) slot_size: Option<usize>,
    pub(crate) block_size: Option<usize>,
    pub(crate) copy_mode: CopyMode,
    pub(crate) qdisc_bypass: bool,
    pub(crate) offloads: bool,
    pub(crate) timestamps: Option<TimestampSource>,
}

/// Whether the kernel copies a frame out of its slot, or sends the pages of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyMode {
    /// [`Copy`](Self::Copy) for Ethernet and raw IP interfaces, otherwise
    /// [`ZeroCopy`](Self::ZeroCopy). [`Injector::is_zero_copy`](crate::Injector::is_zero_copy)
    /// reports which.
    #[default]
    Best,
    /// The driver sends the pages of the ring, and a slot is free again once the frame has left.
    /// For short frames it costs the kernel more than a copy, and for 1514 bytes the same; if the
    /// receiver is on this host, as over veth, it costs 40% more, because the receiver must copy.
    ZeroCopy,
    /// The kernel copies frames of up to 7168 bytes into buffers of its own, and sends the pages of
    /// longer ones. For Ethernet and raw IP interfaces only; on others, opening fails.
    Copy,
}

impl InjectorBuilder {
    pub(crate) fn new(interface: &str) -> Self {
        Self {
            interface: interface.into(),
            namespace: None,
            profile: Profile::Default,
            slots: None,
            slot_size: None,
            block_size: None,
            copy_mode: CopyMode::Best,
            qdisc_bypass: false,
            offloads: false,
            timestamps: None,
        }
    }

    /// Sends in this network namespace. Default: that of the thread that calls
    /// [`build`](Self::build), whose own namespace never changes. Requires CAP_SYS_ADMIN in
    /// addition to CAP_NET_RAW, unless the thread is already in the namespace.
    #[doc(alias = "setns")]
    pub fn namespace(mut self, namespace: impl Into<Option<Namespace>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the size of the ring for a purpose. Default: [`Profile::Default`].
    /// [`slots`](Self::slots) overrides it.
    ///
    /// | profile | slots of 2048 bytes |
    /// |---|---|
    /// | `Default`, `LowLatency`, `Immediate`, `Jumbo` | 1024: 2 MiB in all |
    /// | `HighThroughput` | 4096: 8 MiB in all |
    /// | `LowMemory` | 256: 512 KiB in all |
    ///
    /// If slots are larger, for the MTU or for [`offloads`](Self::offloads), there are fewer of
    /// them, at least 32.
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Slots of the ring, each for one frame; rounded up to whole blocks. Default: 1024. If memory
    /// is short, there are fewer: [`Injector::ring`](crate::Injector::ring) reports how many.
    #[doc(alias = "tp_frame_nr")]
    pub const fn slots(mut self, slots: usize) -> Self {
        self.slots = Some(slots);
        self
    }

    /// Bytes of a slot, up to 42 bytes of headers included: a multiple of 16 from 64 to 69,632, and
    /// above 32 KiB of the page size. Default: 2048, or as many pages as the longest frame needs if
    /// that is more.
    #[doc(alias = "tp_frame_size")]
    pub const fn slot_size(mut self, bytes: usize) -> Self {
        self.slot_size = Some(bytes);
        self
    }

    /// Bytes of a block, a piece of memory that the kernel allocates at once: a multiple of the
    /// page size that holds at least one slot. The remainder after the last slot of a block is not
    /// used. Default: 64 KiB, or 512 KiB for slots above 8 KiB.
    #[doc(alias = "tp_block_size")]
    pub const fn block_size(mut self, bytes: usize) -> Self {
        self.block_size = Some(bytes);
        self
    }

    /// Whether the kernel copies frames out of the ring. Default: [`CopyMode::Best`].
    pub const fn copy_mode(mut self, copy_mode: CopyMode) -> Self {
        self.copy_mode = copy_mode;
        self
    }

    /// Whether frames go straight to the driver, without the queueing discipline of the interface
    /// (kernel 3.14). Default: no.
    ///
    /// This saves time per frame. Captures on this host do not see such frames, traffic control
    /// does not apply to them, and if the driver's queue is full, they wait in the ring.
    #[doc(alias = "PACKET_QDISC_BYPASS")]
    pub const fn qdisc_bypass(mut self, bypass: bool) -> Self {
        self.qdisc_bypass = bypass;
        self
    }

    /// Allows requests for checksums and segmentation:
    /// [`Slot::request_checksum`](crate::Slot::request_checksum) and
    /// [`Slot::request_segmentation`](crate::Slot::request_segmentation). Slots are then large
    /// enough for the longest IP packet, 68 KiB. Default: no.
    ///
    /// For Ethernet and raw IP interfaces only; on others, opening fails.
    #[doc(alias = "PACKET_VNET_HDR")]
    pub const fn offloads(mut self, offloads: bool) -> Self {
        self.offloads = offloads;
        self
    }

    /// Takes timestamps of sent frames, by this clock, for
    /// [`Slot::request_timestamp`](crate::Slot::request_timestamp). Default: none.
    ///
    /// With [`TimestampSource::RawHardware`] the card stamps the frames if timestamping is enabled
    /// on it; frames that it does not stamp have the time at which the driver took them, and each
    /// timestamp reports its clock. The kernel then stamps every frame of the injector, requested
    /// or not, which costs it about a microsecond for each.
    #[doc(alias = "SO_TIMESTAMPING")]
    pub const fn transmit_timestamps(mut self, source: TimestampSource) -> Self {
        self.timestamps = Some(source);
        self
    }
}
