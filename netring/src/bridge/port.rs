//! One end of a bridge.

#[cfg(any(feature = "afpacket", feature = "xdp"))]
use crate::Error;
use crate::{Interface, LinkType};
#[cfg(feature = "xdp")]
use crate::{XdpCapture, XdpInjector};

#[cfg(feature = "afpacket")]
use crate::afpacket::{CaptureBuilder, InjectorBuilder};
#[cfg(feature = "afpacket")]
use crate::{Capture, Injector, Profile};

/// Slots of the injector of a port. Each holds the longest packet that the kernel segments, so they
/// take 17 MiB.
#[cfg(feature = "afpacket")]
const SLOTS: usize = 256;

/// Entries of the transmit ring of an AF_XDP port.
#[cfg(feature = "xdp")]
const RING: u32 = 2048;

/// One end of a bridge: a source and a sink of the same interface.
#[derive(Debug)]
pub struct Port<S, K> {
    pub(super) source: S,
    pub(super) sink: K,
    pub(super) link_type: LinkType,
    pub(super) mtu: Option<u32>,
}

impl<S, K> Port<S, K> {
    /// Makes a port of a source and a sink, for Ethernet frames of any length that the sink takes.
    ///
    /// The source should not deliver frames that the host itself sends out of the interface, and
    /// should receive in promiscuous mode, like those of `Port::afpacket` and `Port::xdp`. Frames
    /// from the sink must not come back from the source.
    pub const fn new(source: S, sink: K) -> Self {
        Self {
            source,
            sink,
            link_type: LinkType::ETHERNET,
            mtu: None,
        }
    }

    /// Takes the link type and the MTU from the interface of this port. An `Injector` follows the
    /// MTU itself: set [`link_type`](Self::link_type) instead.
    #[must_use]
    pub const fn interface(self, interface: &Interface) -> Self {
        self.link_type(interface.link_type()).mtu(interface.mtu)
    }

    /// The link type of the frames that the sink sends; others are refused. Default: Ethernet.
    #[must_use]
    pub const fn link_type(mut self, link_type: LinkType) -> Self {
        self.link_type = link_type;
        self
    }

    /// The longest packet that the sink sends, without its link layer header, in bytes. An Ethernet
    /// frame may have 14 bytes more, and one with a tag of type 0x8100 another 4. Default: any
    /// length that the sink takes.
    #[must_use]
    pub const fn mtu(mut self, bytes: u32) -> Self {
        self.mtu = Some(bytes);
        self
    }

    /// The source.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// The sink.
    pub const fn sink(&self) -> &K {
        &self.sink
    }

    /// The source and the sink.
    pub fn into_parts(self) -> (S, K) {
        (self.source, self.sink)
    }
}

#[cfg(feature = "afpacket")]
impl Port<Capture, Injector> {
    /// Opens packet sockets on the interface of this name, with
    /// [these settings](Self::afpacket_settings).
    ///
    /// # Errors
    /// [`Error::NoSuchInterface`], [`Error::NotPermitted`] without CAP_NET_RAW, or the call that
    /// failed.
    pub fn afpacket(interface: &str) -> Result<Self, Error> {
        let (capture, injector) = Self::afpacket_settings(interface);
        let (capture, injector) = (capture.build()?, injector.build()?);
        let link_type = capture.interface().link_type();
        Ok(Self::new(capture, injector).link_type(link_type))
    }

    /// The settings of a capture and an injector for a bridge, to be changed and built, and made a
    /// port with [`new`](Self::new): promiscuous, without what this host sends
    /// ([`ignore_outgoing`](CaptureBuilder::ignore_outgoing)), with the state of checksums and
    /// segmentation ([`offload_state`](CaptureBuilder::offload_state),
    /// [`offloads`](InjectorBuilder::offloads)), and with [`Profile::LowLatency`], with which a
    /// frame waits for up to a millisecond if traffic is sparse.
    pub fn afpacket_settings(interface: &str) -> (CaptureBuilder, InjectorBuilder) {
        let capture = Capture::builder()
            .interface(interface)
            .profile(Profile::LowLatency)
            .promiscuous(true)
            .ignore_outgoing(true)
            .offload_state(true);
        let injector = Injector::builder(interface).offloads(true).slots(SLOTS);
        (capture, injector)
    }
}

#[cfg(feature = "xdp")]
impl Port<XdpCapture, XdpInjector> {
    /// Opens an AF_XDP capture of all queues of the interface of this name, in promiscuous mode,
    /// and an injector over the first of its sockets. The host no longer receives from the
    /// interface.
    ///
    /// To forward without a copy between two such interfaces, use [`XdpBridge`](super::XdpBridge).
    ///
    /// # Errors
    /// Those of [`XdpCapture::open`].
    pub fn xdp(interface: &str) -> Result<Self, Error> {
        let builder = XdpCapture::builder().interface(interface);
        let ring = crate::xdp::RingSize::new(RING)?;
        let (capture, injector) = builder.promiscuous(true).build_with_injector(ring)?;
        let facts = capture.interface().clone();
        Ok(Self::new(capture, injector).interface(&facts))
    }
}
