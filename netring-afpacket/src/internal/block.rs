//! Blocks as the kernel lays them out, in ordinary memory.

use std::mem::offset_of;

use netring_sys::kernel::packet::{
    ARPHRD_ETHER, TP_STATUS_USER, TPACKET3_HDRLEN_ALIGNED, sockaddr_ll, tpacket_block_desc,
    tpacket3_hdr,
};

/// Bytes of a block's own header.
pub(crate) const DESC: usize = size_of::<tpacket_block_desc>();
/// Bytes from a packet's header to its Ethernet frame: the kernel aligns the network header to 16
/// bytes.
pub(crate) const MAC: usize = 82;

/// A TPACKET_V3 block in ordinary memory, for tests, benchmarks and fuzzers.
#[derive(Clone, Debug)]
pub struct BlockBuilder {
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: Vec<usize>,
    pub(crate) used: usize,
}

impl BlockBuilder {
    /// An empty block of `len` bytes that belongs to the reader.
    ///
    /// # Panics
    /// Panics if the block's header does not fit.
    pub fn new(len: usize) -> Self {
        let mut block = Self {
            bytes: vec![0; len],
            headers: Vec::new(),
            used: DESC,
        };
        let status = offset_of!(tpacket_block_desc, block_status);
        block.set_block_field(status, TP_STATUS_USER);
        block
    }

    /// A block of `len` bytes with these frames.
    ///
    /// # Panics
    /// Panics if they do not fit.
    pub fn with_frames(len: usize, frames: &[&[u8]]) -> Self {
        let mut block = Self::new(len);
        for frame in frames {
            assert!(block.push(frame), "the frames do not fit into the block");
        }
        block
    }

    /// Appends an Ethernet frame. Returns false if it does not fit, and changes nothing.
    pub fn push(&mut self, frame: &[u8]) -> bool {
        let at = self.used;
        let end = at + (MAC + frame.len()).next_multiple_of(8);
        if end > self.bytes.len() {
            return false;
        }
        let n = self.headers.len();
        self.headers.push(at);
        if let Some(before) = n.checked_sub(1) {
            let next = at - self.headers[before];
            self.set_field(
                before,
                offset_of!(tpacket3_hdr, tp_next_offset),
                next as u32,
            );
        }
        self.set_field(n, offset_of!(tpacket3_hdr, tp_snaplen), frame.len() as u32);
        self.set_field(n, offset_of!(tpacket3_hdr, tp_len), frame.len() as u32);
        self.set_field(n, offset_of!(tpacket3_hdr, tp_mac), MAC as u32);
        self.set_field(n, offset_of!(tpacket3_hdr, tp_status), TP_STATUS_USER);
        self.put(
            at + TPACKET3_HDRLEN_ALIGNED + offset_of!(sockaddr_ll, sll_hatype),
            &ARPHRD_ETHER.to_ne_bytes(),
        );
        self.put(at + MAC, frame);
        self.used = end;
        let count = self.headers.len() as u32;
        self.set_block_field(offset_of!(tpacket_block_desc, num_pkts), count);
        let first = offset_of!(tpacket_block_desc, offset_to_first_pkt);
        self.set_block_field(first, DESC as u32);
        let len = offset_of!(tpacket_block_desc, blk_len);
        self.set_block_field(len, self.used as u32);
        true
    }

    /// Overwrites the field at this offset of `tpacket3_hdr`, or of the `sockaddr_ll` behind it, in
    /// packet `n`, counted from 0.
    ///
    /// # Panics
    /// Panics if there is no such packet.
    pub fn set_field(&mut self, n: usize, offset: usize, value: u32) {
        let at = self.headers[n] + offset;
        // The only field of 16 bits that callers set.
        if offset == offset_of!(tpacket3_hdr, tp_mac) {
            self.put(at, &(value as u16).to_ne_bytes());
        } else {
            self.put(at, &value.to_ne_bytes());
        }
    }

    /// Overwrites the field at this offset of the block's own header, `tpacket_block_desc`.
    pub fn set_block_field(&mut self, offset: usize, value: u32) {
        self.put(offset, &value.to_ne_bytes());
    }

    /// The number of frames in the block.
    pub const fn frames(&self) -> usize {
        self.headers.len()
    }

    /// The bytes of the whole block.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}
