//! Bridge: frames between two interfaces, both ways, with a decision about each.

mod carry;
mod control;
mod frame;
mod lane;
mod port;
mod stats;
mod steps;
#[cfg(feature = "xdp")]
mod xdp;

use crate::wait::StopHandle;
use crate::{Error, PacketSink, PacketSource};
use carry::Carrier;
use control::Control;
use lane::Lane;

#[cfg(feature = "afpacket")]
use crate::{Capture, Injector, Interface};

pub use crate::outgoing::Refused;
pub use crate::wait::Step;
pub use frame::{Frame, Side, Verdict, Way};
pub use port::Port;
pub use stats::{BridgeDirectionStats, BridgeStats};
#[cfg(feature = "xdp")]
pub use xdp::XdpBridge;

/// Forwards frames between two ports, in both directions.
///
/// ```no_run
/// # #[cfg(feature = "afpacket")]
/// # fn main() -> Result<(), netring::Error> {
/// use netring::bridge::{Bridge, Verdict, Way};
/// use netring::{Filter, Matcher};
///
/// let telnet = Matcher::new(&"tcp dst port 23".parse::<Filter>()?)?;
/// let mut bridge = Bridge::open("eth0", "eth1")?;
/// bridge.run(|frame| match telnet.matches(frame.packet()) {
///     true if frame.way() == Way::AToB => Verdict::Drop,
///     _ => Verdict::Forward,
/// })?;
/// println!("{}", bridge.stats()?);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "afpacket"))]
/// # fn main() {}
/// ```
///
/// # What is forwarded
///
/// Every frame that arrives on one interface goes out of the other one, once, in order, with the
/// bytes that it had on the wire: a VLAN tag that the kernel removed is put back. The decision sees
/// the frame in the memory from which it is sent, and may change it there.
///
/// Frames that this host sends out of a bridged interface, those of the bridge among them, are left
/// alone. So nothing loops back, even if several bridges work on the same interfaces: each of them
/// then forwards every frame. The bridge does not detect cabling loops; there is no spanning tree.
/// Frames addressed to this host also reach its stack: give bridged interfaces no addresses, and do
/// not let the kernel route between them.
///
/// A stack on the same host, on the other end of a veth pair, leaves checksums and segmentation to
/// its interface. Ports of `Port::afpacket` pass that on: the frame is sent as it is, up to 64 KiB
/// long, with a request to the kernel to complete it if it goes to a wire. For other sinks
/// checksums are computed and packets cut into segments in software. A source that does not know
/// the state of checksums (AF_XDP) may deliver incomplete ones: the bridge recognises them by their
/// value, and computes them.
///
/// A frame that cannot be sent complete and correct is refused, and counted by reason
/// ([`Refused`]); a frame longer than the MTU of the other side is [too long](Refused::too_long),
/// as is one with segments that would be. The sender gets no message.
///
/// # If one side is slower
///
/// Each direction takes a batch in turn, so neither can starve the other. If the sink has no room,
/// the rest of the batch waits for it, and nothing more is taken from the source: its ring is the
/// queue, and counts its drops ([`BridgeDirectionStats::source`]).
///
/// # If something fails
///
/// While an interface is down, the bridge continues: frames that were not yet in its sink are
/// counted ([`BridgeDirectionStats::link_down`]) and dropped, and those in the sink are sent once
/// it is up. The removal of an interface ends the bridge, and the error names the side. If a
/// decision panics, the frame is [counted](BridgeDirectionStats::undecided), and the bridge can
/// resume with the next one.
#[derive(Debug)]
pub struct Bridge<A, B = A> {
    a: A,
    b: B,
    a_to_b: Lane,
    b_to_a: Lane,
    control: Control,
}

#[cfg(feature = "afpacket")]
impl Bridge<Port<Capture, Injector>> {
    /// Bridges two interfaces through packet sockets ([`Port::afpacket`]).
    ///
    /// # Errors
    /// The errors of [`Port::afpacket`]; [`Error::Config`] if both names refer to the same
    /// interface.
    pub fn open(a: &str, b: &str) -> Result<Self, Error> {
        // An interface may have several names.
        if Interface::by_name(a)?.index == Interface::by_name(b)?.index {
            return Err(same_interface(a, b));
        }
        Self::new(Port::afpacket(a)?, Port::afpacket(b)?)
    }
}

impl<S, K, T, L> Bridge<Port<S, K>, Port<T, L>>
where
    S: PacketSource,
    K: PacketSink,
    T: PacketSource,
    L: PacketSink,
{
    /// Bridges two ports, which may be of different kinds, and in different network namespaces.
    ///
    /// # Errors
    /// [`Error::Config`] if a sink still has other frames in flight; or the call that failed: the
    /// process has too many descriptors.
    pub fn new(mut a: Port<S, K>, mut b: Port<T, L>) -> Result<Self, Error> {
        let to_a = stats::before(&a.sink.stats()?)?;
        let to_b = stats::before(&b.sink.stats()?)?;
        let there = Carrier::new(Way::AToB, b.link_type, b.mtu);
        let back = Carrier::new(Way::BToA, a.link_type, a.mtu);
        Ok(Self {
            a_to_b: Lane::new(there, to_b),
            b_to_a: Lane::new(back, to_a),
            a,
            b,
            control: Control::new()?,
        })
    }

    /// The fate of all frames so far.
    ///
    /// # Errors
    /// The system call that reads the figures failed; the error names the side, which is then not
    /// [lost](Self::lost).
    pub fn stats(&mut self) -> Result<BridgeStats, Error> {
        let (a, b) = (&mut self.a, &mut self.b);
        let named = |way| move |failed| control::failure(way, failed);
        let a_to_b = self.a_to_b.stats(&mut a.source, &mut b.sink);
        let b_to_a = self.b_to_a.stats(&mut b.source, &mut a.sink);
        Ok(BridgeStats {
            a_to_b: a_to_b.map_err(named(Way::AToB))?,
            b_to_a: b_to_a.map_err(named(Way::BToA))?,
        })
    }
}

impl<A, B> Bridge<A, B> {
    /// A handle that stops the bridge from any thread: each of its runs then returns, and every
    /// later one returns at once. Frames that wait stay counted as waiting.
    pub fn stop_handle(&self) -> StopHandle {
        self.control.stop.clone()
    }

    /// The side whose failure ended the bridge, once it did.
    pub const fn lost(&self) -> Option<Side> {
        self.control.lost
    }

    /// The port of side A.
    pub const fn a(&self) -> &A {
        &self.a
    }

    /// The port of side B.
    pub const fn b(&self) -> &B {
        &self.b
    }

    /// Both ports. Frames that wait are lost.
    pub fn into_ports(self) -> (A, B) {
        (self.a, self.b)
    }
}

#[cfg(any(feature = "afpacket", feature = "xdp"))]
fn same_interface(a: &str, b: &str) -> Error {
    Error::Config {
        setting: "interface",
        why: format!("{a} and {b} are the same interface; a bridge needs two"),
    }
}
