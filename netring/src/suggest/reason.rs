//! Why something is suggested.

use std::fmt;

use super::Goal;

/// A reason for a [`Suggestion`](super::Suggestion). `{}` prints it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// AF_PACKET: the program does not permit taking packets away from the host.
    DivertNotPermitted,
    /// AF_PACKET: a default route leads through the interface.
    DefaultRoute {
        /// The interface.
        interface: String,
    },
    /// AF_PACKET: whether a default route leads through the interface is unknown.
    DefaultRouteUnknown {
        /// The interface.
        interface: String,
    },
    /// AF_PACKET: the interface already has an XDP program.
    ProgramInTheWay {
        /// The interface.
        interface: String,
    },
    /// AF_PACKET: the driver's XDP support is unknown.
    XdpUnknown,
    /// AF_PACKET: the driver does not run XDP programs, or they may not redirect.
    NoNativeMode,
    /// AF_PACKET: packets may be longer than XDP can hold on this interface.
    LongPackets {
        /// The MTU, in bytes.
        mtu: u32,
    },
    /// AF_XDP: the card writes into the packet memory of the capture.
    ZeroCopy,
    /// AF_XDP: the driver runs XDP programs.
    NativeMode,
    /// One worker: there is one processor for it.
    OneProcessor,
    /// One worker: each further worker would need its own ring.
    RingOfEachWorker,
    /// The kernel shares the packets among one worker for each processor.
    Fanout {
        /// The processors.
        cores: u32,
    },
    /// There are enough queues for one worker for each processor.
    Queues {
        /// The receive queues.
        queues: u32,
        /// The processors.
        cores: u32,
    },
    /// There are fewer queues than processors, and each queue has one reader.
    FewQueues {
        /// The receive queues.
        queues: u32,
        /// The processors.
        cores: u32,
    },
    /// The profile follows from the program's needs.
    Goal(Goal),
    /// The profile follows from the speed of the link.
    FastLink {
        /// The speed, in Mbit/s.
        speed: u32,
    },
    /// The profile follows from the MTU.
    JumboFrames {
        /// The MTU, in bytes.
        mtu: u32,
    },
    /// Note: the interface joins packets as it receives them, up to 64 KiB.
    JoinedPackets {
        /// The feature that does it.
        feature: &'static str,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CUT_OFF: &str = "and AF_XDP could cut this host off; permit it with \
             `divert_default_route(true)`";
        match self {
            Self::DivertNotPermitted => f.write_str(
                "AF_XDP takes packets away from this host; permit it with `divert(true)`",
            ),
            Self::DefaultRoute { interface } => {
                write!(f, "a default route leads through {interface}, {CUT_OFF}")
            }
            Self::DefaultRouteUnknown { interface } => write!(
                f,
                "whether a default route leads through {interface} is unknown, {CUT_OFF}"
            ),
            Self::ProgramInTheWay { interface } => {
                write!(f, "{interface} already has an XDP program")
            }
            Self::XdpUnknown => f.write_str(
                "the driver's XDP support is unknown: finding out requires Linux 6.3 and netlink",
            ),
            Self::NoNativeMode => f.write_str(
                "the driver does not run XDP programs that redirect, and AF_XDP in generic mode \
                 is no better than AF_PACKET",
            ),
            Self::LongPackets { mtu } => write!(
                f,
                "with an MTU of {mtu} packets take several buffers, which the driver does not \
                 support for XDP"
            ),
            Self::ZeroCopy => f.write_str("the driver supports AF_XDP without copying"),
            Self::NativeMode => f.write_str("the driver runs XDP programs, and packets are copied"),
            Self::OneProcessor => f.write_str("one processor reads"),
            Self::RingOfEachWorker => f.write_str("each worker would need its own ring"),
            Self::Fanout { cores } => write!(
                f,
                "the kernel shares the packets among {cores} workers, each flow with one of them"
            ),
            Self::Queues { queues, cores } => {
                write!(f, "{cores} workers read {queues} receive queues")
            }
            Self::FewQueues { queues, cores } => write!(
                f,
                "a receive queue has one worker, and there are {queues} for {cores} processors"
            ),
            Self::Goal(Goal::Balanced) => f.write_str("moderate memory and few wake-ups"),
            Self::Goal(Goal::Throughput) => f.write_str("throughput is wanted"),
            Self::Goal(Goal::Latency) => f.write_str("low latency is wanted"),
            Self::Goal(Goal::Memory) => f.write_str("little memory is wanted"),
            Self::FastLink { speed } => write!(
                f,
                "a link of {speed} Mbit/s can bring more than a million packets a second"
            ),
            Self::JumboFrames { mtu } => write!(f, "the MTU is {mtu}"),
            Self::JoinedPackets { feature } => write!(
                f,
                "{feature} is on: packets may come joined, up to 64 KiB long"
            ),
        }
    }
}
