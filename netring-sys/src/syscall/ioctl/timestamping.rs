//! Timestamps of a card: what it can stamp, and what it does.
#![deny(unsafe_code)]

use std::os::fd::BorrowedFd;

use super::{SIOCETHTOOL, with_struct};
use crate::SyscallError;
use crate::kernel::timestamping::{ethtool_ts_info, hwtstamp_config};

/// What the interface can stamp.
///
/// # Errors
/// `ENODEV` if there is no such interface.
// [`ethtool_get_ts_info`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/ioctl.c#L2824
#[doc(alias = "ETHTOOL_GET_TS_INFO")]
pub fn ethtool_timestamping(
    socket: BorrowedFd<'_>,
    name: &str,
) -> Result<ethtool_ts_info, SyscallError> {
    const ETHTOOL_GET_TS_INFO: u32 = 0x41;
    let mut info = ethtool_ts_info {
        cmd: ETHTOOL_GET_TS_INFO,
        ..ethtool_ts_info::default()
    };
    let call = "ioctl(ETHTOOL_GET_TS_INFO)";
    with_struct(socket, SIOCETHTOOL, name, &mut info, call)?;
    Ok(info)
}

/// Which packets the card stamps now (kernel 3.14).
///
/// # Errors
/// `EOPNOTSUPP` from a driver without hardware timestamps, `ENODEV` if there is no such interface.
// [`dev_get_hwtstamp`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/dev_ioctl.c#L278
#[doc(alias = "SIOCGHWTSTAMP")]
pub fn hardware_timestamping(
    socket: BorrowedFd<'_>,
    name: &str,
) -> Result<hwtstamp_config, SyscallError> {
    let mut config = hwtstamp_config::default();
    let call = "ioctl(SIOCGHWTSTAMP)";
    with_struct(socket, libc::SIOCGHWTSTAMP, name, &mut config, call)?;
    Ok(config)
}

/// Sets which packets the card stamps, for all users of the interface, until it is set again.
/// Returns what the driver made of it, which can be more.
///
/// # Errors
/// The errors of [`hardware_timestamping`]; `ERANGE` if the card cannot stamp these packets,
/// `EPERM` without CAP_NET_ADMIN.
// [`dev_set_hwtstamp`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/dev_ioctl.c#L364
#[doc(alias = "SIOCSHWTSTAMP")]
pub fn set_hardware_timestamping(
    socket: BorrowedFd<'_>,
    name: &str,
    mut config: hwtstamp_config,
) -> Result<hwtstamp_config, SyscallError> {
    let call = "ioctl(SIOCSHWTSTAMP)";
    with_struct(socket, libc::SIOCSHWTSTAMP, name, &mut config, call)?;
    Ok(config)
}
