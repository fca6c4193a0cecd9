//! State that the operating system keeps: interfaces, netlink, waiting, promiscuous mode.

mod interface;
mod netlink;
mod privileges;
mod promiscuous;
pub mod wait;
mod xdp_program;

pub use interface::{Interface, InterfaceCounters};
pub use netlink::{InterfaceAddress, XdpFeatures, XdpMetadata};
pub use promiscuous::Promiscuous;
