//! Options of pcapng blocks.

use std::borrow::Cow;

use super::block::{
    COMMENT, CUSTOM, END_OF_OPTIONS, EPB_DROP_COUNT, EPB_FLAGS, EPB_PACKET_ID, EPB_PROCESS_THREAD,
    EPB_QUEUE, EPB_VERDICT, IF_RX_SPEED, IF_SPEED, IF_TX_SPEED, IF_TZONE, UNCOPIED,
};
use super::order::ByteOrder;

/// The options of a block, encoded in little-endian order, without the one that ends them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options(Vec<u8>);

/// What a block describes: the same code means something else in another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Section,
    Interface,
    Packet,
    /// Of which no option has a number.
    Other,
}

impl Options {
    /// Adds an option. A value longer than an option can be (65,535 bytes) is cut there.
    pub(super) fn push(&mut self, code: u16, value: &[u8]) {
        push(&mut self.0, code, value);
    }

    /// Adds an option in place of all others with this code.
    pub(super) fn set(&mut self, code: u16, value: &[u8]) {
        let mut kept = Self::default();
        for (other, value) in self.iter().filter(|(other, _)| *other != code) {
            kept.push(other, value);
        }
        kept.push(code, value);
        *self = kept;
    }

    /// Adds an option of a block in its byte order.
    fn push_read(&mut self, order: ByteOrder, of: Of, code: u16, value: &[u8]) {
        push_read(&mut self.0, order, of, code, value);
    }

    /// Adds an option if it takes up at most `room` bytes, and takes them from it; returns whether
    /// it did.
    pub(super) fn keep(
        &mut self,
        order: ByteOrder,
        of: Of,
        (code, value): (u16, &[u8]),
        room: &mut usize,
    ) -> bool {
        let left = room.checked_sub(HEADER + value.len().next_multiple_of(4));
        if let Some(left) = left {
            *room = left;
            self.push_read(order, of, code, value);
        }
        left.is_some()
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter {
            order: ByteOrder::Little,
            rest: &self.0,
        }
    }

    pub(super) fn get(&self, code: u16) -> Option<&[u8]> {
        let found = self.iter().find(|(other, _)| *other == code);
        found.map(|(_, value)| value)
    }

    /// The text of an option. Bytes that are not UTF-8 are replaced.
    pub(super) fn text(&self, code: u16) -> Option<Cow<'_, str>> {
        self.get(code).map(text)
    }

    pub(super) fn comments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let comments = self.iter().filter(|(code, _)| *code == COMMENT);
        comments.map(|(_, value)| text(value))
    }

    /// Their bytes as they are in a little-endian file, without the option that ends them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The options in some bytes, up to their end or the first incomplete one.
#[derive(Clone, Debug)]
pub(super) struct Iter<'a> {
    order: ByteOrder,
    rest: &'a [u8],
}

impl<'a> Iter<'a> {
    pub(super) const fn new(order: ByteOrder, rest: &'a [u8]) -> Self {
        Self { order, rest }
    }

    pub(super) const fn order(&self) -> ByteOrder {
        self.order
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (code, value, rest) = split(self.order, self.rest)?;
        self.rest = rest;
        (code != END_OF_OPTIONS).then_some((code, value))
    }
}

/// Bytes of an option before its value: its code and its length.
const HEADER: usize = 4;

/// Returns the code and the value of the first option, and the bytes after it; `None` if it is
/// incomplete.
#[inline]
pub(super) fn split(order: ByteOrder, options: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (code, len) = (order.u16(options, 0)?, order.u16(options, 2)?);
    let (value, _) = options.get(HEADER..)?.split_at_checked(len.into())?;
    // An option without its padding can only be the last.
    let rest = options.get(HEADER + value.len().next_multiple_of(4)..);
    Some((code, value, rest.unwrap_or_default()))
}

/// Appends an option in little-endian order.
pub(super) fn push(to: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    to.extend_from_slice(&code.to_le_bytes());
    to.extend_from_slice(&(value.len() as u16).to_le_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// Appends an option of a block in its byte order, unless it is marked as not to be copied.
pub(super) fn push_read(to: &mut Vec<u8>, order: ByteOrder, of: Of, code: u16, value: &[u8]) {
    if UNCOPIED.contains(&code) {
        return;
    }
    let start = to.len() + HEADER;
    push(to, code, value);
    if order == ByteOrder::Big {
        let value = &mut to[start..start + value.len()];
        let (from, number, count) = numeric(of, code, value);
        if let Some(numbers) = value.get_mut(from..from + number * count) {
            numbers.chunks_mut(number).for_each(<[u8]>::reverse);
        }
    }
}

/// Text of a file, in which bytes that are not UTF-8 are replaced.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    // Some writers end texts as C does.
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())])
}

/// The numbers of a value, whose bytes depend on the byte order: where they begin, the bytes of
/// each, and how many there are.
fn numeric(of: Of, code: u16, value: &[u8]) -> (usize, usize, usize) {
    if CUSTOM.contains(&code) {
        return (0, 4, 1);
    }
    match (of, code, value.first()) {
        (Of::Interface, IF_SPEED | IF_TX_SPEED | IF_RX_SPEED, _)
        | (Of::Packet, EPB_DROP_COUNT | EPB_PACKET_ID, _) => (0, 8, 1),
        // Of the kinds of verdicts those of eBPF programs are numbers.
        (Of::Packet, EPB_VERDICT, Some(1 | 2)) => (1, 8, 1),
        (Of::Packet, EPB_PROCESS_THREAD, _) => (0, 4, 2),
        (Of::Interface, IF_TZONE, _) | (Of::Packet, EPB_FLAGS | EPB_QUEUE, _) => (0, 4, 1),
        _ => (0, 1, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{IF_NAME, IF_OS};
    use super::*;

    #[test]
    fn options_are_kept_in_order_and_replaced_by_code() {
        let mut options = Options::default();
        options.push(COMMENT, b"one");
        options.push(IF_NAME, b"eth0");
        options.push(COMMENT, b"two\0");
        options.set(IF_NAME, b"eth1");
        let all: Vec<_> = options.iter().collect();
        let expected: [(u16, &[u8]); 3] = [(1, b"one"), (1, b"two\0"), (2, b"eth1")];
        assert_eq!(all, expected);
        assert_eq!(options.comments().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(options.text(IF_NAME).as_deref(), Some("eth1"));
        assert_eq!(options.get(IF_OS), None);
        assert_eq!(options.bytes().len() % 4, 0);
    }

    #[test]
    fn numbers_are_kept_whatever_the_byte_order() {
        let mut options = Options::default();
        options.push_read(ByteOrder::Big, Of::Packet, EPB_FLAGS, &[0, 0, 0, 2]);
        options.push_read(
            ByteOrder::Big,
            Of::Packet,
            EPB_DROP_COUNT,
            &7_u64.to_be_bytes(),
        );
        options.push_read(ByteOrder::Big, Of::Interface, IF_NAME, b"eth0");
        options.push_read(
            ByteOrder::Big,
            Of::Interface,
            CUSTOM[1],
            &[0, 0, 0, 9, 1, 2],
        );
        options.push_read(ByteOrder::Big, Of::Packet, EPB_FLAGS, &[1]);
        let values: Vec<_> = options.iter().map(|(_, value)| value).collect();
        let expected: [&[u8]; 5] = [
            &[2, 0, 0, 0],
            &[7, 0, 0, 0, 0, 0, 0, 0],
            b"eth0",
            &[9, 0, 0, 0, 1, 2],
            &[1],
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn a_value_is_never_longer_than_its_length_says() {
        let mut options = Options::default();
        options.push(COMMENT, &[b'x'; 70_000]);
        options.push(IF_NAME, b"eth0");
        assert_eq!(options.get(COMMENT).map(<[u8]>::len), Some(65_535));
        assert_eq!(options.text(IF_NAME).as_deref(), Some("eth0"));
    }
}
