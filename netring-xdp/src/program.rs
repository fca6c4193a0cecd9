//! The XDP programs that feed AF_XDP sockets: generated here, or the user's own.
//!
//! A program runs in the kernel for each packet of an interface, and gives it to the socket of its
//! queue. This crate generates one as eBPF instructions ([`Program::redirect`]): no compiler, no
//! prebuilt object. Its maps are [aya]'s. It is attached by a link that the kernel removes with its
//! owner.
//!
//! ```no_run
//! use netring_xdp::program::{AttachMode, Program};
//! # fn socket() -> std::os::fd::OwnedFd { unreachable!() }
//!
//! let eth0 = netring_sys::Interface::by_name("eth0")?;
//! let program = Program::redirect().queues(eth0.rx_queues).load()?;
//! let mut attachment = program.attach(&eth0, AttachMode::BestAvailable)?;
//! if let Some(why) = attachment.why_not_native() {
//!     println!("{}: {why}", attachment.mode());
//! }
//! let socket = socket(); // bound to queue 0 of eth0
//!     
//! # use std::os::fd::AsFd;
//! attachment.set_socket(0, socket.as_fd())?;
//! # Ok::<(), netring_sys::Error>(())
//! ```
//!
//! # Requirements
//! CAP_BPF and CAP_NET_ADMIN in the initial user namespace, and kernel 5.9 or newer, which can
//! attach by a link: the kernel removes it when its owner is gone, for whatever reason. The older
//! way (netlink) leaves the program attached after a kill, and is not used.
//!
//! # Filters
//! [`Redirect::filter`] makes the program check each packet first: classic BPF, as written by
//! `tcpdump -dd` and accepted by packet sockets. Rejected packets are treated like those without a
//! socket. A filter that cannot be translated is an error that names the instruction; it is never
//! loaded in a wider form.
//!
//! # Other programs
//! An interface runs one XDP program. A foreign one is never removed: attaching over it is
//! [`Error::ProgramInTheWay`](netring_sys::Error::ProgramInTheWay), which names it.
//! [`Program::attach_replacing`] removes it on explicit request.
//!
//! libxdp runs several programs through one of its own, the dispatcher (`xdp_dispatcher`), which it
//! attaches by netlink. To this crate it is a foreign program like any other: it is named and left
//! alone. libxdp cannot replace an attachment of this crate either, because it is a link. They work
//! together the other way round: a program that a dispatcher runs, or that another process
//! attached, feeds sockets of this crate through its pinned map ([`SocketMap::from_pin`]). It may
//! be the generated one: [`Redirect::object`] is in the form that such a loader takes, with the
//! types that the kernel compares when one program replaces a function of another (`freplace`).

pub mod asm;
mod attach;
mod attachment;
mod btf;
mod counters;
mod error;
mod generated;
mod helper;
mod insn;
mod load;
mod loader;
mod map;
mod metadata;
mod native;
mod object;
mod redirect;
mod replace;
mod sockets;
mod translate;

/// The loader of the user's own objects, in the version whose types this crate exposes.
pub use aya;

pub use attachment::{AttachMode, Attachment};
pub use counters::Counters;
pub use load::Program;
pub use metadata::Metadata;
pub(crate) use metadata::MetadataFields;
pub(crate) use native::{is_about_mtu, is_about_native, mtu_of_one_buffer};
pub use redirect::Redirect;
pub use sockets::SocketMap;

/// What happens to a packet that goes to no socket, because the filter rejected it or its queue has
/// none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum DefaultAction {
    /// It goes to the kernel, as if there were no program.
    #[default]
    #[doc(alias = "XDP_PASS")]
    Pass = 2,
    /// It is dropped.
    #[doc(alias = "XDP_DROP")]
    Drop = 1,
}
