//! Blocks for tests, made without a kernel.

use std::mem::offset_of;

use netring_sys::kernel::packet::{
    ARPHRD_ETHER, TPACKET3_HDRLEN_ALIGNED, sockaddr_ll, tpacket_block_desc, tpacket3_hdr,
};

pub(crate) const DESC: usize = size_of::<tpacket_block_desc>();
/// Where the kernel puts an Ethernet frame behind its header: the network header is on a grid of 16
/// bytes.
pub(crate) const MAC: usize = 82;

/// A block as the kernel lays it out.
pub(crate) struct Block {
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: Vec<usize>,
    pub(crate) used: usize,
}

impl Block {
    pub(crate) fn of(len: usize, frames: &[&[u8]]) -> Self {
        let mut block = Self {
            bytes: vec![0; len],
            headers: Vec::new(),
            used: DESC,
        };
        for frame in frames {
            block.push(frame);
        }
        block
    }

    pub(crate) fn push(&mut self, frame: &[u8]) {
        let at = self.used;
        if let Some(&before) = self.headers.last() {
            let next = (at - before) as u32;
            self.put(
                before + offset_of!(tpacket3_hdr, tp_next_offset),
                &next.to_ne_bytes(),
            );
        }
        self.headers.push(at);
        for (field, value) in [
            (offset_of!(tpacket3_hdr, tp_snaplen), frame.len() as u32),
            (offset_of!(tpacket3_hdr, tp_len), frame.len() as u32),
        ] {
            self.put(at + field, &value.to_ne_bytes());
        }
        self.put(
            at + offset_of!(tpacket3_hdr, tp_mac),
            &(MAC as u16).to_ne_bytes(),
        );
        self.put(
            at + TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype),
            &ARPHRD_ETHER.to_ne_bytes(),
        );
        self.put(at + MAC, frame);
        self.used = at + (MAC + frame.len()).next_multiple_of(8);
        let count = self.headers.len() as u32;
        self.block_word(offset_of!(tpacket_block_desc, num_pkts), count);
        self.block_word(
            offset_of!(tpacket_block_desc, offset_to_first_pkt),
            DESC as u32,
        );
        self.block_word(offset_of!(tpacket_block_desc, blk_len), self.used as u32);
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn block_word(&mut self, field: usize, value: u32) {
        self.put(field, &value.to_ne_bytes());
    }

    /// Overwrites a field of the header of packet `n`.
    pub(crate) fn forge(&mut self, n: usize, field: usize, value: u32) {
        let at = self.headers[n] + field;
        if field == offset_of!(tpacket3_hdr, tp_mac) {
            self.put(at, &(value as u16).to_ne_bytes());
        } else {
            self.put(at, &value.to_ne_bytes());
        }
    }
}
