//! Link types of capture files.

use crate::LinkType;

/// The link type that a number in a file stands for.
///
/// Files contain numbers of the registry. Programs that wrote the number in their own system's
/// header instead are common enough that libpcap and Wireshark read those too: raw IP is 12 on most
/// systems and 14 on OpenBSD.
pub(super) const fn link_type(number: u16) -> LinkType {
    match number {
        12 | 14 => LinkType::RAW_IP,
        _ => LinkType(number),
    }
}

/// Link types whose packets may be as long as the memory bound allows, as in libpcap: D-Bus,
/// USBPcap, EBHSCR.
pub(super) const LONG_PACKETS: [u16; 3] = [231, 249, 279];

/// The most bytes of a packet of any other link type (libpcap's `MAXIMUM_SNAPLEN`). Other programs
/// read no longer ones.
pub(super) const MAX_LEN: u32 = 256 * 1024;
