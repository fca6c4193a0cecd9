//! Driver features for AF_XDP sockets: the generic netlink family "netdev"
//! (`Documentation/netlink/specs/netdev.yaml`, kernel 6.3).

use super::generic::{ask, family, request, u32_of};
use super::wire::{attribute, value_of};
use crate::SyscallError;

// [`NETDEV_CMD_DEV_GET`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L189
const NETDEV_CMD_DEV_GET: u8 = 1;
// [`NETDEV_A_DEV_IFINDEX`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L78
const NETDEV_A_DEV_IFINDEX: u16 = 1;
// [`NETDEV_A_DEV_XDP_FEATURES`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L80
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
// [`NETDEV_XDP_ACT_BASIC`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/netdev.h#L29
const NETDEV_XDP_ACT_BASIC: u64 = 1;
const NETDEV_XDP_ACT_REDIRECT: u64 = 2;
const NETDEV_XDP_ACT_NDO_XMIT: u64 = 4;
const NETDEV_XDP_ACT_XSK_ZEROCOPY: u64 = 8;
const NETDEV_XDP_ACT_RX_SG: u64 = 32;
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

/// A driver's support for AF_XDP sockets in zero-copy mode (in copy mode the kernel provides it),
/// and for XDP programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XdpFeatures {
    /// Its driver runs XDP programs (native mode) and implements the verdicts that all drivers do:
    /// pass, drop, abort and send back. Like all fields up to [`zero_copy`](Self::zero_copy), it is
    /// false if the kernel does not report it (before 6.3), and describes the current state: a
    /// device may need other settings first, as veth needs queues.
    #[doc(alias = "NETDEV_XDP_ACT_BASIC")]
    pub native: bool,
    /// Programs in native mode may redirect packets, as AF_XDP needs.
    #[doc(alias = "NETDEV_XDP_ACT_REDIRECT")]
    pub redirect: bool,
    /// It sends packets that were redirected to it.
    #[doc(alias = "NETDEV_XDP_ACT_NDO_XMIT")]
    pub redirect_target: bool,
    /// Programs in native mode may get packets in several buffers.
    #[doc(alias = "NETDEV_XDP_ACT_RX_SG")]
    pub receive_segments: bool,
    /// AF_XDP sockets in zero-copy mode.
    #[doc(alias = "NETDEV_XDP_ACT_XSK_ZEROCOPY")]
    pub zero_copy: bool,
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
        let Some(family) = family(b"netdev\0")? else {
            return Ok(None);
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

fn features(answer: &[u8]) -> XdpFeatures {
    let flags = |kind| {
        value_of(answer, kind).map(|value| {
            let bytes = value.first_chunk();
            bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
        })
    };
    let transmit = flags(NETDEV_A_DEV_XSK_FEATURES).unwrap_or_default();
    let act = flags(NETDEV_A_DEV_XDP_FEATURES).unwrap_or_default();
    XdpFeatures {
        native: act & NETDEV_XDP_ACT_BASIC != 0,
        redirect: act & NETDEV_XDP_ACT_REDIRECT != 0,
        redirect_target: act & NETDEV_XDP_ACT_NDO_XMIT != 0,
        receive_segments: act & NETDEV_XDP_ACT_RX_SG != 0,
        zero_copy: act & NETDEV_XDP_ACT_XSK_ZEROCOPY != 0,
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

#[cfg(test)]
mod tests {
    use super::super::generic::messages;
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
            NETDEV_A_DEV_XDP_FEATURES,
            NETDEV_A_DEV_XSK_FEATURES,
            NETDEV_A_DEV_XDP_RX_METADATA_FEATURES,
        ] {
            attribute(&mut reported, kind, &features.to_ne_bytes());
        }
        request(30, NETDEV_CMD_DEV_GET, &reported)
    }

    #[test]
    fn what_a_driver_can_do_is_read() {
        // The first three bits of each set.
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
                native: timestamp,
                redirect: checksum,
                redirect_target: launch_time,
                receive_segments: flags == u64::MAX,
                zero_copy: flags == u64::MAX,
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
                let _ = features(reported);
            }
        }
    }
}
