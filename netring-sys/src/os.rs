//! State that the operating system keeps: interfaces, network namespaces, netlink, waiting,
//! memberships.

mod interface;
mod membership;
mod namespace;
mod netlink;
mod privileges;
pub mod wait;
mod xdp_program;

pub use interface::{Interface, InterfaceCounters};
pub use membership::{Membership, Memberships};
pub use namespace::Namespace;
pub use netlink::{InterfaceAddress, XdpFeatures, XdpMetadata};
