//! gzip (RFC 1952), member by member.
//!
//! The framing is ours and not the library's, because a damaged file must yield every byte unpacked
//! before the damage, and a reader that would block must be retried.

use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::packed::{CUT_SHORT, Damage, Packed};

/// Unpacks a gzip file.
pub(in crate::pcap) struct Gzip<R> {
    packed: Packed<R>,
    inflate: Decompress,
    crc: Crc,
    state: State,
}

enum State {
    /// At the header of a member; `true` if it is the first.
    Header(bool),
    Data,
    /// Behind the data of a member, at its checksum and length.
    Trailer,
    Ended,
    Damaged(Damage),
}

/// Bytes behind the data of a member.
const TRAILER: usize = 8;

impl<R> Gzip<R> {
    pub(super) fn new(packed: Packed<R>) -> Self {
        Self {
            packed,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            state: State::Header(true),
        }
    }

    pub(super) const fn get_mut(&mut self) -> &mut R {
        self.packed.get_mut()
    }
}

impl<R: Read> Gzip<R> {
    fn header(&mut self, is_first: bool) -> io::Result<State> {
        if !is_first && (!self.packed.need(1)? || self.packed.unread()[0] == 0) {
            // Tapes and some writers pad the end with zeros.
            return Ok(State::Ended);
        }
        loop {
            match header_len(self.packed.unread()) {
                Ok(Some(len)) => {
                    self.packed.consume(len);
                    self.inflate.reset(false);
                    self.crc.reset();
                    return Ok(State::Data);
                }
                Ok(None) if self.packed.need(self.packed.unread().len() + 1)? => {}
                Ok(None) => return Ok(State::Damaged(self.packed.damage(CUT_SHORT))),
                Err(why) => return Ok(State::Damaged(self.packed.damage(why))),
            }
        }
    }

    /// Unpacks some bytes; none at the end of the member, or of what can be unpacked.
    fn data(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let unread = self.packed.unread();
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(unread, into, FlushDecompress::None);
            let read = (self.inflate.total_in() - read) as usize;
            let written = (self.inflate.total_out() - written) as usize;
            self.packed.consume(read);
            self.crc.update(&into[..written]);
            match status {
                Ok(Status::StreamEnd) => self.state = State::Trailer,
                Err(_) => {
                    let why = "its compressed data is invalid";
                    self.state = State::Damaged(self.packed.damage(why));
                }
                Ok(_) if written == 0 && read == 0 => {
                    if self.packed.need(self.packed.unread().len() + 1)? {
                        continue;
                    }
                    self.state = State::Damaged(self.packed.damage(CUT_SHORT));
                }
                Ok(_) if written == 0 => continue,
                Ok(_) => {}
            }
            return Ok(written);
        }
    }

    fn trailer(&mut self) -> io::Result<State> {
        if !self.packed.need(TRAILER)? {
            return Ok(State::Damaged(self.packed.damage(CUT_SHORT)));
        }
        let trailer: [u8; TRAILER] = *self.packed.unread().first_chunk().expect("it was needed");
        let [a, b, c, d, e, f, g, h] = trailer;
        let (sum, len) = (
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        if sum != self.crc.sum() || len != self.inflate.total_out() as u32 {
            let why = "its data does not match the checksum after it";
            return Ok(State::Damaged(self.packed.damage(why)));
        }
        self.packed.consume(TRAILER);
        Ok(State::Header(false))
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match &self.state {
                State::Header(is_first) => self.state = self.header(*is_first)?,
                State::Data => match self.data(into)? {
                    0 => {}
                    len => return Ok(len),
                },
                State::Trailer => self.state = self.trailer()?,
                State::Ended => return Ok(0),
                State::Damaged(damage) => return Err(damage.clone().into()),
            }
        }
    }
}

/// Bytes of the header of a member; `None` if there are too few bytes to know.
fn header_len(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    const FIXED: usize = 10;
    const CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;
    const MAGIC: [u8; 2] = [0x1f, 0x8b];
    if bytes.iter().zip(&MAGIC).any(|(byte, magic)| byte != magic) {
        return Err("bytes that are not of gzip follow its data");
    }
    let Some(&[_, _, method, flags, ..]) = bytes.first_chunk::<FIXED>() else {
        return Ok(None);
    };
    if method != 8 || flags & RESERVED != 0 {
        return Err("its header is not one of gzip");
    }
    let mut len = FIXED;
    if flags & EXTRA != 0 {
        let Some(&[low, high]) = bytes.get(len..).and_then(<[u8]>::first_chunk) else {
            return Ok(None);
        };
        len += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let rest = bytes.get(len..).unwrap_or_default();
            let Some(end) = rest.iter().position(|byte| *byte == 0) else {
                return if rest.len() > usize::from(u16::MAX) {
                    Err("its header does not end")
                } else {
                    Ok(None)
                };
            };
            len += end + 1;
        }
    }
    if flags & CRC != 0 {
        len += 2;
    }
    Ok((bytes.len() >= len).then_some(len))
}
