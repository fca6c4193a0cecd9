//! One interface as netlink describes it: `ifinfomsg` and its attributes.

use super::wire::{INFO, attributes, u16_at, u32_at};
use super::{IFLA_ALT_IFNAME, IFLA_IFNAME, IFLA_XDP};
use crate::{XdpMode, XdpProgram};

// [`IFLA_ADDRESS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L298
const IFLA_ADDRESS: u16 = 1;
const IFLA_MTU: u16 = 4;
// [`IFLA_LINK`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L302
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
// [`IFLA_IFALIAS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L326
const IFLA_IFALIAS: u16 = 20;
// [`IFLA_STATS64`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L329
const IFLA_STATS64: u16 = 23;
// [`IFLA_NUM_TX_QUEUES`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L338
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
// [`IFLA_LINK_NETNSID`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L344
const IFLA_LINK_NETNSID: u16 = 37;
// [`IFLA_PROP_LIST`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L360
const IFLA_PROP_LIST: u16 = 52;
// [`IFLA_XDP_ATTACHED`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L1895
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
// [`IFLA_XDP_DRV_PROG_ID`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/if_link.h#L1898
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;

/// An interface as netlink describes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Link<'a> {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    pub(crate) hardware_type: u16,
    pub(crate) name: &'a [u8],
    /// Alternative names, as attributes.
    pub(crate) properties: &'a [u8],
    /// The administrator's description.
    pub(crate) alias: &'a [u8],
    pub(crate) address: &'a [u8],
    pub(crate) mtu: u32,
    /// The interface that it is a port of; 0 for none.
    pub(crate) master: u32,
    /// The interface of this namespace that it stands on; 0 for none.
    pub(crate) lower: u32,
    pub(crate) rx_queues: u32,
    pub(crate) tx_queues: u32,
    /// `rtnl_link_stats64`: 64-bit counters.
    pub(crate) counters: &'a [u8],
    /// The attached XDP program and its mode.
    pub(crate) xdp: Option<XdpProgram>,
}

impl<'a> Link<'a> {
    /// Reads the part of a message after its header.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        let mut link = Self {
            hardware_type: u16_at(message, 2)?,
            index: u32_at(message, 4)?,
            flags: u32_at(message, 8)?,
            ..Self::default()
        };
        let mut lower_is_elsewhere = false;
        for (kind, value) in attributes(message.get(INFO..)?) {
            match kind {
                IFLA_LINK => link.lower = u32_at(value, 0)?,
                IFLA_LINK_NETNSID => lower_is_elsewhere = true,
                IFLA_MASTER => link.master = u32_at(value, 0)?,
                IFLA_ADDRESS => link.address = value,
                IFLA_IFNAME => link.name = text(value),
                IFLA_MTU => link.mtu = u32_at(value, 0)?,
                IFLA_IFALIAS => link.alias = text(value),
                IFLA_NUM_RX_QUEUES => link.rx_queues = u32_at(value, 0)?,
                IFLA_NUM_TX_QUEUES => link.tx_queues = u32_at(value, 0)?,
                IFLA_PROP_LIST => link.properties = value,
                IFLA_STATS64 => link.counters = value,
                IFLA_XDP => link.xdp = xdp(value),
                _ => {}
            }
        }
        if lower_is_elsewhere {
            link.lower = 0;
        }
        Some(link)
    }

    /// Its alternative names.
    pub(crate) fn alternative_names(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        attributes(self.properties)
            .filter(|(kind, _)| *kind == IFLA_ALT_IFNAME)
            .map(|(_, value)| text(value))
    }
}

/// Removes the terminating zero byte.
fn text(value: &[u8]) -> &[u8] {
    value.strip_suffix(&[0]).unwrap_or(value)
}

fn xdp(nested: &[u8]) -> Option<XdpProgram> {
    let (mut mode, mut main, mut of_mode) = (None, None, None);
    for (kind, value) in attributes(nested) {
        match kind {
            IFLA_XDP_ATTACHED => mode = XdpMode::from_kernel(*value.first()?),
            IFLA_XDP_PROG_ID => main = u32_at(value, 0),
            // If programs run in several modes, the one that sees packets first is reported.
            IFLA_XDP_DRV_PROG_ID if of_mode.is_none() => {
                of_mode = u32_at(value, 0).map(|id| (XdpMode::Native, id));
            }
            IFLA_XDP_SKB_PROG_ID if of_mode.is_none() => {
                of_mode = u32_at(value, 0).map(|id| (XdpMode::Generic, id));
            }
            IFLA_XDP_HW_PROG_ID => of_mode = u32_at(value, 0).map(|id| (XdpMode::Offloaded, id)),
            _ => {}
        }
    }
    let (mode, id) = of_mode.or(mode.zip(main))?;
    Some(XdpProgram { mode, id })
}

#[cfg(test)]
mod tests {
    use super::super::RTM_NEWLINK;
    use super::super::wire::{HEADER, attribute, finished, request};
    use super::*;

    #[test]
    fn the_program_of_an_interface_is_read_with_its_mode() {
        let reported = |attributes: &[(u16, &[u8])]| {
            let mut nested = Vec::new();
            for (kind, value) in attributes {
                attribute(&mut nested, *kind, value);
            }
            let mut message = request(RTM_NEWLINK, 0, 3);
            attribute(&mut message, IFLA_XDP, &nested);
            Link::read(&finished(message)[HEADER..]).unwrap().xdp
        };
        let id = 9_u32.to_ne_bytes();
        let program = |mode| Some(XdpProgram { mode, id: 9 });
        assert_eq!(reported(&[(IFLA_XDP_ATTACHED, &[0])]), None);
        let native = [(IFLA_XDP_ATTACHED, &[1][..]), (IFLA_XDP_PROG_ID, &id)];
        assert_eq!(reported(&native), program(XdpMode::Native));
        let generic = [(IFLA_XDP_ATTACHED, &[2][..]), (IFLA_XDP_SKB_PROG_ID, &id)];
        assert_eq!(reported(&generic), program(XdpMode::Generic));
        let other = 8_u32.to_ne_bytes();
        let several = [
            (IFLA_XDP_ATTACHED, &[4][..]),
            (IFLA_XDP_DRV_PROG_ID, &other),
            (IFLA_XDP_HW_PROG_ID, &id),
        ];
        assert_eq!(reported(&several), program(XdpMode::Offloaded));
    }
}
