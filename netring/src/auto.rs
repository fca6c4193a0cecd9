//! Automatic backend selection, with the reason each better backend was rejected.
//!
//! ```no_run
//! use netring::{PacketBatch, PacketSource};
//!
//! let mut capture = netring::auto::open("eth0")?;
//! for attempt in capture.attempts() {
//!     println!("{attempt}");
//! }
//! while let Some(batch) = capture.next_batch()? {
//!     println!("{} packets", batch.packets().count());
//! }
//! # Ok::<(), netring::Error>(())
//! ```
//!
//! prints (the first line is wrapped here)
//!
//! ```text
//! AF_XDP zero-copy, native, generic (skb): divert: AF_XDP takes packets away from
//! this host; permit it with `divert(true)`
//! AF_PACKET: opened
//! ```
//!
//! [`Backend`] lists the backends in the order in which they are tried. An [`AutoCapture`] is a
//! source like any other: flows, streams and broadcasts work over it.
//!
//! # Observing and diverting
//!
//! By default a capture only observes: packets still reach the host. AF_XDP cannot do that. It
//! takes packets off the interface, so connections over it break while the capture is open. On an
//! interface that is dedicated to capturing, permit it:
//!
//! ```no_run
//! let builder = netring::auto::builder().interface("eth1");
//! let capture = builder.divert(true).build()?;
//! # Ok::<(), netring::Error>(())
//! ```
//!
//! As root on a veth interface the attempts then read
//!
//! ```text
//! AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)
//! AF_XDP native: opened; captured packets do not reach this host
//! ```
//!
//! Even so, AF_XDP is not used on an interface with a default route, through which this host may be
//! reached; that also requires [`Builder::divert_default_route`].
//!
//! # How the backends differ
//!
//! Every backend delivers incoming packets only, never those that this host sends.
//!
//! - With AF_PACKET a VLAN tag is always in the metadata ([`Meta::vlan`](crate::Meta::vlan)). With
//!   AF_XDP it is there if the card or the sending stack moved it out of the bytes before the XDP
//!   program ran, and otherwise in the bytes. In generic mode AF_XDP cannot see a tag in the
//!   metadata: [`XdpCapture::why_no_metadata`].
//! - A [filter](Builder::filter) expression means the same with all of them, except that AF_XDP
//!   treats a packet as untagged if it cannot see the tag in the metadata. A classic BPF program
//!   sees the bytes as they are: without the tag with AF_PACKET, and with AF_XDP including a tag
//!   that is in the bytes.
//! - Offloads merge packets of a connection into one of up to 64 KiB (512 KiB with BIG TCP).
//!   AF_PACKET and AF_XDP in generic mode deliver it in one piece; in native mode packets are as
//!   they were on the wire.
//! - A checksum that the sending stack left to its interface, as on veth and `lo`, is
//!   [`Partial`](crate::Checksum::Partial) with AF_PACKET and
//!   [`Unknown`](crate::Checksum::Unknown) with AF_XDP, which delivers only bytes. It is wrong
//!   in the bytes with both, so do not verify it there.
//!
//! # Room for every packet
//!
//! A backend that cannot hold every packet the interface may receive is not opened. AF_XDP is
//! opened with multi-buffer
//! ([`CaptureBuilder::multi_buffer`](netring_xdp::CaptureBuilder::multi_buffer), kernel 6.6) if the
//! MTU does not fit into a chunk, and always in generic mode; the [`Attempt`] says so. If
//! multi-buffer is not available, the backend is rejected and the attempt says why. In native mode,
//! raising the MTU after the capture was opened can bring packets that do not fit; they are counted
//! as dropped ([`XdpCapture::longest`]).

mod attempt;
mod capture;
mod none;

use netring_xdp::program::AttachMode;
use netring_xdp::{CopyMode, XdpCapture};

use crate::{Capture, Error, Filter, Interface, Namespace, Profile};

pub use attempt::{Attempt, Backend};
pub use capture::{AutoCapture, Batch};
pub use none::NoBackend;

/// The setting that permits AF_XDP, as errors name it.
const DIVERT: &str = "divert";

/// Opens the interface of this name with the best available backend that lets packets reach the
/// host, which is AF_PACKET. [`Builder::divert`] permits AF_XDP.
///
/// # Errors
/// Returns [`Error::NoSuchInterface`], or an [`Error::Source`] that is a [`NoBackend`], with the
/// reason for each backend.
pub fn open(interface: &str) -> Result<AutoCapture, Error> {
    builder().interface(interface).build()
}

/// Returns the default settings.
pub fn builder() -> Builder {
    Builder {
        interface: String::new(),
        namespace: None,
        profile: Profile::Default,
        promiscuous: false,
        rx_hash: false,
        filter: None,
        divert: false,
        divert_default_route: false,
        backends: Backend::ALL.to_vec(),
    }
}

/// The settings of an [`AutoCapture`], from [`builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct Builder {
    interface: String,
    namespace: Option<Namespace>,
    profile: Profile,
    promiscuous: bool,
    rx_hash: bool,
    filter: Option<Filter>,
    divert: bool,
    divert_default_route: bool,
    backends: Vec<Backend>,
}

impl Builder {
    /// The name of the interface, in the network namespace of the thread that calls
    /// [`build`](Self::build), or in the given [namespace](Self::namespace). Required.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self
    }

    /// Captures in this network namespace, with any backend. Default: that of the thread that calls
    /// [`build`](Self::build), whose own namespace never changes. Requires CAP_SYS_ADMIN unless the
    /// thread is already in the namespace.
    #[doc(alias = "setns")]
    pub fn namespace(mut self, namespace: impl Into<Option<Namespace>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The purpose that the rings are sized for. Default: [`Profile::Default`]. With AF_PACKET see
    /// [`CaptureBuilder::profile`](crate::afpacket::CaptureBuilder::profile) for the sizes.
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Whether packets carry the hash of their flow ([`Meta::rx_hash`](crate::Meta::rx_hash)), with
    /// any backend. Default: no. If the card supplies none, the kernel computes it for each packet.
    /// AF_XDP reports it only if the driver supports XDP metadata, and never in generic mode
    /// ([`XdpCapture::why_no_metadata`]). AF_PACKET cannot with [`Profile::Immediate`].
    pub const fn rx_hash(mut self, rx_hash: bool) -> Self {
        self.rx_hash = rx_hash;
        self
    }

    /// Whether to also receive packets addressed to other hosts, with any backend. Default: no.
    pub const fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// Which packets to take, with any backend: a [`Filter`], from text
    /// (`"tcp port 443".parse::<Filter>()?`), typed parts ([`Expr`](crate::filter::Expr)) or a
    /// classic BPF program. Default: all packets.
    ///
    /// A backend that cannot express it is not opened: AF_XDP sees only the bytes of a packet
    /// ([`Redirect::filter`](netring_xdp::program::Redirect::filter)). Packets that AF_XDP rejects
    /// go to the host's own stack.
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Whether to permit backends that take captured packets away from this host: AF_XDP
    /// ([`Backend::diverts`]). Default: no. Connections over the interface break while the capture
    /// is open; with a [`filter`](Self::filter), only those that it selects.
    ///
    /// An interface with a default route also requires
    /// [`divert_default_route`](Self::divert_default_route).
    pub const fn divert(mut self, divert: bool) -> Self {
        self.divert = divert;
        self
    }

    /// Whether [`divert`](Self::divert) also applies to an interface with a default route in its
    /// network namespace (IPv4 or IPv6), directly or by a bridge, bond or VLAN on it. Default: no.
    /// If this host is reached through the interface, the capture cuts it off.
    pub const fn divert_default_route(mut self, divert: bool) -> Self {
        self.divert_default_route = divert;
        self
    }

    /// The backends to try, in this order. Default: [`Backend::ALL`]; those of AF_XDP also need
    /// [`divert`](Self::divert). Omit [`Backend::XdpGeneric`] if AF_PACKET suits your program
    /// better than AF_XDP in generic mode.
    pub fn backends(mut self, backends: impl IntoIterator<Item = Backend>) -> Self {
        self.backends = backends.into_iter().collect();
        self
    }

    /// Opens the first backend that is available.
    ///
    /// # Errors
    /// Returns [`Error::NoSuchInterface`]; an [`Error::Source`] that is a [`NoBackend`], with the
    /// reason for each backend; the reason itself if only one backend was given; or
    /// [`Error::Config`] if none was.
    pub fn build(self) -> Result<AutoCapture, Error> {
        // No backend can fix a wrong name, so report it first.
        let interface = match &self.namespace {
            Some(namespace) => Interface::by_name_in(namespace, &self.interface)?,
            None => Interface::by_name(&self.interface)?,
        };
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut diverting = self.backends.iter().filter(|backend| backend.diverts());
        let mut refusal = diverting
            .next()
            .and_then(|_| self.may_divert(&interface).err());
        for &backend in &self.backends {
            let known = attempts.iter_mut().find(|attempt| attempt.rules_out_xdp());
            if let Some(known) = known.filter(|_| backend.diverts()) {
                known.backends.push(backend);
                continue;
            }
            let opened = match refusal.take_if(|_| backend.diverts()) {
                Some(refusal) => Err(refusal),
                None => self.open(backend),
            };
            match opened {
                Ok(source) => {
                    attempts.push(Attempt {
                        backends: vec![backend],
                        why_not: None,
                        multi_buffer: source.is_multi_buffer(),
                    });
                    attempts.iter().for_each(|it| it.log(&self.interface));
                    return Ok(AutoCapture::new(source, backend, attempts));
                }
                Err(error) => reject(&mut attempts, backend, error),
            }
        }
        attempts.iter().for_each(|it| it.log(&self.interface));
        Err(NoBackend { attempts }.into_error(self.interface))
    }

    /// Whether a backend may take packets away from this host.
    fn may_divert(&self, interface: &Interface) -> Result<(), Error> {
        let why = if !self.divert {
            "AF_XDP takes packets away from this host; permit it with `divert(true)`".into()
        } else if self.divert_default_route {
            return Ok(());
        } else {
            let name = &self.interface;
            let why = match interface.carries_default_route() {
                Ok(false) => return Ok(()),
                Ok(true) => format!("a default route leads through {name}"),
                Err(error) => {
                    format!("whether a default route leads through {name} is unknown ({error})")
                }
            };
            format!(
                "{why}, and AF_XDP could cut this host off; permit it with `divert_default_route(true)`"
            )
        };
        let setting = DIVERT;
        Err(Error::Config { setting, why })
    }

    fn open(&self, backend: Backend) -> Result<capture::Source, Error> {
        let xdp = |mode, copying| {
            let builder = XdpCapture::builder().interface(&self.interface);
            let builder = builder.namespace(self.namespace.clone());
            let builder = builder.promiscuous(self.promiscuous);
            let builder = builder.profile(self.profile).rx_hash(self.rx_hash);
            let builder = builder.attach_mode(mode).copy_mode(copying);
            // The MTU does not bound the packets of generic mode. In native mode it does, and the
            // capture decides by it.
            let builder = match mode {
                AttachMode::Generic => builder.multi_buffer(true),
                _ => builder,
            };
            let capture = match &self.filter {
                Some(filter) => builder.filter(filter).build(),
                None => builder.build(),
            };
            capture.map(capture::Source::Xdp)
        };
        match backend {
            Backend::XdpZeroCopy => xdp(AttachMode::Native, CopyMode::ZeroCopy),
            Backend::XdpNative => xdp(AttachMode::Native, CopyMode::Copy),
            Backend::XdpGeneric => xdp(AttachMode::Generic, CopyMode::Copy),
            Backend::AfPacket => {
                let builder = Capture::builder().interface(&self.interface);
                let builder = builder.namespace(self.namespace.clone());
                let builder = builder.profile(self.profile).rx_hash(self.rx_hash);
                let builder = builder.promiscuous(self.promiscuous);
                // As with AF_XDP: incoming packets only.
                let builder = builder.ignore_outgoing(true);
                let capture = match &self.filter {
                    Some(filter) => builder.filter(filter).build(),
                    None => builder.build(),
                };
                capture.map(capture::Source::AfPacket)
            }
        }
    }
}

/// Adds a backend to the attempt that was rejected for the same reason, or an attempt for it.
fn reject(attempts: &mut Vec<Attempt>, backend: Backend, error: Error) {
    let text = format!("{error:?}");
    let same = |attempt: &&mut Attempt| {
        let other = attempt.why_not.as_ref();
        other.is_some_and(|other| format!("{other:?}") == text)
    };
    match attempts.iter_mut().find(same) {
        Some(attempt) => attempt.backends.push(backend),
        None => attempts.push(Attempt {
            backends: vec![backend],
            why_not: Some(error),
            multi_buffer: false,
        }),
    }
}
