//! `linux/net_tstamp.h` and `linux/ethtool.h`: timestamps of the card.
#![allow(non_camel_case_types, reason = "the names of the headers")]

/// Which packets a card stamps. It belongs to the interface, and holds for all of its users.
// [`hwtstamp_config`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/net_tstamp.h#L77
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct hwtstamp_config {
    /// `HWTSTAMP_FLAG_*`.
    pub flags: i32,
    /// Which packets it stamps when it sends them: `HWTSTAMP_TX_*`.
    pub tx_type: i32,
    /// Which packets it stamps when it receives them: `HWTSTAMP_FILTER_*`.
    pub rx_filter: i32,
}

/// What a card can stamp.
// [`ethtool_ts_info`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool.h#L1719
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ethtool_ts_info {
    /// `ETHTOOL_GET_TS_INFO`.
    pub cmd: u32,
    /// `SOF_TIMESTAMPING_*` bits that driver and card support.
    pub so_timestamping: u32,
    /// The number of the card's clock, `/dev/ptpN`; −1 if it has none.
    pub phc_index: i32,
    /// Bit n: it supports the `tx_type` n.
    pub tx_types: u32,
    /// Reserved.
    pub tx_reserved: [u32; 3],
    /// Bit n: it supports the `rx_filter` n.
    pub rx_filters: u32,
    /// Reserved.
    pub rx_reserved: [u32; 3],
}

/// Stamp no received packet.
// [`hwtstamp_rx_filters`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/net_tstamp.h#L137
pub const HWTSTAMP_FILTER_NONE: i32 = 0;
/// Stamp every received packet.
pub const HWTSTAMP_FILTER_ALL: i32 = 1;

/// The card stamps packets that it receives.
// [`SOF_TIMESTAMPING_RX_HARDWARE`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/net_tstamp.h#L20
pub const SOF_TIMESTAMPING_RX_HARDWARE: u32 = 1 << 2;
/// The kernel stamps packets that it receives.
pub const SOF_TIMESTAMPING_RX_SOFTWARE: u32 = 1 << 3;
