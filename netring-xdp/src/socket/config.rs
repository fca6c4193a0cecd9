//! The configuration of a socket, and the settings that several builders share.

use std::time::Duration;

use netring_sys::{Error, Interface, Namespace};

use crate::options::{BusyPoll, CopyMode, RingSize};
use crate::permit::Needs;
use crate::waiting::moderation::Moderation;

/// Options that are the same for every socket of a builder.
#[derive(Clone, Debug)]
pub(crate) struct SocketOptions {
    pub(crate) copy_mode: CopyMode,
    pub(crate) need_wakeup: bool,
    pub(crate) multi_buffer: bool,
    pub(crate) busy_poll: Option<BusyPoll>,
    pub(crate) transmit_budget: Option<u32>,
    /// How long a wait lets packets gather.
    pub(crate) moderation: Duration,
    pub(crate) metadata: bool,
}

/// The complete configuration of a socket.
#[derive(Clone, Debug)]
pub(crate) struct SocketConfig {
    pub(crate) interface: String,
    /// `None`: the namespace of the thread.
    pub(crate) namespace: Option<Namespace>,
    pub(crate) queue: u32,
    /// `None`: the socket only sends.
    pub(crate) rx: Option<RingSize>,
    /// `None`: the socket only receives.
    pub(crate) tx: Option<RingSize>,
    /// `None`: as many as the socket has chunks for.
    pub(crate) fill: Option<RingSize>,
    pub(crate) completion: Option<RingSize>,
    pub(crate) receive_chunks: Option<u32>,
    pub(crate) transmit_chunks: Option<u32>,
    pub(crate) options: SocketOptions,
    /// A foreign program feeds the socket, so this process needs no permission to load one.
    pub(crate) fed_by_others: bool,
    /// Bytes of packet memory that are locked for this socket and those that are opened with it;
    /// `None`: its own.
    pub(crate) memory: Option<u64>,
}

/// The default of both the receive and the transmit ring.
const DEFAULT_RING: RingSize = RingSize::DEFAULT;
/// Chunks to receive in of a socket that only sends: Intel's drivers want some, and get them in
/// zero-copy mode only.
const CHUNKS_OF_A_SENDER: u32 = 64;

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            copy_mode: CopyMode::Best,
            need_wakeup: true,
            multi_buffer: false,
            busy_poll: None,
            transmit_budget: None,
            moderation: Duration::ZERO,
            metadata: false,
        }
    }
}

impl SocketOptions {
    /// How long a wait lets packets gather: zero with busy polling, because then the application's
    /// calls drive the interface.
    pub(crate) const fn moderation(&self) -> Moderation {
        match self.busy_poll {
            Some(_) => Moderation::new(Duration::ZERO),
            None => Moderation::new(self.moderation),
        }
    }
}

impl SocketConfig {
    pub(crate) fn new(interface: &str, queue: u32) -> Self {
        Self {
            interface: interface.to_owned(),
            namespace: None,
            queue,
            rx: Some(DEFAULT_RING),
            tx: Some(DEFAULT_RING),
            fill: None,
            completion: None,
            receive_chunks: None,
            transmit_chunks: None,
            options: SocketOptions::default(),
            fed_by_others: false,
            memory: None,
        }
    }

    /// The interface, looked up in the namespace.
    pub(crate) fn find_interface(&self) -> Result<Interface, Error> {
        match &self.namespace {
            Some(namespace) => Interface::by_name_in(namespace, &self.interface),
            None => Interface::by_name(&self.interface),
        }
    }

    /// The permissions that the process needs, with this many bytes of its own packet memory.
    pub(crate) fn needs(&self, own_memory: u64) -> Needs {
        Needs {
            program: self.rx.is_some() && !self.fed_by_others,
            net_admin: self.options.busy_poll.is_some(),
            memory: self.memory.unwrap_or(own_memory),
            namespace: self.namespace.is_some(),
        }
    }

    /// Chunks to receive in: by default as many as the receive ring has entries, because in copy
    /// mode each is in one of the two rings.
    pub(crate) fn receive_chunks(&self) -> u32 {
        let default = self.rx.map_or(CHUNKS_OF_A_SENDER, RingSize::entries);
        self.receive_chunks.unwrap_or(default)
    }

    pub(crate) fn transmit_chunks(&self) -> u32 {
        let default = self.tx.map_or(0, RingSize::entries);
        self.transmit_chunks.unwrap_or(default)
    }

    pub(crate) fn fill_ring(&self) -> RingSize {
        self.fill
            .unwrap_or_else(|| RingSize::for_entries(self.receive_chunks()))
    }

    /// By default as large as the transmit ring, because every entry of that one ends up here.
    pub(crate) fn completion_ring(&self) -> RingSize {
        let default = self.tx.map_or(1, RingSize::entries);
        self.completion
            .unwrap_or_else(|| RingSize::for_entries(default))
    }
}

/// Setters of a builder that stand for one field of [`SocketOptions`] each, so that each is written
/// and documented once. `self` and a path lead to the options.
macro_rules! option_setters {
    ($($path:tt).+ :) => {};
    ($($path:tt).+ : copy_mode $($rest:ident)*) => {
        /// Whether packets are copied between the driver's memory and the UMEM. Default:
        /// [`CopyMode::Best`](crate::CopyMode::Best). All sockets over one UMEM are in the mode of
        /// the first, and a socket that requests another mode is refused.
        #[doc(alias = "XDP_COPY")]
        #[doc(alias = "XDP_ZEROCOPY")]
        pub const fn copy_mode(mut self, copy_mode: $crate::CopyMode) -> Self {
            self.$($path).+.copy_mode = copy_mode;
            self
        }
        option_setters!($($path).+ : $($rest)*);
    };
    ($($path:tt).+ : need_wakeup $($rest:ident)*) => {
        /// Whether the kernel reports when it needs a system call (`XDP_USE_NEED_WAKEUP`, kernel
        /// 5.4), so that calls are made only then. Default: yes.
        #[doc(alias = "XDP_USE_NEED_WAKEUP")]
        pub const fn need_wakeup(mut self, need_wakeup: bool) -> Self {
            self.$($path).+.need_wakeup = need_wakeup;
            self
        }
        option_setters!($($path).+ : $($rest)*);
    };
    ($($path:tt).+ : busy_poll $($rest:ident)*) => {
        /// Lets the application's own calls drive the interface (kernel 5.11). Requires
        /// CAP_NET_ADMIN of the host. Default: no.
        #[doc(alias = "SO_PREFER_BUSY_POLL")]
        pub const fn busy_poll(mut self, busy_poll: $crate::BusyPoll) -> Self {
            self.$($path).+.busy_poll = Some(busy_poll);
            self
        }
        option_setters!($($path).+ : $($rest)*);
    };
    ($($path:tt).+ : transmit_budget $($rest:ident)*) => {
        /// How many frames the kernel sends in one call in copy mode: 32 to the size of the
        /// transmit ring (`XDP_MAX_TX_SKB_BUDGET`, kernel 6.17). Default: the size of the ring; on
        /// older kernels their fixed 32.
        #[doc(alias = "XDP_MAX_TX_SKB_BUDGET")]
        pub const fn transmit_budget(mut self, frames: u32) -> Self {
            self.$($path).+.transmit_budget = Some(frames);
            self
        }
        option_setters!($($path).+ : $($rest)*);
    };
    ($($path:tt).+ : moderation $($rest:ident)*) => {
        /// How long a blocking wait lets packets gather before it looks again, if they arrive
        /// faster than one in that time. Default: zero, which disables it: every packet ends a wait
        /// at once.
        ///
        /// With, say, 50 µs one wake-up brings many packets, as network cards moderate their
        /// interrupts (`ethtool -C eth0 rx-usecs 50`). The price is latency: the first packet
        /// waits for that time and for the slack of the kernel's timers (50 µs,
        /// `PR_SET_TIMERSLACK`). Slower packets are not delayed, nor are answers that are waited
        /// for one by one. A wait does not sleep if packets would fill more than a quarter of the
        /// ring meanwhile, nor beyond its timeout, nor with [`busy_poll`](Self::busy_poll). A
        /// runtime that polls the descriptor wakes its readers itself.
        #[doc(alias = "coalesce")]
        pub const fn moderation(mut self, interval: std::time::Duration) -> Self {
            self.$($path).+.moderation = interval;
            self
        }
        option_setters!($($path).+ : $($rest)*);
    };
}

pub(crate) use option_setters;
