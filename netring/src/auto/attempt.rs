//! The backends, and the outcome of trying them.

use std::fmt;
use std::str::FromStr;

use netring_sys::__event;

use crate::{Error, ParseError};

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

impl Backend {
    /// All backends, best first.
    pub const ALL: [Self; 4] = [
        Self::XdpZeroCopy,
        Self::XdpNative,
        Self::XdpGeneric,
        Self::AfPacket,
    ];

    /// Whether the packets that it captures no longer reach the host's own stack. True for AF_XDP,
    /// which takes packets off the interface; false for AF_PACKET, which copies them.
    pub const fn diverts(self) -> bool {
        !matches!(self, Self::AfPacket)
    }

    const fn mode(self) -> &'static str {
        match self {
            Self::XdpZeroCopy => "zero-copy",
            Self::XdpNative => "native",
            Self::XdpGeneric => "generic (skb)",
            Self::AfPacket => "AF_PACKET",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.diverts() { "AF_XDP " } else { "" };
        write!(f, "{family}{}", self.mode())
    }
}

/// Parses the displayed form of a backend.
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

/// The outcome for one backend, or for several that were rejected for the same reason.
///
/// ```no_run
/// use netring::auto;
///
/// let capture = auto::open("eth0")?;
/// for attempt in capture.attempts() {
///     println!("{attempt}");
/// }
/// # Ok::<(), netring::Error>(())
/// ```
#[derive(Debug)]
pub struct Attempt {
    /// At least one.
    pub(super) backends: Vec<Backend>,
    pub(super) why_not: Option<Error>,
    /// AF_XDP was opened, and a packet may take several chunks.
    pub(super) multi_buffer: bool,
}

impl Attempt {
    /// The backends that this is the outcome for, in the order in which they were tried.
    pub fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Why they were rejected; `None` for the one that was opened.
    pub const fn why_not(&self) -> Option<&Error> {
        self.why_not.as_ref()
    }

    /// Logs a rejected attempt; the opened backend logs itself.
    pub(super) fn log(&self, interface: &str) {
        if self.why_not.is_some() {
            __event!("auto", INFO, interface, attempt = %self, "backend rejected");
        }
    }

    /// Whether the reason holds for every AF_XDP backend: the capture may not divert packets, or
    /// the queue has a socket already. The next attempt would find it again, after waiting once
    /// more for the queue's release.
    pub(super) fn rules_out_xdp(&self) -> bool {
        match &self.why_not {
            Some(Error::Config { setting, .. }) => *setting == super::DIVERT,
            why_not => matches!(why_not, Some(Error::QueueBusy { .. })),
        }
    }
}

/// Writes the backends, and the reason with its causes.
impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut diverts = false;
        for (n, backend) in self.backends.iter().enumerate() {
            match n {
                0 => write!(f, "{backend}")?,
                _ if diverts => write!(f, ", {}", backend.mode())?,
                _ => write!(f, ", {backend}")?,
            }
            diverts = backend.diverts();
        }
        if let Some(error) = &self.why_not {
            return write!(f, ": {error:?}");
        }
        f.write_str(": opened")?;
        if self.multi_buffer {
            f.write_str(" with multi-buffer")?;
        }
        if diverts {
            f.write_str("; captured packets do not reach this host")?;
        }
        Ok(())
    }
}
