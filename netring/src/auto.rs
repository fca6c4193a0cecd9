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
//! prints, as root on a veth interface:
//!
//! ```text
//! AF_XDP zero-copy: bind(AF_XDP) failed: Operation not supported (os error 95)
//! AF_XDP native: opened
//! ```
//!
//! [`Backend`] lists the backends in the order in which they are tried. An [`AutoCapture`] is a
//! source like any other: flows, streams and broadcasts work over it.
//!
//! # How the backends differ
//!
//! Every backend delivers incoming packets only, and none that this host sends. Use an interface
//! that is dedicated to capturing:
//!
//! - AF_XDP takes packets off the interface, so the host's own stack no longer sees them;
//!   AF_PACKET copies them. On the interface that you are logged in through, request
//!   [`Backend::AfPacket`] only ([`Builder::backends`]), or use a [`Capture`].
//! - With AF_PACKET a VLAN tag is always beside the bytes ([`Meta::vlan`](crate::Meta::vlan)).
//!   With AF_XDP it is beside them if the card or the sending stack moved it there before the
//!   XDP program ran, and otherwise in the bytes. In generic mode AF_XDP cannot see a tag that is
//!   beside the bytes: [`XdpCapture::why_no_metadata`].
//! - A [filter](Builder::filter) therefore sees the bytes behind the tag with AF_PACKET, and with
//!   AF_XDP the tag itself if it is in the bytes.
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
//! A backend that cannot hold every packet the interface can bring is not opened. AF_XDP is opened
//! with multi-buffer
//! ([`CaptureBuilder::multi_buffer`](netring_xdp::CaptureBuilder::multi_buffer), kernel 6.6) if
//! the MTU does not fit into a chunk, and always in generic mode; the [`Attempt`] says so. If
//! multi-buffer is not available, the backend is rejected and the attempt says why. In native
//! mode, raising the MTU after the capture was opened can bring packets that do not fit; they are
//! counted as dropped ([`XdpCapture::longest`]).

mod capture;
mod none;

use std::fmt;
use std::str::FromStr;

use netring_xdp::program::AttachMode;
use netring_xdp::{CopyMode, XdpCapture};

use crate::{Capture, Error, Filter, Interface, ParseError, Profile};

pub use capture::{AutoCapture, Batch};
pub use none::NoBackend;

/// Opens the interface of this name with the best available backend.
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
        profile: Profile::Default,
        promiscuous: false,
        rx_hash: false,
        filter: None,
        backends: Backend::ALL.to_vec(),
    }
}

/// The ways to capture from an interface, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// AF_XDP zero-copy: the card writes into the packet memory of the capture.
    XdpZeroCopy,
    /// AF_XDP native: the driver runs the XDP program, and packets are copied.
    XdpNative,
    /// AF_XDP generic (skb): the kernel's stack runs the XDP program, and packets are copied.
    XdpGeneric,
    /// AF_PACKET: a TPACKET_V3 ring.
    AfPacket,
}

/// The settings of an [`AutoCapture`], from [`builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct Builder {
    interface: String,
    profile: Profile,
    promiscuous: bool,
    rx_hash: bool,
    filter: Option<Filter>,
    backends: Vec<Backend>,
}

/// The outcome of trying one backend.
#[derive(Debug)]
pub struct Attempt {
    backend: Backend,
    why_not: Option<Error>,
    /// AF_XDP was opened, and a packet may take several chunks.
    multi_buffer: bool,
}

impl Backend {
    /// All backends, best first.
    pub const ALL: [Self; 4] = [
        Self::XdpZeroCopy,
        Self::XdpNative,
        Self::XdpGeneric,
        Self::AfPacket,
    ];
}

impl Builder {
    /// The name of the interface, in the network namespace of the thread that calls
    /// [`build`](Self::build). Required.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self
    }

    /// The purpose that the rings are sized for. Default: [`Profile::Default`]. For the sizes see
    /// [`afpacket::CaptureBuilder::profile`](crate::afpacket::CaptureBuilder::profile) and
    /// [`xdp::CaptureBuilder::profile`](crate::xdp::CaptureBuilder::profile).
    pub const fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Whether packets carry the hash of their flow ([`Meta::rx_hash`](crate::Meta::rx_hash)), with
    /// any backend. Default: no. If the card supplies none the kernel computes it for each packet.
    /// AF_XDP reports it only if the driver supports XDP metadata, and never in generic mode
    /// ([`XdpCapture::why_no_metadata`]). AF_PACKET cannot with [`Profile::Immediate`].
    pub const fn rx_hash(mut self, rx_hash: bool) -> Self {
        self.rx_hash = rx_hash;
        self
    }

    /// Whether to receive packets addressed to other hosts too, with any backend. Default: no.
    pub const fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// A classic BPF [`Filter`]: packets for which it returns 0 are rejected, with any backend.
    /// Default: all packets.
    ///
    /// A backend that cannot express the program is not opened: AF_XDP sees only the bytes of a
    /// packet ([`Redirect::filter`](netring_xdp::program::Redirect::filter)). Packets that AF_XDP
    /// rejects go to the host's own stack.
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// The backends to try, in this order. Default: [`Backend::ALL`]. Omit
    /// [`Backend::XdpGeneric`] if AF_PACKET suits your program better than AF_XDP in generic mode.
    pub fn backends(mut self, backends: impl IntoIterator<Item = Backend>) -> Self {
        self.backends = backends.into_iter().collect();
        self
    }

    /// Opens the first backend that is available.
    ///
    /// # Errors
    /// Returns [`Error::NoSuchInterface`]; an [`Error::Source`] that is a [`NoBackend`], with the
    /// reason for each backend; the reason itself if only one backend was to be tried; or
    /// [`Error::Config`] if none was.
    pub fn build(self) -> Result<AutoCapture, Error> {
        // No backend can fix a wrong name, so report it first.
        Interface::by_name(&self.interface)?;
        let mut attempts: Vec<Attempt> = Vec::new();
        for &backend in &self.backends {
            let opened = match taken(&attempts) {
                Some(error) if backend != Backend::AfPacket => Err(error),
                _ => self.open(backend),
            };
            let (source, why_not) = match opened {
                Ok(source) => (Some(source), None),
                Err(error) => (None, Some(error)),
            };
            let multi_buffer =
                matches!(&source, Some(capture::Source::Xdp(xdp)) if xdp.longest().is_none());
            attempts.push(Attempt {
                backend,
                why_not,
                multi_buffer,
            });
            if let Some(source) = source {
                return Ok(AutoCapture::new(source, backend, attempts));
            }
        }
        Err(NoBackend { attempts }.into_error(self.interface))
    }

    fn open(&self, backend: Backend) -> Result<capture::Source, Error> {
        let xdp = |mode, copying| {
            let builder = XdpCapture::builder().interface(&self.interface);
            let builder = builder.promiscuous(self.promiscuous);
            let builder = builder.profile(self.profile).rx_hash(self.rx_hash);
            let builder = builder.attach_mode(mode).copy_mode(copying);
            // The MTU does not bound what generic mode delivers. In native mode it does, and the
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

/// Returns the error of an attempt that found an AF_XDP socket on the queue. Every other AF_XDP
/// backend would find it too, after waiting once more for its release.
fn taken(attempts: &[Attempt]) -> Option<Error> {
    attempts
        .iter()
        .find_map(|attempt| match attempt.why_not()? {
            Error::QueueBusy { interface, queue } => Some(Error::QueueBusy {
                interface: interface.clone(),
                queue: *queue,
            }),
            _ => None,
        })
}

impl Attempt {
    /// The backend that was tried.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Why the backend was rejected; `None` for the one that was opened.
    pub const fn why_not(&self) -> Option<&Error> {
        self.why_not.as_ref()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XdpZeroCopy => "AF_XDP zero-copy",
            Self::XdpNative => "AF_XDP native",
            Self::XdpGeneric => "AF_XDP generic (skb)",
            Self::AfPacket => "AF_PACKET",
        })
    }
}

/// Reads what a backend is displayed as.
///
/// ```
/// use netring::auto::Backend;
///
/// for backend in Backend::ALL {
///     assert_eq!(backend.to_string().parse(), Ok(backend));
/// }
/// assert!("AF_XDP".parse::<Backend>().is_err());
/// ```
impl FromStr for Backend {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut all = Self::ALL.into_iter();
        all.find(|backend| backend.to_string() == text)
            .ok_or_else(|| ParseError::new(text, "backend", "AF_PACKET"))
    }
}

/// Writes the backend, and the reason with its causes.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why_not {
            None if self.multi_buffer => write!(f, "{}: opened with multi-buffer", self.backend),
            None => write!(f, "{}: opened", self.backend),
            Some(error) => write!(f, "{}: {error:?}", self.backend),
        }
    }
}
