//! Our structs and constants compared with libc's: size, alignment, and the offset of every field.

use netring_sys::kernel::filter::{self, SockFilter};
use netring_sys::kernel::packet as ours;

/// Compares size, alignment and the offset of each field of a type with those of its counterpart.
macro_rules! same_layout {
    ($ours:ty, $theirs:ty, { $($field:ident = $their_field:ident),* $(,)? }) => {{
        assert_eq!(size_of::<$ours>(), size_of::<$theirs>(), stringify!($ours));
        assert_eq!(align_of::<$ours>(), align_of::<$theirs>(), stringify!($ours));
        $(assert_eq!(
            std::mem::offset_of!($ours, $field),
            std::mem::offset_of!($theirs, $their_field),
            concat!(stringify!($ours), ".", stringify!($field)),
        );)*
    }};
}

#[test]
fn structs() {
    same_layout!(ours::tpacket_req3, libc::tpacket_req3, {
        tp_block_size = tp_block_size, tp_block_nr = tp_block_nr, tp_frame_size = tp_frame_size,
        tp_frame_nr = tp_frame_nr, tp_retire_blk_tov = tp_retire_blk_tov, tp_sizeof_priv = tp_sizeof_priv,
        tp_feature_req_word = tp_feature_req_word,
    });
    same_layout!(ours::tpacket3_hdr, libc::tpacket3_hdr, {
        tp_next_offset = tp_next_offset, tp_sec = tp_sec, tp_nsec = tp_nsec, tp_snaplen = tp_snaplen, tp_len = tp_len,
        tp_status = tp_status, tp_mac = tp_mac, tp_net = tp_net, tp_rxhash = hv1, tp_padding = tp_padding,
    });
    same_layout!(ours::tpacket2_hdr, libc::tpacket2_hdr, {
        tp_status = tp_status, tp_len = tp_len, tp_snaplen = tp_snaplen, tp_mac = tp_mac, tp_net = tp_net,
        tp_sec = tp_sec, tp_nsec = tp_nsec, tp_vlan_tci = tp_vlan_tci, tp_vlan_tpid = tp_vlan_tpid,
        tp_padding = tp_padding,
    });
    same_layout!(ours::sockaddr_ll, libc::sockaddr_ll, {
        sll_family = sll_family, sll_protocol = sll_protocol, sll_ifindex = sll_ifindex, sll_hatype = sll_hatype,
        sll_pkttype = sll_pkttype, sll_halen = sll_halen, sll_addr = sll_addr,
    });
    same_layout!(ours::tpacket_stats_v3, libc::tpacket_stats_v3, {
        tp_packets = tp_packets, tp_drops = tp_drops, tp_freeze_q_cnt = tp_freeze_q_cnt,
    });
    same_layout!(ours::fanout_args, libc::fanout_args, {
        id = id, type_flags = type_flags, max_num_members = max_num_members,
    });
    same_layout!(SockFilter, libc::sock_filter, { code = code, jt = jt, jf = jf, k = k });
}

/// Ours has room for the longest address, of which libc's is the beginning.
#[test]
fn a_membership_begins_as_that_of_the_header() {
    macro_rules! same_offset {
        ($($name:ident),*) => { $(assert_eq!(
            std::mem::offset_of!(ours::packet_mreq_max, $name),
            std::mem::offset_of!(libc::packet_mreq, $name),
            stringify!($name),
        );)* };
    }
    same_offset!(mr_ifindex, mr_type, mr_alen, mr_address);
    let (longer, shorter) = (
        size_of::<ours::packet_mreq_max>(),
        size_of::<libc::packet_mreq>(),
    );
    assert_eq!(longer - shorter, ours::MAX_ADDR_LEN - 8);
}

/// libc has hash and tag in a struct within a union; ours have the same offsets.
#[test]
fn packet_header_variant() {
    let inner = std::mem::offset_of!(libc::tpacket3_hdr, hv1);
    macro_rules! word {
        ($($name:ident = $their_name:ident),*) => { $(assert_eq!(
            std::mem::offset_of!(ours::tpacket3_hdr, $name),
            inner + std::mem::offset_of!(libc::tpacket_hdr_variant1, $their_name),
            stringify!($name),
        );)* };
    }
    word!(
        tp_rxhash = tp_rxhash,
        tp_vlan_tci = tp_vlan_tci,
        tp_vlan_tpid = tp_vlan_tpid,
        tp_hv1_padding = tp_padding
    );
    // TPACKET_ALIGN of the size of the header, after which the address follows.
    let aligned = size_of::<libc::tpacket3_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
    assert_eq!(ours::TPACKET3_HDRLEN_ALIGNED, aligned);
    let aligned = size_of::<libc::tpacket2_hdr>().next_multiple_of(libc::TPACKET_ALIGNMENT);
    assert_eq!(ours::TPACKET2_HDRLEN_ALIGNED, aligned);
}

/// libc has the block header as a union in three structs; our words have the same offsets.
#[test]
fn block_header() {
    let inner = std::mem::offset_of!(libc::tpacket_block_desc, hdr);
    let theirs = |field: usize| inner + field;
    assert_eq!(
        size_of::<ours::tpacket_block_desc>(),
        size_of::<libc::tpacket_block_desc>()
    );
    for (ours, theirs) in [
        (
            std::mem::offset_of!(ours::tpacket_block_desc, version),
            std::mem::offset_of!(libc::tpacket_block_desc, version),
        ),
        (
            std::mem::offset_of!(ours::tpacket_block_desc, offset_to_priv),
            std::mem::offset_of!(libc::tpacket_block_desc, offset_to_priv),
        ),
    ] {
        assert_eq!(ours, theirs);
    }
    macro_rules! word {
        ($($name:ident),*) => { $(assert_eq!(
            std::mem::offset_of!(ours::tpacket_block_desc, $name),
            theirs(std::mem::offset_of!(libc::tpacket_hdr_v1, $name)),
            stringify!($name),
        );)* };
    }
    word!(
        block_status,
        num_pkts,
        offset_to_first_pkt,
        blk_len,
        seq_num,
        ts_first_pkt,
        ts_last_pkt
    );
}

#[test]
fn constants() {
    assert_eq!(ours::TPACKET_V2, libc::tpacket_versions::TPACKET_V2 as i32);
    assert_eq!(ours::TPACKET_V3, libc::tpacket_versions::TPACKET_V3 as i32);
    assert_eq!(ours::TPACKET_ALIGNMENT, libc::TPACKET_ALIGNMENT);
    assert_eq!(ours::TP_FT_REQ_FILL_RXHASH, libc::TP_FT_REQ_FILL_RXHASH);
    let statuses = [
        (ours::TP_STATUS_KERNEL, libc::TP_STATUS_KERNEL),
        (ours::TP_STATUS_USER, libc::TP_STATUS_USER),
        (ours::TP_STATUS_COPY, libc::TP_STATUS_COPY),
        (ours::TP_STATUS_LOSING, libc::TP_STATUS_LOSING),
        (ours::TP_STATUS_CSUMNOTREADY, libc::TP_STATUS_CSUMNOTREADY),
        (ours::TP_STATUS_VLAN_VALID, libc::TP_STATUS_VLAN_VALID),
        (ours::TP_STATUS_BLK_TMO, libc::TP_STATUS_BLK_TMO),
        (
            ours::TP_STATUS_VLAN_TPID_VALID,
            libc::TP_STATUS_VLAN_TPID_VALID,
        ),
        (ours::TP_STATUS_CSUM_VALID, libc::TP_STATUS_CSUM_VALID),
        (ours::TP_STATUS_TS_SOFTWARE, libc::TP_STATUS_TS_SOFTWARE),
        (
            ours::TP_STATUS_TS_RAW_HARDWARE,
            libc::TP_STATUS_TS_RAW_HARDWARE,
        ),
    ];
    for (ours, theirs) in statuses {
        assert_eq!(ours, theirs);
    }
    let types = [
        (ours::PACKET_HOST, libc::PACKET_HOST),
        (ours::PACKET_BROADCAST, libc::PACKET_BROADCAST),
        (ours::PACKET_MULTICAST, libc::PACKET_MULTICAST),
        (ours::PACKET_OTHERHOST, libc::PACKET_OTHERHOST),
        (ours::PACKET_OUTGOING, libc::PACKET_OUTGOING),
    ];
    for (ours, theirs) in types {
        assert_eq!(ours, theirs);
    }
    assert_eq!(
        ours::SOF_TIMESTAMPING_SOFTWARE,
        libc::SOF_TIMESTAMPING_SOFTWARE
    );
    assert_eq!(
        ours::SOF_TIMESTAMPING_SYS_HARDWARE,
        libc::SOF_TIMESTAMPING_SYS_HARDWARE
    );
    assert_eq!(
        ours::SOF_TIMESTAMPING_RAW_HARDWARE,
        libc::SOF_TIMESTAMPING_RAW_HARDWARE
    );
    assert_eq!(i32::from(ours::PACKET_MR_PROMISC), libc::PACKET_MR_PROMISC);
    assert_eq!(
        i32::from(ours::PACKET_MR_MULTICAST),
        libc::PACKET_MR_MULTICAST
    );
    assert_eq!(
        i32::from(ours::PACKET_MR_ALLMULTI),
        libc::PACKET_MR_ALLMULTI
    );
    assert_eq!(i32::from(ours::PACKET_MR_UNICAST), libc::PACKET_MR_UNICAST);
    assert_eq!(i32::from(ours::ETH_P_ALL), libc::ETH_P_ALL);
    fanout();
    assert_eq!(ours::ARPHRD_ETHER, libc::ARPHRD_ETHER);
    assert_eq!(ours::ARPHRD_LOOPBACK, libc::ARPHRD_LOOPBACK);
    hardware_types();
    assert_eq!(filter::BPF_MAXINSNS, libc::BPF_MAXINSNS as usize);
    assert_eq!(filter::BPF_MEMWORDS, libc::BPF_MEMWORDS as u32);
    assert_eq!(filter::SKF_AD_OFF, libc::SKF_AD_OFF as u32);
    assert_eq!(filter::SKF_NET_OFF, libc::SKF_NET_OFF as u32);
    assert_eq!(filter::SKF_LL_OFF, libc::SKF_LL_OFF as u32);
    let numbers = [
        libc::SKF_AD_PROTOCOL,
        libc::SKF_AD_PKTTYPE,
        libc::SKF_AD_IFINDEX,
        libc::SKF_AD_NLATTR,
        libc::SKF_AD_NLATTR_NEST,
        libc::SKF_AD_MARK,
        libc::SKF_AD_QUEUE,
        libc::SKF_AD_HATYPE,
        libc::SKF_AD_RXHASH,
        libc::SKF_AD_CPU,
        libc::SKF_AD_ALU_XOR_X,
        libc::SKF_AD_VLAN_TAG,
        libc::SKF_AD_VLAN_TAG_PRESENT,
        libc::SKF_AD_PAY_OFFSET,
        libc::SKF_AD_RANDOM,
        libc::SKF_AD_VLAN_TPID,
    ];
    let ours = netring_sys::filter::Ancillary::ALL.map(|fact| fact.number() as i32);
    assert_eq!(ours, numbers);
    assert_eq!(libc::SKF_AD_MAX, 64);
    assert_eq!(u32::from(filter::BPF_RET_K), libc::BPF_RET | libc::BPF_K);
    // libc does not have the header's BPF_A.
    assert_eq!(u32::from(filter::BPF_RET_A), libc::BPF_RET | 0x10);
    assert_eq!(
        u32::from(filter::BPF_LD_H_ABS),
        libc::BPF_LD | libc::BPF_H | libc::BPF_ABS
    );
    assert_eq!(
        u32::from(filter::BPF_LD_B_ABS),
        libc::BPF_LD | libc::BPF_B | libc::BPF_ABS
    );
    assert_eq!(
        u32::from(filter::BPF_LD_W_LEN),
        libc::BPF_LD | libc::BPF_W | libc::BPF_LEN
    );
    assert_eq!(
        u32::from(filter::BPF_JEQ_K),
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K
    );
}

#[test]
fn xdp() {
    use netring_sys::kernel::xdp as ours;
    same_layout!(ours::sockaddr_xdp, libc::sockaddr_xdp, {
        sxdp_family = sxdp_family, sxdp_flags = sxdp_flags, sxdp_ifindex = sxdp_ifindex,
        sxdp_queue_id = sxdp_queue_id, sxdp_shared_umem_fd = sxdp_shared_umem_fd,
    });
    same_layout!(ours::xdp_umem_reg, libc::xdp_umem_reg, {
        addr = addr, len = len, chunk_size = chunk_size, headroom = headroom, flags = flags,
        tx_metadata_len = tx_metadata_len,
    });
    // The sizes of older kernels are its first 24 and 28 bytes, and it has no padding that could be
    // other than zero.
    assert_eq!(size_of::<libc::xdp_umem_reg_v1>(), 24);
    assert_eq!(std::mem::offset_of!(ours::xdp_umem_reg, flags), 24);
    assert_eq!(
        std::mem::offset_of!(ours::xdp_umem_reg, tx_metadata_len),
        28
    );
    assert_eq!(size_of::<ours::xdp_umem_reg>(), 32);
    same_layout!(ours::xdp_ring_offset, libc::xdp_ring_offset, {
        producer = producer, consumer = consumer, desc = desc, flags = flags,
    });
    same_layout!(ours::xdp_mmap_offsets, libc::xdp_mmap_offsets, { rx = rx, tx = tx, fr = fr, cr = cr });
    assert_eq!(size_of::<libc::xdp_mmap_offsets_v1>(), 96);
    same_layout!(ours::xdp_statistics, libc::xdp_statistics, {
        rx_dropped = rx_dropped, rx_invalid_descs = rx_invalid_descs, tx_invalid_descs = tx_invalid_descs,
        rx_ring_full = rx_ring_full, rx_fill_ring_empty_descs = rx_fill_ring_empty_descs,
        tx_ring_empty_descs = tx_ring_empty_descs,
    });
    same_layout!(ours::xdp_options, libc::xdp_options, { flags = flags });
    same_layout!(ours::xdp_desc, libc::xdp_desc, { addr = addr, len = len, options = options });
    tx_metadata();

    let bind = [
        (ours::XDP_SHARED_UMEM, libc::XDP_SHARED_UMEM),
        (ours::XDP_COPY, libc::XDP_COPY),
        (ours::XDP_ZEROCOPY, libc::XDP_ZEROCOPY),
        (ours::XDP_USE_NEED_WAKEUP, libc::XDP_USE_NEED_WAKEUP),
        (ours::XDP_USE_SG, libc::XDP_USE_SG),
    ];
    for (ours, theirs) in bind {
        assert_eq!(ours, theirs);
    }
    let words = [
        (
            ours::XDP_UMEM_UNALIGNED_CHUNK_FLAG,
            libc::XDP_UMEM_UNALIGNED_CHUNK_FLAG,
        ),
        (ours::XDP_UMEM_TX_SW_CSUM, libc::XDP_UMEM_TX_SW_CSUM),
        (
            ours::XDP_UMEM_TX_METADATA_LEN,
            libc::XDP_UMEM_TX_METADATA_LEN,
        ),
        (ours::XDP_RING_NEED_WAKEUP, libc::XDP_RING_NEED_WAKEUP),
        (ours::XDP_OPTIONS_ZEROCOPY, libc::XDP_OPTIONS_ZEROCOPY),
        (ours::XDP_PKT_CONTD, libc::XDP_PKT_CONTD),
        (ours::XDP_TX_METADATA, libc::XDP_TX_METADATA),
    ];
    for (ours, theirs) in words {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours::XDP_PGOFF_RX_RING, libc::XDP_PGOFF_RX_RING as u64);
    assert_eq!(ours::XDP_PGOFF_TX_RING, libc::XDP_PGOFF_TX_RING as u64);
    assert_eq!(
        ours::XDP_UMEM_PGOFF_FILL_RING,
        libc::XDP_UMEM_PGOFF_FILL_RING
    );
    assert_eq!(
        ours::XDP_UMEM_PGOFF_COMPLETION_RING,
        libc::XDP_UMEM_PGOFF_COMPLETION_RING
    );
    assert_eq!(
        ours::XSK_UNALIGNED_BUF_OFFSET_SHIFT,
        libc::XSK_UNALIGNED_BUF_OFFSET_SHIFT as u32
    );
    assert_eq!(
        ours::XSK_UNALIGNED_BUF_ADDR_MASK,
        libc::XSK_UNALIGNED_BUF_ADDR_MASK
    );
}

/// libc has a request without the launch time, the newest word of it, and the completion in its
/// place.
fn tx_metadata() {
    use netring_sys::kernel::xdp as ours;
    macro_rules! word {
        ($name:ident) => {
            assert_eq!(
                std::mem::offset_of!(ours::xsk_tx_metadata_request, $name),
                std::mem::offset_of!(libc::xsk_tx_metadata_request, $name),
            )
        };
    }
    word!(csum_start);
    word!(csum_offset);
    let (flags, request) = (
        std::mem::offset_of!(libc::xsk_tx_metadata, flags),
        std::mem::offset_of!(libc::xsk_tx_metadata, xsk_tx_metadata_union),
    );
    assert_eq!(std::mem::offset_of!(ours::xsk_tx_metadata, flags), flags);
    assert_eq!(
        std::mem::offset_of!(ours::xsk_tx_metadata, request),
        request
    );
    assert_eq!(
        ours::XSK_TX_METADATA_TIMESTAMP,
        std::mem::offset_of!(libc::xsk_tx_metadata, xsk_tx_metadata_union)
            + std::mem::offset_of!(libc::xsk_tx_metadata_completion, tx_timestamp),
    );
    assert_eq!(
        ours::XDP_TXMD_FLAGS_TIMESTAMP,
        libc::XDP_TXMD_FLAGS_TIMESTAMP.into()
    );
    assert_eq!(
        ours::XDP_TXMD_FLAGS_CHECKSUM,
        libc::XDP_TXMD_FLAGS_CHECKSUM.into()
    );
    // `XDP_TXMD_FLAGS_LAUNCH_TIME` and `launch_time` are newer than libc.
    assert_eq!(ours::XDP_TXMD_FLAGS_LAUNCH_TIME, 4);
    assert_eq!(
        std::mem::offset_of!(ours::xsk_tx_metadata_request, launch_time),
        8
    );
    assert_eq!(size_of::<ours::xsk_tx_metadata>(), 24);
}

fn fanout() {
    let ours = [
        ours::PACKET_FANOUT_HASH,
        ours::PACKET_FANOUT_LB,
        ours::PACKET_FANOUT_CPU,
        ours::PACKET_FANOUT_ROLLOVER,
        ours::PACKET_FANOUT_RND,
        ours::PACKET_FANOUT_QM,
        ours::PACKET_FANOUT_CBPF,
        ours::PACKET_FANOUT_EBPF,
        ours::PACKET_FANOUT_FLAG_ROLLOVER,
        ours::PACKET_FANOUT_FLAG_UNIQUEID,
        ours::PACKET_FANOUT_FLAG_IGNORE_OUTGOING,
        ours::PACKET_FANOUT_FLAG_DEFRAG,
    ];
    let theirs = [
        libc::PACKET_FANOUT_HASH,
        libc::PACKET_FANOUT_LB,
        libc::PACKET_FANOUT_CPU,
        libc::PACKET_FANOUT_ROLLOVER,
        libc::PACKET_FANOUT_RND,
        libc::PACKET_FANOUT_QM,
        libc::PACKET_FANOUT_CBPF,
        libc::PACKET_FANOUT_EBPF,
        libc::PACKET_FANOUT_FLAG_ROLLOVER,
        libc::PACKET_FANOUT_FLAG_UNIQUEID,
        libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING,
        libc::PACKET_FANOUT_FLAG_DEFRAG,
    ];
    assert_eq!(ours.map(u32::from), theirs);
    // libc has no type for it: three words of 64 bits.
    assert_eq!(size_of::<ours::tpacket_rollover_stats>(), 24);
}

fn hardware_types() {
    use netring_sys::kernel::packet as ours;
    for (ours, theirs) in [
        (ours::ARPHRD_PPP, libc::ARPHRD_PPP),
        (ours::ARPHRD_CISCO, libc::ARPHRD_CISCO),
        (ours::ARPHRD_TUNNEL, libc::ARPHRD_TUNNEL),
        (ours::ARPHRD_TUNNEL6, libc::ARPHRD_TUNNEL6),
        (ours::ARPHRD_SIT, libc::ARPHRD_SIT),
        (ours::ARPHRD_IPGRE, libc::ARPHRD_IPGRE),
        (ours::ARPHRD_IEEE80211, libc::ARPHRD_IEEE80211),
        (ours::ARPHRD_IEEE80211_PRISM, libc::ARPHRD_IEEE80211_PRISM),
        (
            ours::ARPHRD_IEEE80211_RADIOTAP,
            libc::ARPHRD_IEEE80211_RADIOTAP,
        ),
        (ours::ARPHRD_IEEE802154, libc::ARPHRD_IEEE802154),
        (ours::ARPHRD_NONE, libc::ARPHRD_NONE),
        // Constants that libc does not define.
        (ours::ARPHRD_RAWIP, 519),
        (ours::ARPHRD_IP6GRE, 823),
        (ours::ARPHRD_VSOCKMON, 826),
    ] {
        assert_eq!(ours, theirs);
    }
}

/// libc has neither of these structs: their sizes are part of the kernel's interface.
#[test]
fn words_without_a_counterpart() {
    use netring_sys::kernel::packet::virtio_net_hdr;
    use netring_sys::kernel::timestamping::{ethtool_ts_info, hwtstamp_config};
    assert_eq!(size_of::<virtio_net_hdr>(), 10);
    assert_eq!(size_of::<hwtstamp_config>(), 12);
    assert_eq!(size_of::<ethtool_ts_info>(), 44);
    assert_eq!(std::mem::offset_of!(ethtool_ts_info, rx_filters), 28);
    let header = virtio_net_hdr {
        flags: 1,
        gso_type: 2,
        hdr_len: 0x0304,
        gso_size: 0x0506,
        csum_start: 0x0708,
        csum_offset: 0x090a,
    };
    assert_eq!(virtio_net_hdr::from_bytes(&header.to_bytes()), header);
    assert_eq!(header.to_bytes()[4..6], 0x0506_u16.to_ne_bytes());
}
