//! Builds a block as the kernel fills it, in ordinary memory.

use std::mem::offset_of;

use netring_sys::kernel::packet::{
    ARPHRD_ETHER, TP_STATUS_TS_SOFTWARE, TP_STATUS_USER, TPACKET3_HDRLEN_ALIGNED, sockaddr_ll,
    tpacket_block_desc, tpacket3_hdr,
};

/// Offset of the frame from its packet header: the kernel aligns the network header to 16 bytes,
/// and puts the Ethernet header before it.
const TP_MAC: usize =
    (TPACKET3_HDRLEN_ALIGNED + size_of::<sockaddr_ll>() + 16).next_multiple_of(16) - 14;

/// Fills a block of this size with copies of this frame, and returns it with their number.
pub(crate) fn block(size: usize, frame: &[u8]) -> (Vec<u8>, u64) {
    let mut block = vec![0; size];
    let slot = (TP_MAC + frame.len()).next_multiple_of(8);
    let first = size_of::<tpacket_block_desc>();
    let count = (size - first) / slot;
    put(
        &mut block,
        offset_of!(tpacket_block_desc, block_status),
        TP_STATUS_USER,
    );
    put(
        &mut block,
        offset_of!(tpacket_block_desc, num_pkts),
        count as u32,
    );
    put(
        &mut block,
        offset_of!(tpacket_block_desc, offset_to_first_pkt),
        first as u32,
    );
    for n in 0..count {
        let header = &mut block[first + n * slot..][..slot];
        let next = if n + 1 < count { slot } else { 0 };
        put(
            header,
            offset_of!(tpacket3_hdr, tp_next_offset),
            next as u32,
        );
        put(header, offset_of!(tpacket3_hdr, tp_sec), 1_700_000_000);
        put(header, offset_of!(tpacket3_hdr, tp_nsec), n as u32);
        put(
            header,
            offset_of!(tpacket3_hdr, tp_snaplen),
            frame.len() as u32,
        );
        put(header, offset_of!(tpacket3_hdr, tp_len), frame.len() as u32);
        put(
            header,
            offset_of!(tpacket3_hdr, tp_status),
            TP_STATUS_TS_SOFTWARE,
        );
        header[offset_of!(tpacket3_hdr, tp_mac)..][..2]
            .copy_from_slice(&(TP_MAC as u16).to_ne_bytes());
        put(
            header,
            TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_ifindex),
            2,
        );
        header[TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype)..][..2]
            .copy_from_slice(&ARPHRD_ETHER.to_ne_bytes());
        header[TP_MAC..][..frame.len()].copy_from_slice(frame);
    }
    (block, count as u64)
}

fn put(bytes: &mut [u8], offset: usize, word: u32) {
    bytes[offset..][..4].copy_from_slice(&word.to_ne_bytes());
}
