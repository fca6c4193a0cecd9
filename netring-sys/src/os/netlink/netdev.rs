//! Driver features for AF_XDP sockets: the generic netlink family "netdev"
//! (`Documentation/netlink/specs/netdev.yaml`, kernel 6.3).

use std::os::fd::AsFd;

use super::exchange::exchange;
use super::is_forbidden;
use super::wire::{
    HEADER, NLM_F_REQUEST, NLMSG_ERROR, attribute, error_in, finished, split, u16_at, u32_at,
    value_of,
};
use crate::SyscallError;
use crate::syscall::generic_netlink_socket;

/// The message type of the controller, which resolves family names.
// [`GENL_ID_CTRL`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L30
const GENL_ID_CTRL: u16 = 0x10;
// [`CTRL_CMD_GETFAMILY`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L44
const CTRL_CMD_GETFAMILY: u8 = 3;
// [`CTRL_ATTR_FAMILY_ID`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L59
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

// [`NETDEV_CMD_DEV_GET`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L189
const NETDEV_CMD_DEV_GET: u8 = 1;
// [`NETDEV_A_DEV_IFINDEX`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L78
const NETDEV_A_DEV_IFINDEX: u16 = 1;
// [`NETDEV_A_DEV_XDP_ZC_MAX_SEGS`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L81
const NETDEV_A_DEV_XDP_ZC_MAX_SEGS: u16 = 4;
const NETDEV_A_DEV_XDP_RX_METADATA_FEATURES: u16 = 5;
// [`NETDEV_XDP_RX_METADATA_TIMESTAMP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L51
const NETDEV_XDP_RX_METADATA_TIMESTAMP: u64 = 1;
const NETDEV_XDP_RX_METADATA_HASH: u64 = 2;
const NETDEV_XDP_RX_METADATA_VLAN_TAG: u64 = 4;
// [`NETDEV_A_DEV_XSK_FEATURES`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L83
const NETDEV_A_DEV_XSK_FEATURES: u16 = 6;
// [`NETDEV_XSK_FLAGS_TX_TIMESTAMP`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L64
const NETDEV_XSK_FLAGS_TX_TIMESTAMP: u64 = 1;
const NETDEV_XSK_FLAGS_TX_CHECKSUM: u64 = 2;
// Kernel 6.15.
const NETDEV_XSK_FLAGS_TX_LAUNCH_TIME_FIFO: u64 = 4;

/// Bytes of `genlmsghdr`: command, version, and two reserved bytes.
// [`genlmsghdr`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/genetlink.h#L13
const COMMAND: usize = 4;

/// What the driver of an interface offers to AF_XDP sockets in zero-copy mode (in copy mode the
/// kernel does it), and to XDP programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpFeatures {
    /// The maximum number of chunks per packet; `None` if the driver has no zero-copy mode, or the
    /// kernel does not report it (before 6.6).
    #[doc(alias = "xdp-zc-max-segs")]
    pub zero_copy_segments: Option<u32>,
    /// It reports when a packet was sent (kernel 6.8).
    #[doc(alias = "tx-timestamp")]
    pub transmit_timestamp: bool,
    /// It computes transmit checksums (kernel 6.8).
    #[doc(alias = "tx-checksum")]
    pub transmit_checksum: bool,
    /// It sends packets at a requested time (kernel 6.15).
    #[doc(alias = "tx-launch-time-fifo")]
    pub transmit_launch_time: bool,
    /// The metadata that it gives to XDP programs, also in copy mode; `None` if the kernel does not
    /// report it (before 6.7).
    #[doc(alias = "xdp-rx-metadata-features")]
    pub metadata: Option<XdpMetadata>,
}

/// Metadata of a packet that a driver gives to XDP programs through kernel functions
/// (`bpf_xdp_metadata_rx_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpMetadata {
    /// The time at which the card received it.
    #[doc(alias = "NETDEV_XDP_RX_METADATA_TIMESTAMP")]
    pub timestamp: bool,
    /// The hash of its flow.
    #[doc(alias = "NETDEV_XDP_RX_METADATA_HASH")]
    pub hash: bool,
    /// The VLAN tag that was removed from its bytes.
    #[doc(alias = "NETDEV_XDP_RX_METADATA_VLAN_TAG")]
    pub vlan: bool,
}

impl XdpFeatures {
    /// Queries the interface with this index, in this thread's network namespace. `None` if the
    /// kernel cannot tell (before 6.3) or a sandbox forbids netlink.
    ///
    /// # Errors
    /// `ENODEV` if there is no such interface, or the failed call.
    #[doc(alias = "NETDEV_CMD_DEV_GET")]
    pub fn of(index: u32) -> Result<Option<Self>, SyscallError> {
        let mut by_name = Vec::new();
        attribute(&mut by_name, CTRL_ATTR_FAMILY_NAME, b"netdev\0");
        let family = request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &by_name);
        let family = match ask(&family, family_id) {
            Err(error) if error.is(libc::ENOENT) || is_forbidden(&error) => return Ok(None),
            other => other?,
        };
        let mut by_index = Vec::new();
        attribute(&mut by_index, NETDEV_A_DEV_IFINDEX, &index.to_ne_bytes());
        let get = request(family, NETDEV_CMD_DEV_GET, &by_index);
        ask(&get, |answer| {
            (u32_of(answer, NETDEV_A_DEV_IFINDEX) == Some(index)).then(|| features(answer))
        })
        .map(Some)
    }
}

/// The ID of the family, which is assigned at boot.
fn family_id(answer: &[u8]) -> Option<u16> {
    u16_at(value_of(answer, CTRL_ATTR_FAMILY_ID)?, 0)
}

fn features(answer: &[u8]) -> XdpFeatures {
    let flags = |kind| {
        value_of(answer, kind).map(|value| {
            let bytes = value.first_chunk();
            bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
        })
    };
    let transmit = flags(NETDEV_A_DEV_XSK_FEATURES).unwrap_or_default();
    XdpFeatures {
        zero_copy_segments: u32_of(answer, NETDEV_A_DEV_XDP_ZC_MAX_SEGS),
        transmit_timestamp: transmit & NETDEV_XSK_FLAGS_TX_TIMESTAMP != 0,
        transmit_checksum: transmit & NETDEV_XSK_FLAGS_TX_CHECKSUM != 0,
        transmit_launch_time: transmit & NETDEV_XSK_FLAGS_TX_LAUNCH_TIME_FIFO != 0,
        metadata: flags(NETDEV_A_DEV_XDP_RX_METADATA_FEATURES).map(|flags| XdpMetadata {
            timestamp: flags & NETDEV_XDP_RX_METADATA_TIMESTAMP != 0,
            hash: flags & NETDEV_XDP_RX_METADATA_HASH != 0,
            vlan: flags & NETDEV_XDP_RX_METADATA_VLAN_TAG != 0,
        }),
    }
}

fn u32_of(answer: &[u8], kind: u16) -> Option<u32> {
    u32_at(value_of(answer, kind)?, 0)
}

fn request(family: u16, command: u8, attributes: &[u8]) -> Vec<u8> {
    let mut message = vec![0; HEADER + COMMAND];
    message[4..6].copy_from_slice(&family.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message[HEADER..HEADER + 2].copy_from_slice(&[command, 1]);
    message.extend_from_slice(attributes);
    finished(message)
}

/// Sends a request on a new socket and waits until `answer` returns something for the attributes of
/// a reply.
fn ask<T>(request: &[u8], mut answer: impl FnMut(&[u8]) -> Option<T>) -> Result<T, SyscallError> {
    let socket = generic_netlink_socket()?;
    exchange(socket.as_fd(), request, |bytes| {
        messages(bytes).find_map(|message| match message {
            Ok(attributes) => answer(attributes).map(Ok),
            Err(errno) => Some(Err(SyscallError {
                call: "send(NETLINK_GENERIC)",
                source: std::io::Error::from_raw_os_error(errno),
            })),
        })
    })?
}

/// The attributes of each received message, or the error number of a refusal.
fn messages(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], i32>> {
    split(bytes).map_while(|(kind, _, message)| match kind {
        NLMSG_ERROR => Some(Err(error_in(message))),
        _ => message.get(COMMAND..).map(Ok),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(features: u64) -> Vec<u8> {
        let mut reported = Vec::new();
        attribute(&mut reported, NETDEV_A_DEV_IFINDEX, &7_u32.to_ne_bytes());
        attribute(
            &mut reported,
            NETDEV_A_DEV_XDP_ZC_MAX_SEGS,
            &8_u32.to_ne_bytes(),
        );
        for kind in [
            NETDEV_A_DEV_XSK_FEATURES,
            NETDEV_A_DEV_XDP_RX_METADATA_FEATURES,
        ] {
            attribute(&mut reported, kind, &features.to_ne_bytes());
        }
        request(30, NETDEV_CMD_DEV_GET, &reported)
    }

    #[test]
    fn what_a_driver_can_do_is_read() {
        // Both sets have three bits.
        for (flags, timestamp, checksum, launch_time) in [
            (0, false, false, false),
            (1, true, false, false),
            (2, false, true, false),
            (4, false, false, true),
            (u64::MAX, true, true, true),
        ] {
            let bytes = answer(flags);
            let reported: Vec<_> = messages(&bytes)
                .map(|reported| features(reported.unwrap()))
                .collect();
            let expected = XdpFeatures {
                zero_copy_segments: Some(8),
                transmit_timestamp: timestamp,
                transmit_checksum: checksum,
                transmit_launch_time: launch_time,
                metadata: Some(XdpMetadata {
                    timestamp,
                    hash: checksum,
                    vlan: launch_time,
                }),
            };
            assert_eq!(reported, [expected]);
        }
    }

    #[test]
    fn damaged_answers_end_the_walk() {
        let bytes = answer(7);
        for cut in 0..bytes.len() {
            assert_eq!(messages(&bytes[..cut]).count(), 0, "{cut}");
        }
        for (at, value) in (0..bytes.len()).flat_map(|at| [0, 1, 3, 255].map(|value| (at, value))) {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            for reported in messages(&damaged).flatten() {
                let _ = (features(reported), family_id(reported));
            }
        }
    }
}
