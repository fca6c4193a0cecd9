//! Zstandard (RFC 8878), frame by frame and block by block.
//!
//! The library is given whole blocks: it loses a partial block if the reader would block or ends,
//! and keeps the bytes of its window to itself until a frame is complete. A damaged frame is
//! completed with an empty block, so that all bytes before the damage are unpacked.

use std::io::{self, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::packed::{CUT_SHORT, Damage, Packed};

/// The first bytes of a frame.
pub(super) const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The most bytes of a block.
const MAX_BLOCK: usize = 128 * 1024;

/// Bytes of the header of a block.
const BLOCK_HEADER: usize = 3;

/// The last block of a frame, without data, and room for a checksum.
const EMPTY_LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// Unpacks a zstd file.
pub(in crate::pcap) struct Zstd<R> {
    packed: Packed<R>,
    decoder: FrameDecoder,
    state: State,
}

enum State {
    /// At a frame; `true` if it is the first.
    Frame(bool),
    /// In a frame that is not for decoders, with this many bytes left.
    Skip(u64),
    /// In a frame, which has a checksum or not.
    Block(bool),
    /// Behind a frame, which has a checksum or not.
    Check(bool),
    Ended,
    Damaged(Damage),
}

impl<R> Zstd<R> {
    pub(super) fn new(packed: Packed<R>) -> Self {
        Self {
            packed,
            decoder: FrameDecoder::new(),
            state: State::Frame(true),
        }
    }

    pub(super) const fn get_mut(&mut self) -> &mut R {
        self.packed.get_mut()
    }

    /// The state after damage outside of a frame.
    fn damaged(&self, why: impl Into<String>) -> State {
        State::Damaged(self.packed.damage(why))
    }

    /// The state after damage in a frame, whose bytes so far can be taken.
    fn salvaged(&mut self, why: impl Into<String>) -> State {
        let damage = self.damaged(why);
        // If that fails too, the bytes stay in the decoder.
        let last = BlockDecodingStrategy::UptoBlocks(1);
        let _ = self.decoder.decode_blocks(&EMPTY_LAST_BLOCK[..], last);
        damage
    }

    fn check(&self, has_checksum: bool) -> State {
        let (stored, computed) = (
            self.decoder.get_checksum_from_data(),
            self.decoder.get_calculated_checksum(),
        );
        if has_checksum && stored != computed {
            return self.damaged("its data does not match the checksum after it");
        }
        State::Frame(false)
    }
}

impl<R: Read> Zstd<R> {
    fn frame(&mut self, is_first: bool) -> io::Result<State> {
        if !is_first && !self.packed.need(1)? {
            return Ok(State::Ended);
        }
        // A magic number, and a descriptor or a length.
        if !self.packed.need(5)? {
            return Ok(self.damaged(CUT_SHORT));
        }
        let (magic, rest) = self.packed.unread().split_at(4);
        match *magic {
            [0x50..=0x5f, 0x2a, 0x4d, 0x18] => return self.skippable(),
            [a, b, c, d] if [a, b, c, d] == FRAME => {}
            _ => return Ok(self.damaged("bytes that are not of zstd follow its data")),
        }
        let descriptor = rest[0];
        let len = header_len(descriptor);
        if !self.packed.need(len)? {
            return Ok(self.damaged(CUT_SHORT));
        }
        if let Err(why) = self.decoder.reset(&self.packed.unread()[..len]) {
            return Ok(self.damaged(why.to_string()));
        }
        self.packed.consume(len);
        Ok(State::Block(descriptor & 4 != 0))
    }

    fn skippable(&mut self) -> io::Result<State> {
        const HEADER: usize = 8;
        if !self.packed.need(HEADER)? {
            return Ok(self.damaged(CUT_SHORT));
        }
        let unread = self.packed.unread();
        let len = u32::from_le_bytes([unread[4], unread[5], unread[6], unread[7]]);
        self.packed.consume(HEADER);
        Ok(State::Skip(len.into()))
    }

    fn skip(&mut self, left: u64) -> io::Result<State> {
        if left == 0 {
            return Ok(State::Frame(false));
        }
        if !self.packed.need(1)? {
            return Ok(self.damaged(CUT_SHORT));
        }
        let len = left.min(self.packed.unread().len() as u64);
        self.packed.consume(len as usize);
        Ok(State::Skip(left - len))
    }

    fn block(&mut self, has_checksum: bool) -> io::Result<State> {
        if !self.packed.need(BLOCK_HEADER)? {
            return Ok(self.salvaged(CUT_SHORT));
        }
        let unread = self.packed.unread();
        let word = u32::from_le_bytes([unread[0], unread[1], unread[2], 0]);
        let (is_last, kind, len) = (word & 1 == 1, word >> 1 & 3, (word >> 3) as usize);
        // A block of one repeated byte has that byte.
        let body = if kind == 1 { 1 } else { len };
        if kind == 3 || len > MAX_BLOCK {
            return Ok(self.salvaged("its compressed data is invalid"));
        }
        let checksum = if is_last && has_checksum { 4 } else { 0 };
        let total = BLOCK_HEADER + body + checksum;
        if !self.packed.need(total)? {
            return Ok(self.salvaged(CUT_SHORT));
        }
        let whole = &self.packed.unread()[..total];
        let decoded = self
            .decoder
            .decode_blocks(whole, BlockDecodingStrategy::UptoBlocks(1));
        if decoded.is_err() {
            return Ok(self.salvaged("its compressed data is invalid"));
        }
        self.packed.consume(total);
        Ok(match is_last {
            true => State::Check(has_checksum),
            false => State::Block(has_checksum),
        })
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            self.state = match &self.state {
                State::Frame(is_first) => self.frame(*is_first)?,
                State::Skip(left) => self.skip(*left)?,
                State::Block(has_checksum) => self.block(*has_checksum)?,
                State::Check(has_checksum) => self.check(*has_checksum),
                State::Ended => return Ok(0),
                State::Damaged(damage) => return Err(damage.clone().into()),
            };
        }
    }
}

/// Bytes of the header of a frame with this descriptor, the magic number included.
const fn header_len(descriptor: u8) -> usize {
    let is_single = descriptor & 0x20 != 0;
    let window = if is_single { 0 } else { 1 };
    let dictionary = [0, 1, 2, 4][descriptor as usize & 3];
    let size = match descriptor >> 6 {
        0 => is_single as usize,
        1 => 2,
        2 => 4,
        _ => 8,
    };
    5 + window + dictionary + size
}
