//! A program that is attached to an interface: the mode that was requested, the mode that was
//! reached, and the link that removes it with its owner.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::Ebpf;
use aya::programs::Xdp;
use netring_sys::syscall::bpf_link_detach;
use netring_sys::{Error, Interface, XdpMode};

use super::counters::Counters;
use super::error;
use super::load::Loaded;
use super::sockets::SocketMap;
use crate::device::Device;

/// Where the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver; if it does not support that, attaching fails.
    #[doc(alias = "XDP_FLAGS_DRV_MODE")]
    Native,
    /// In the kernel's stack, on any interface.
    #[doc(alias = "XDP_FLAGS_SKB_MODE")]
    Generic,
    /// In the driver if it supports that, otherwise in the kernel's stack; [`Attachment::mode`] and
    /// [`Attachment::why_not_native`] report which, and why.
    #[default]
    BestAvailable,
}

/// A program that runs on an interface for the lifetime of this value.
///
/// The kernel detaches the program when this is dropped, when the process ends and when it is
/// killed.
pub struct Attachment {
    // Dropped first: the program is detached before its maps are closed.
    pub(super) _link: Link,
    pub(super) code: Loaded,
    pub(super) sockets: SocketMap,
    pub(super) counts: Option<(
        aya::maps::PerCpuArray<aya::maps::MapData, super::counters::Raw>,
        u32,
    )>,
    pub(super) interface: Interface,
    pub(super) device: Device,
    pub(super) id: u32,
    pub(super) requested: AttachMode,
    pub(super) reached: XdpMode,
    pub(super) why_not_native: Option<Error>,
}

/// The link that keeps the program attached. The kernel detaches it when the last descriptor of the
/// link is closed.
///
/// It is not aya's link, for two reasons: aya attaches by netlink if the kernel refuses a link, and
/// it keeps the descriptor private, so that a program could not be detached while a child process
/// has inherited it.
pub(super) struct Link(pub(super) OwnedFd);

impl Drop for Link {
    fn drop(&mut self) {
        // Before kernel 5.11 only closing the descriptor detaches it, which follows.
        let _ = bpf_link_detach(self.0.as_fd());
    }
}

impl Attachment {
    /// Sends the packets of `queue` to this AF_XDP socket: [`SocketMap::set`].
    ///
    /// # Errors
    /// Those of [`SocketMap::set`].
    pub fn set_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        self.sockets.set(queue, socket)
    }

    /// Removes the socket of `queue`: [`SocketMap::clear`].
    ///
    /// # Errors
    /// Those of [`SocketMap::clear`].
    pub fn clear_socket(&mut self, queue: u32) -> Result<(), Error> {
        self.sockets.clear(queue)
    }

    /// How many queues there is room for.
    pub fn queues(&self) -> u32 {
        self.sockets.queues()
    }

    /// The program's exact counters of one queue since it was loaded; `None` for the user's own
    /// program.
    ///
    /// # Errors
    /// [`Error::Config`] for a queue that the program has no room for, or the failed call.
    pub fn counters(&self, queue: u32) -> Result<Option<Counters>, Error> {
        if self
            .counts
            .as_ref()
            .is_some_and(|(_, queues)| queue >= *queues)
        {
            return Err(Error::Config {
                setting: "queue",
                why: format!(
                    "{queue}: the program counts the queues 0 to {}",
                    self.queues() - 1
                ),
            });
        }
        self.read(queue..=queue)
    }

    /// The program's exact counters over all queues since it was loaded, including queues for which
    /// it has no room; `None` for the user's own program.
    ///
    /// # Errors
    /// The failed call.
    pub fn counters_total(&self) -> Result<Option<Counters>, Error> {
        self.read(0..=self.counts.as_ref().map_or(0, |(_, queues)| *queues))
    }

    /// The mode that was requested.
    pub const fn requested(&self) -> AttachMode {
        self.requested
    }

    /// Where the program runs, as the kernel reports it.
    pub const fn mode(&self) -> XdpMode {
        self.reached
    }

    /// Why the best available mode is not native mode; `None` if it is, or if a mode was requested.
    pub const fn why_not_native(&self) -> Option<&Error> {
        self.why_not_native.as_ref()
    }

    /// The number of the program, as `ip link` and `bpftool prog` show it.
    pub const fn program_id(&self) -> u32 {
        self.id
    }

    /// The interface, as it was before the program was attached.
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Whether the program is attached now. It is not after the interface was removed, or after an
    /// administrator detached it by force. If the interface was not looked up in a [given
    /// namespace](Interface::namespace), call this in the namespace of the interface.
    ///
    /// # Errors
    /// [`Error::Config`] in another network namespace, or the call that failed.
    pub fn is_attached(&self) -> Result<bool, Error> {
        let (device, interface) = (self.device, &self.interface);
        let now = interface.inside(|| {
            device.check_here(interface)?;
            Interface::by_index(interface.index)
        });
        match now? {
            Ok(now) if now.is_partial => Err(Error::Config {
                setting: "is_attached",
                why: "a sandbox forbids netlink, which alone reports it: allow AF_NETLINK".into(),
            }),
            Ok(now) => Ok(now.xdp.is_some_and(|program| program.id == self.id)),
            Err(Error::NoSuchInterface { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The sockets.
    pub const fn sockets_mut(&mut self) -> &mut SocketMap {
        &mut self.sockets
    }

    /// The object of the user's own program, with its other maps; `None` if the program did not
    /// come as an object.
    pub fn ebpf_mut(&mut self) -> Option<&mut Ebpf> {
        match &mut self.code {
            Loaded::Ebpf { ebpf, .. } => Some(ebpf),
            Loaded::Xdp(_) | Loaded::Generated { .. } => None,
        }
    }

    /// The program, for other functions of aya.
    ///
    /// # Errors
    /// [`Error::Config`] for the generated program, which is not loaded with aya, and if the user's
    /// object no longer has a program of that name.
    pub fn xdp_mut(&mut self) -> Result<&mut Xdp, Error> {
        self.code.xdp()
    }

    fn read(&self, queues: std::ops::RangeInclusive<u32>) -> Result<Option<Counters>, Error> {
        let Some((counts, _)) = &self.counts else {
            return Ok(None);
        };
        let mut total = Counters::default();
        for queue in queues {
            let of_each_processor = counts
                .get(&queue, 0)
                .map_err(|error| error::map("bpf(BPF_MAP_LOOKUP_ELEM)", error))?;
            for raw in of_each_processor.iter() {
                total += Counters::from(*raw);
            }
        }
        Ok(Some(total))
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("interface", &self.interface.name)
            .field("id", &self.id)
            .field("requested", &self.requested)
            .field("reached", &self.reached)
            .field("why_not_native", &self.why_not_native)
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}
