//! The best backend that an interface and this machine give, and why each better one was not had.
//!
//! ```no_run
//! use netring::PacketBatch;
//! use std::time::Duration;
//!
//! let mut capture = netring::auto::open("eth0")?;
//! for attempt in capture.attempts() {
//!     println!("{attempt}");
//! }
//! while let Some(batch) = capture.next_batch(Duration::from_secs(1))? {
//!     println!("{} packets", batch.packets().count());
//! }
//! # Ok::<(), netring::Error>(())
//! ```
//!
//! prints, as root on a veth interface:
//!
//! ```text
//! AF_XDP without a copy: bind(AF_XDP) failed: Operation not supported (os error 95)
//! AF_XDP in the driver: opened
//! ```
//!
//! [`Backend`] has the order. An [`AutoCapture`] is a source like the others: flows, streams and broadcasts work over it.
//!
//! # What is the same in each, and what is not
//!
//! Each gives the packets that come in, and not those that this host sends. Give it an interface that is there to be captured from:
//!
//! - AF_XDP takes packets off the interface, and the host's own stack does not see them any more; AF_PACKET copies them. On the
//!   interface that one is logged in through, ask for [`Backend::AfPacket`] only ([`Builder::backends`]), or for a
//!   [`Capture`].
//! - AF_PACKET has a VLAN tag beside the bytes always ([`Meta::vlan`](crate::Meta::vlan)), AF_XDP where it was taken out of them before its program
//!   ran, by the card or the sending stack; else it is in the bytes. In the kernel's stack AF_XDP cannot see a tag beside the bytes:
//!   [`XdpCapture::why_no_metadata`].
//! - So a [filter](Builder::filter) sees what is behind the tag by AF_PACKET, and by AF_XDP the tag where it is in the bytes.
//! - Offloads put packets of a connection together, up to 64 KiB (512 KiB with BIG TCP). AF_PACKET shows them in one piece, as does AF_XDP in
//!   the kernel's stack; a driver that runs a program brings them as they are on the wire.
//! - A checksum that the sending stack left to its interface, as on veth and `lo`, is [`Partial`](crate::Checksum::Partial) by AF_PACKET, and
//!   [`Unknown`](crate::Checksum::Unknown) by AF_XDP, which brings nothing but bytes: it is not right in either, so do not verify it there.
//!
//! # Room
//! A backend that cannot hold what the interface can bring is not opened. AF_XDP is opened with multi-buffer
//! ([`CaptureBuilder::multi_buffer`](netring_xdp::CaptureBuilder::multi_buffer), kernel 6.6) if the MTU is larger than a chunk, and always in the kernel's stack; the
//! [`Attempt`] says so. If that cannot be, the backend is passed over, and the attempt says why. An MTU that is raised after the
//! capture was opened can bring more than fits in the driver: such packets are counted as dropped
//! ([`XdpCapture::longest`]).

mod capture;

use std::fmt;

use netring_xdp::program::AttachMode;
use netring_xdp::{Copying, XdpCapture};

use crate::{Capture, Error, Filter, Interface, NoBackend, Refusal};

pub use capture::{AutoCapture, Batch};

/// Opens the interface of this name by the best backend there is.
///
/// # Errors
/// [`Error::NoSuchInterface`], or [`Error::NoBackend`] with why each of the backends cannot be had.
pub fn open(interface: &str) -> Result<AutoCapture, Error> {
    builder().interface(interface).build()
}

/// Settings to open a capture with.
pub fn builder() -> Builder {
    Builder {
        interface: String::new(),
        promiscuous: false,
        filter: None,
        backends: Backend::ALL.to_vec(),
    }
}

/// The ways to capture from an interface, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// AF_XDP, where the card writes into the packet memory of the capture.
    XdpZeroCopy,
    /// AF_XDP, where the driver runs the program and packets are copied.
    XdpNative,
    /// AF_XDP, where the kernel's stack runs the program and packets are copied.
    XdpGeneric,
    /// AF_PACKET: a TPACKET_V3 ring.
    AfPacket,
}

/// The settings of an [`AutoCapture`], from [`builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `build`"]
pub struct Builder {
    interface: String,
    promiscuous: bool,
    filter: Option<Filter>,
    backends: Vec<Backend>,
}

/// What became of one backend.
#[derive(Debug)]
pub struct Attempt {
    backend: Backend,
    why_not: Option<Error>,
    /// It was opened by AF_XDP, and a packet may take several chunks.
    multi_buffer: bool,
}

impl Backend {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [
        Self::XdpZeroCopy,
        Self::XdpNative,
        Self::XdpGeneric,
        Self::AfPacket,
    ];
}

impl Builder {
    /// The name of the interface, in the network namespace of the thread that calls [`build`](Self::build). Must be given.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = name.into();
        self
    }

    /// Whether packets to other hosts are received too, whatever the backend. Default: no.
    pub const fn promiscuous(mut self, promiscuous: bool) -> Self {
        self.promiscuous = promiscuous;
        self
    }

    /// A classic BPF [`Filter`]: packets for which it returns 0 are left out, whatever the backend.
    /// Default: all packets.
    ///
    /// A backend that cannot run it is passed over: AF_XDP knows nothing but the bytes of a packet
    /// ([`Redirect::filter`](netring_xdp::program::Redirect::filter)). What AF_XDP leaves out goes to
    /// the host's own stack.
    pub fn filter(mut self, filter: impl Into<Filter>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Which backends are tried, in this order. Default: [`Backend::ALL`]. A program that is better off with AF_PACKET than with AF_XDP
    /// in generic mode leaves that out.
    pub fn backends(mut self, backends: impl IntoIterator<Item = Backend>) -> Self {
        self.backends = backends.into_iter().collect();
        self
    }

    /// Opens the first backend that can be had.
    ///
    /// # Errors
    /// As [`open`]; where one backend only is to be tried, why it cannot be had; and [`Error::Config`] where none is.
    pub fn build(self) -> Result<AutoCapture, Error> {
        // What no backend can mend is told at once.
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
        Err(self.none(attempts))
    }

    fn none(self, attempts: Vec<Attempt>) -> Error {
        let mut tried: Vec<Refusal> = attempts
            .into_iter()
            .filter_map(|attempt| {
                let backend = attempt.backend.to_string();
                attempt.why_not.map(|why| Refusal { backend, why })
            })
            .collect();
        match tried.len() {
            0 => Error::Config {
                setting: "backends",
                why: "none is to be tried; name one at the least".into(),
            },
            1 => tried.remove(0).why,
            _ => Error::NoBackend(NoBackend {
                interface: self.interface,
                tried,
            }),
        }
    }

    fn open(&self, backend: Backend) -> Result<capture::Source, Error> {
        let xdp = |mode, copying| {
            let builder = XdpCapture::builder().interface(&self.interface);
            let builder = builder.promiscuous(self.promiscuous);
            let builder = builder.attach_mode(mode).copying(copying);
            // What the stack's own program sees is not bounded by the MTU; in the driver the capture decides by that.
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
            Backend::XdpZeroCopy => xdp(AttachMode::Native, Copying::ZeroCopy),
            Backend::XdpNative => xdp(AttachMode::Native, Copying::Copy),
            Backend::XdpGeneric => xdp(AttachMode::Generic, Copying::Copy),
            Backend::AfPacket => {
                let builder = Capture::builder().interface(&self.interface);
                let builder = builder.promiscuous(self.promiscuous);
                // As with AF_XDP: what comes in, and nothing else.
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

/// That a queue has an AF_XDP socket already, where one of these found it so: each way of AF_XDP would, and it is waited for only once
/// whether it is let go of.
fn taken(attempts: &[Attempt]) -> Option<Error> {
    attempts
        .iter()
        .find_map(|attempt| match attempt.why_not()? {
            Error::Config {
                setting: setting @ "queue",
                why,
            } => Some(Error::Config {
                setting,
                why: why.clone(),
            }),
            _ => None,
        })
}

impl Attempt {
    /// The backend that was tried.
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// Why it cannot be had; `None` for the one that was opened.
    pub const fn why_not(&self) -> Option<&Error> {
        self.why_not.as_ref()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XdpZeroCopy => "AF_XDP without a copy",
            Self::XdpNative => "AF_XDP in the driver",
            Self::XdpGeneric => "AF_XDP in the kernel's stack",
            Self::AfPacket => "AF_PACKET",
        })
    }
}

/// The backend, and the reason with its causes.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why_not {
            None if self.multi_buffer => write!(f, "{}: opened with multi-buffer", self.backend),
            None => write!(f, "{}: opened", self.backend),
            Some(error) => write!(f, "{}: {}", self.backend, error.with_causes()),
        }
    }
}
