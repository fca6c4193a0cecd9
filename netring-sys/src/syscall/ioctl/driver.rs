//! The driver of an interface.
#![deny(unsafe_code)]

use std::os::fd::BorrowedFd;

use super::{SIOCETHTOOL, with_struct};
use crate::SyscallError;

/// What the driver of an interface is, as the kernel has it: text that ends at its first zero byte.
// [`ethtool_drvinfo`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/ethtool.h#L185
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Drvinfo {
    cmd: u32,
    driver: [u8; 32],
    version: [u8; 32],
    fw_version: [u8; 32],
    bus_info: [u8; 32],
    erom_version: [u8; 32],
    reserved2: [u8; 12],
    n_priv_flags: u32,
    n_stats: u32,
    testinfo_len: u32,
    eedump_len: u32,
    regdump_len: u32,
}

/// What the driver of an interface calls itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverByIoctl {
    /// Its name.
    pub name: String,
    /// Its version; that of the kernel unless it has one of its own.
    pub version: String,
    /// The version of the card's firmware; may be empty.
    pub firmware: String,
    /// Where the card is on its bus, as `0000:00:03.0`; may be empty.
    pub bus: String,
}

/// Asks the driver of the interface with this name of up to 15 bytes what it is.
///
/// # Errors
/// `EOPNOTSUPP` for an interface without a driver that says so (`lo`), `ENODEV` if there is no such
/// interface.
// [`ethtool_get_drvinfo`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/ethtool/ioctl.c#L717
#[doc(alias = "ETHTOOL_GDRVINFO")]
pub fn ethtool_driver(socket: BorrowedFd<'_>, name: &str) -> Result<DriverByIoctl, SyscallError> {
    const ETHTOOL_GDRVINFO: u32 = 3;
    let mut info = Drvinfo {
        cmd: ETHTOOL_GDRVINFO,
        ..Drvinfo::default()
    };
    let call = "ioctl(ETHTOOL_GDRVINFO)";
    with_struct(socket, SIOCETHTOOL, name, &mut info, call)?;
    Ok(DriverByIoctl {
        name: text(&info.driver),
        version: text(&info.version),
        firmware: text(&info.fw_version),
        bus: text(&info.bus_info),
    })
}

/// The text before the first zero byte, if there is one.
fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_is_as_long_as_the_kernel_s() {
        assert_eq!(size_of::<Drvinfo>(), 196);
        assert_eq!(text(b"veth\0\0x"), "veth");
        assert_eq!(text(b"full"), "full");
        assert_eq!(text(b"\0"), "");
    }
}
