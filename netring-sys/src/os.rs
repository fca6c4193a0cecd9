//! State that the operating system keeps: interfaces, netlink, waiting, promiscuous mode.

mod hardware_timestamps;
mod interface;
mod netlink;
mod privileges;
mod promiscuous;
pub mod wait;
mod xdp_program;

pub use hardware_timestamps::HardwareTimestamps;
pub use interface::{Interface, InterfaceCounters, Timestamping};
pub use netlink::{InterfaceAddress, XdpFeatures, XdpMetadata};
pub use promiscuous::Promiscuous;
