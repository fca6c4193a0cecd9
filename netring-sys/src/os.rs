//! State that the operating system keeps: interfaces, network namespaces, netlink, waiting,
//! memberships.

mod hardware_timestamps;
mod interface;
mod membership;
mod namespace;
mod netlink;
mod privileges;
pub mod wait;
mod xdp_program;

pub use hardware_timestamps::HardwareTimestamps;
pub use interface::{
    Adjustable, CardRings, Driver, Duplex, Interface, InterfaceCounters, InterfaceFeature,
    InterfaceInformation, QueueCounts, Timestamping,
};
pub use membership::{Membership, Memberships};
pub use namespace::Namespace;
pub use netlink::{InterfaceAddress, XdpFeatures, XdpMetadata};
