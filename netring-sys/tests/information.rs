//! What the interfaces of this machine say about themselves by netlink is what they say by ioctl.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::os::fd::AsFd;

use netring_sys::syscall::{ethtool_channels, ethtool_rings, interface_socket};
use netring_sys::{Adjustable, Interface};

#[test]
fn rings_and_queues_are_those_of_the_ioctl() {
    let socket = interface_socket().unwrap();
    let current = |setting: Option<Adjustable>| setting.map_or(0, |setting| setting.current);
    for interface in Interface::all().unwrap() {
        let Ok(information) = interface.information() else {
            // It may have gone meanwhile.
            Interface::by_index(interface.index).unwrap_err();
            continue;
        };
        let rings = ethtool_rings(socket.as_fd(), &interface.name).ok();
        let ours = information.rings.map(|rings| {
            let kinds = [rings.rx, rings.rx_mini, rings.rx_jumbo, rings.tx];
            kinds.map(current)
        });
        assert_eq!(ours, rings, "{interface:?}");
        let channels = ethtool_channels(socket.as_fd(), &interface.name).unwrap();
        let ours = information.queues.map(|queues| {
            let combined = current(queues.combined);
            (current(queues.rx) + combined, current(queues.tx) + combined)
        });
        assert_eq!(ours, channels, "{interface:?}");
    }
}
