//! What can be asked of a socket, and what was reached.

use std::fmt;
use std::time::Duration;

use netring_sys::Error;

use crate::permit::Needs;
use crate::waiting::moderation::{self, Moderation};

/// Entries of a ring: a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize(u32);

impl RingSize {
    /// A ring of so many entries.
    ///
    /// ```
    /// use netring_xdp::RingSize;
    ///
    /// assert_eq!(RingSize::new(2048)?.entries(), 2048);
    /// let error = RingSize::new(1500).unwrap_err();
    /// assert!(error.to_string().ends_with("the next is 2048"), "{error}");
    /// # Ok::<(), netring_xdp::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`] for a number that is no power of two, or above 2³⁰.
    pub fn new(entries: u32) -> Result<Self, Error> {
        const MAX: u32 = 1 << 30;
        if entries.is_power_of_two() && entries <= MAX {
            return Ok(Self(entries));
        }
        Err(Error::Config {
            setting: "ring",
            why: format!(
                "{entries} entries: a ring has a power of two, from 1 to {MAX}; the next is {}",
                entries.min(MAX).next_power_of_two()
            ),
        })
    }

    /// How many entries it has.
    pub const fn entries(self) -> u32 {
        self.0
    }

    /// The smallest ring with room for so many.
    pub(crate) fn for_entries(entries: u32) -> Self {
        Self(entries.clamp(1, 1 << 30).next_power_of_two())
    }
}

/// Whether packets are copied between the driver's memory and the UMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyMode {
    /// Without a copy where the driver can, else with one; what was reached, and why it is not
    /// better, can be asked.
    #[default]
    Best,
    /// Without a copy, or not at all.
    #[doc(alias = "XDP_ZEROCOPY")]
    ZeroCopy,
    /// With a copy.
    #[doc(alias = "XDP_COPY")]
    Copy,
}

/// Whether the driver is asked what it knows of each packet: the VLAN tag that it took out of the
/// bytes, the hash of the flow, the card's time (kernel 6.3; VLAN tags 6.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverMetadata {
    /// It is not asked.
    No,
    /// It is asked where it can be, in native mode;
    /// [`XdpCapture::why_no_metadata`](crate::XdpCapture::why_no_metadata) tells why not.
    #[default]
    Try,
    /// It is asked, or nothing is opened.
    Require,
}

/// How packets come to a socket, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mode {
    /// The driver runs the program, and the card writes into the UMEM.
    ZeroCopy,
    /// The driver runs the program; packets are copied into the UMEM.
    NativeCopy,
    /// The kernel's stack runs the program; packets are copied into the UMEM.
    GenericCopy,
    /// Packets are copied into the UMEM; the program is somebody else's, and where it runs is not
    /// known.
    Copy,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroCopy => "zero-copy",
            Self::NativeCopy => "native, copy",
            Self::GenericCopy => "generic, copy",
            Self::Copy => "copy",
        })
    }
}

/// Busy polling: the application's own calls drive the interface, and its interrupts stay off
/// (kernel 5.11).
///
/// The interface's NAPI has to be told to stay quiet as well: `napi_defer_hard_irqs` and
/// `gro_flush_timeout` of the interface, which are the administrator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "SO_PREFER_BUSY_POLL")]
#[doc(alias = "SO_BUSY_POLL")]
#[doc(alias = "SO_BUSY_POLL_BUDGET")]
pub struct BusyPoll {
    /// How long one call polls at the most (`SO_BUSY_POLL`).
    pub time: Duration,
    /// How many packets one call takes at the most (`SO_BUSY_POLL_BUDGET`).
    pub budget: u16,
}

impl Default for BusyPoll {
    fn default() -> Self {
        Self {
            time: Duration::from_micros(20),
            budget: 64,
        }
    }
}

/// Everything that a socket is opened with.
#[derive(Clone, Debug)]
pub(crate) struct SocketConfig {
    pub(crate) interface: String,
    pub(crate) queue: u32,
    /// None: the socket only sends.
    pub(crate) rx: Option<RingSize>,
    /// None: the socket only receives.
    pub(crate) tx: Option<RingSize>,
    /// None: as many as the socket has chunks for.
    pub(crate) fill: Option<RingSize>,
    pub(crate) completion: Option<RingSize>,
    pub(crate) receive_chunks: Option<u32>,
    pub(crate) transmit_chunks: Option<u32>,
    pub(crate) copy_mode: CopyMode,
    pub(crate) need_wakeup: bool,
    pub(crate) multi_buffer: bool,
    pub(crate) busy_poll: Option<BusyPoll>,
    pub(crate) transmit_budget: Option<u32>,
    /// How long a wait lets packets gather.
    pub(crate) moderation: Duration,
    pub(crate) metadata: bool,
    /// A program that somebody else attached feeds it, so that this process needs not be allowed
    /// to.
    pub(crate) fed_by_others: bool,
    /// Bytes of packet memory that are locked for this socket and those that are opened with it;
    /// None: its own.
    pub(crate) memory: Option<u64>,
}

/// The default of both the receive and the transmit ring.
const DEFAULT_RING: RingSize = RingSize(2048);
/// Chunks that a socket which only sends has for packets to come: Intel's drivers want some, and
/// get them in zero-copy mode only.
const CHUNKS_OF_A_SENDER: u32 = 64;

impl SocketConfig {
    pub(crate) fn new(interface: &str, queue: u32) -> Self {
        Self {
            interface: interface.to_owned(),
            queue,
            rx: Some(DEFAULT_RING),
            tx: Some(DEFAULT_RING),
            fill: None,
            completion: None,
            receive_chunks: None,
            transmit_chunks: None,
            copy_mode: CopyMode::Best,
            need_wakeup: true,
            multi_buffer: false,
            busy_poll: None,
            transmit_budget: None,
            moderation: moderation::DEFAULT,
            metadata: false,
            fed_by_others: false,
            memory: None,
        }
    }

    /// What the process has to be allowed, with so many bytes of packet memory of its own.
    pub(crate) fn needs(&self, own_memory: u64) -> Needs {
        Needs {
            program: self.rx.is_some() && !self.fed_by_others,
            net_admin: self.busy_poll.is_some(),
            memory: self.memory.unwrap_or(own_memory),
        }
    }

    /// Chunks for packets to come: as many as the receive ring holds, unless asked for, for in copy
    /// mode each is in one of the two.
    pub(crate) fn receive_chunks(&self) -> u32 {
        let wanted = self.rx.map_or(CHUNKS_OF_A_SENDER, |ring| ring.entries());
        self.receive_chunks.unwrap_or(wanted)
    }

    /// How long a wait lets packets gather: not at all where the interface is driven by the
    /// application's calls.
    pub(crate) const fn moderation(&self) -> Moderation {
        match self.busy_poll {
            Some(_) => Moderation::new(Duration::ZERO),
            None => Moderation::new(self.moderation),
        }
    }

    pub(crate) fn transmit_chunks(&self) -> u32 {
        let wanted = self.tx.map_or(0, |ring| ring.entries());
        self.transmit_chunks.unwrap_or(wanted)
    }

    pub(crate) fn fill_ring(&self) -> RingSize {
        self.fill
            .unwrap_or_else(|| RingSize::for_entries(self.receive_chunks()))
    }

    /// At least as large as the transmit ring: what is in there comes out here.
    pub(crate) fn completion_ring(&self) -> RingSize {
        let wanted = self.tx.map_or(1, |ring| ring.entries());
        self.completion
            .unwrap_or_else(|| RingSize::for_entries(wanted))
    }
}
