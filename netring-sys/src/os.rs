//! State that the operating system keeps: interfaces, network namespaces, netlink, waiting,
//! promiscuous mode.

mod interface;
mod namespace;
mod netlink;
mod privileges;
mod promiscuous;
pub mod wait;
mod xdp_program;

pub use interface::{Interface, InterfaceCounters};
pub use namespace::Namespace;
pub use netlink::{InterfaceAddress, XdpFeatures, XdpMetadata};
pub use promiscuous::Promiscuous;
