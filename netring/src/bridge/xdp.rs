//! A bridge over AF_XDP sockets that share packet memory: nothing is copied.

mod lane;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netring_sys::Memberships;

use super::control::{Control, failure};
use super::frame::{Side, Verdict, Way};
use super::stats::BridgeStats;
use super::steps::Run;
use crate::wait::{self, Step, StopHandle, Waiter};
use crate::xdp::program::{AttachMode, Attachment, Program};
use crate::xdp::{Receiver, Transmitter, Umem, UmemConfig};
use crate::{Error, Interface, Membership, XdpMode, XdpSocket};
use lane::Lane;

/// Entries of the rings of a socket, and its chunks to receive in.
const ENTRIES: u32 = 2048;
/// Chunks of a socket to send from: a bridge sends from those in which it received.
const SPARE: u32 = 1;

/// Forwards frames between two interfaces through AF_XDP sockets over one packet memory, in both
/// directions: each is sent from where it was received.
///
/// ```no_run
/// use netring::bridge::{Verdict, XdpBridge};
///
/// XdpBridge::scope("eth0", "eth1", |bridge| {
///     bridge.run(|_way, frame| match frame {
///         // IPv6 stays out.
///         [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, ..] => Verdict::Drop,
///         _ => Verdict::Forward,
///     })?;
///     println!("{}", bridge.stats()?);
///     Ok(())
/// })?;
/// # Ok::<(), netring::Error>(())
/// ```
///
/// It does what [`Bridge`](super::Bridge) does, with these differences:
///
/// - Frames that are longer than a chunk (1792 bytes) are dropped by the kernel, and counted in
///   [`BridgeDirectionStats::source`](super::BridgeDirectionStats::source). In generic mode these
///   include the super-packets that a stack on this host sends: turn its segmentation offload off,
///   or use native mode.
/// - A VLAN tag that a card or a veth pair moved out of the bytes is lost. (`ethtool -K eth0 rxvlan
///   off`, or on veth `txvlan off` at the other end, keeps it in the bytes.)
/// - Neither this host nor a capture on it sees the frames; those that the host itself sends are
///   left alone.
/// - The bridge recognises a checksum that a stack left to its interface by its value, and computes
///   it.
///
/// Queue *n* of one side is forwarded to the socket of queue *n* of the other, or, if there are
/// fewer, to queue *n* modulo their number.
pub struct XdpBridge<'umem> {
    a: Port<'umem>,
    b: Port<'umem>,
    a_to_b: Lane,
    b_to_a: Lane,
    control: Control,
}

/// The sockets of one interface, one of each queue.
struct Port<'umem> {
    // Dropped first: the program is detached before the sockets are closed.
    attachment: Attachment,
    receiving: Receiving<'umem>,
    transmitters: Vec<Transmitter<'umem>>,
    _memberships: Memberships,
}

/// The receiving halves, and other facts about the interface.
struct Receiving<'umem> {
    waiter: Waiter,
    receivers: Vec<Receiver<'umem>>,
}

impl XdpBridge<'_> {
    /// Opens a socket on each queue of both interfaces, in promiscuous mode, attaches a program to
    /// each in the best available mode, and calls `f` with the bridge between them. All of it is
    /// closed when `f` returns.
    ///
    /// # Errors
    /// Those of [`XdpCapture::open`](crate::XdpCapture::open); [`Error::Config`] if both names are
    /// those of one interface; or the error that `f` returns.
    pub fn scope<R>(
        a: &str,
        b: &str,
        f: impl for<'umem> FnOnce(&mut XdpBridge<'umem>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let (a, b) = (Interface::by_name(a)?, Interface::by_name(b)?);
        if a.index == b.index {
            return Err(super::same_interface(&a.name, &b.name));
        }
        let chunks = (a.rx_queues + b.rx_queues).saturating_mul(ENTRIES + SPARE);
        Umem::scope(&UmemConfig::new().chunks(chunks), |umem| {
            let mut bridge = XdpBridge {
                a: Port::open(umem, &a)?,
                b: Port::open(umem, &b)?,
                a_to_b: Lane::new(Way::AToB),
                b_to_a: Lane::new(Way::BToA),
                control: Control::new()?,
            };
            f(&mut bridge)
        })
    }

    /// Forwards up to one batch of each queue in each direction, without blocking: for custom
    /// loops. `decide` gets the direction and the frame, which it may change in place.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run).
    pub fn step(
        &mut self,
        mut decide: impl FnMut(Way, &mut [u8]) -> Verdict,
    ) -> Result<Step, Error> {
        let (a, b) = (&mut self.a, &mut self.b);
        self.control.step(|way| {
            let (lane, receiving, transmitters) = match way {
                Way::AToB => (&mut self.a_to_b, &mut a.receiving, &mut b.transmitters),
                Way::BToA => (&mut self.b_to_a, &mut b.receiving, &mut a.transmitters),
            };
            let turn = lane.turn(receiving, transmitters, &mut decide)?;
            Ok((turn, lane.is_down))
        })
    }

    /// Forwards frames until the bridge is [stopped](Self::stop_handle). Blocks this thread; see
    /// also `run_async`.
    ///
    /// # Errors
    /// What ends one side for good, such as [`Error::InterfaceRemoved`], in an [`Error::Source`]
    /// whose text names the side; [`lost`](Self::lost) returns it. [`Error::Closed`] after that.
    pub fn run(&mut self, decide: impl FnMut(Way, &mut [u8]) -> Verdict) -> Result<(), Error> {
        wait::work(&mut self.running(None, decide))
    }

    /// Like [`run`](Self::run), for this long at most. Another run continues where it ended.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run).
    pub fn run_for(
        &mut self,
        time: Duration,
        decide: impl FnMut(Way, &mut [u8]) -> Verdict,
    ) -> Result<(), Error> {
        wait::work(&mut self.running(Instant::now().checked_add(time), decide))
    }

    /// Like [`run`](Self::run), in a task.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run), and [`Error::Config`] outside a tokio runtime.
    #[cfg(feature = "async")]
    pub fn run_async(
        &mut self,
        decide: impl FnMut(Way, &mut [u8]) -> Verdict,
    ) -> impl Future<Output = Result<(), Error>> {
        netring_async::work(self.running(None, decide))
    }

    fn running(
        &mut self,
        until: Option<Instant>,
        mut decide: impl FnMut(Way, &mut [u8]) -> Verdict,
    ) -> impl wait::Work {
        let stop = self.control.stop.clone();
        Run::new(self, stop, until, move |bridge| bridge.step(&mut decide))
    }

    /// A handle that stops the bridge from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        self.control.stop.clone()
    }

    /// The side whose failure ended the bridge, once it did.
    pub const fn lost(&self) -> Option<Side> {
        self.control.lost
    }

    /// Where the program of a side runs.
    pub const fn mode(&self, side: Side) -> XdpMode {
        match side {
            Side::A => self.a.attachment.mode(),
            Side::B => self.b.attachment.mode(),
        }
    }

    /// Whether the driver delivers to all sockets without a copy too.
    pub fn is_zero_copy(&self) -> bool {
        let (a, b) = (&self.a.receiving, &self.b.receiving);
        let mut receivers = a.receivers.iter().chain(&b.receivers);
        receivers.all(Receiver::is_zero_copy)
    }

    /// The descriptors that become readable when side A or B has work, for custom loops: see
    /// [`Step::Wait`].
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [&self.a, &self.b].map(|port| port.receiving.waiter.as_fd())
    }

    /// System calls made to wake the kernel, in both directions. Waits are not counted.
    pub fn system_calls(&self) -> u64 {
        let ports = [&self.a, &self.b].into_iter();
        let calls = ports.map(|port| {
            let receivers = port.receiving.receivers.iter();
            let receive: u64 = receivers.map(Receiver::system_calls).sum();
            let send: u64 = port.transmitters.iter().map(Transmitter::kicks).sum();
            receive + send
        });
        calls.sum()
    }

    /// The fate of all frames so far.
    ///
    /// # Errors
    /// The system call that reads the figures failed.
    pub fn stats(&mut self) -> Result<BridgeStats, Error> {
        let (a, b) = (&mut self.a, &mut self.b);
        let named = |way| move |failed| failure(way, failed);
        let a_to_b = self.a_to_b.stats(&a.receiving, &mut b.transmitters);
        let b_to_a = self.b_to_a.stats(&b.receiving, &mut a.transmitters);
        Ok(BridgeStats {
            a_to_b: a_to_b.map_err(named(Way::AToB))?,
            b_to_a: b_to_a.map_err(named(Way::BToA))?,
        })
    }
}

impl super::steps::Descriptors for XdpBridge<'_> {
    fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        Self::descriptors(self)
    }
}

impl<'umem> Port<'umem> {
    fn open(umem: Umem<'umem>, interface: &Interface) -> Result<Self, Error> {
        let mut program = Program::redirect().queues(interface.rx_queues).load()?;
        let (mut receivers, mut transmitters) = (Vec::new(), Vec::new());
        for queue in 0..interface.rx_queues {
            let builder = XdpSocket::builder(&interface.name, queue).transmit_chunks(SPARE);
            let (receiver, transmitter) = builder.open(umem)?.split();
            program.sockets_mut().set(queue, receiver.as_fd())?;
            receivers.push(receiver);
            transmitters.push(transmitter);
        }
        let Some((first, others)) = receivers.split_first() else {
            return Err(Error::Closed);
        };
        let waiter = Waiter::new(first.as_fd(), interface)?;
        for receiver in others {
            waiter.add(receiver.as_fd())?;
        }
        Ok(Self {
            _memberships: Memberships::set(interface, &[Membership::Promiscuous])?,
            attachment: program.attach(interface, AttachMode::BestAvailable)?,
            receiving: Receiving { waiter, receivers },
            transmitters,
        })
    }
}

impl Receiving<'_> {
    /// Reports whether the link went down, or is gone.
    fn look_further(&mut self) -> Result<(), Error> {
        if let Some(first) = self.receivers.first() {
            self.waiter.take_news(first.as_fd())?;
        }
        self.waiter.report()
    }
}

impl fmt::Debug for XdpBridge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdpBridge")
            .field("a", self.a.attachment.interface())
            .field("b", self.b.attachment.interface())
            .finish_non_exhaustive()
    }
}
