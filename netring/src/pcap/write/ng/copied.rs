//! Sections and blocks of another file.

use std::mem;

use super::block::Block;
use super::{Ng, statistics_block};
use crate::pcap::block::{
    COMMENT, CUSTOM, CUSTOM_BLOCK, END_OF_OPTIONS, JOURNAL, NAMES, SECRETS, STATISTICS,
};
use crate::pcap::options::{self, Iter, Of};
use crate::pcap::order::ByteOrder;
use crate::pcap::read;
use crate::pcap::section::Section;

impl Ng {
    /// Ends the section with the statistics of its interfaces, and begins another one without
    /// interfaces.
    pub(in crate::pcap::write) fn next_section(&mut self, to: &mut Vec<u8>, section: Section) {
        self.end(to);
        let dropped = mem::take(&mut self.dropped);
        *self = Self::new(Some(section));
        self.dropped = dropped;
        self.begin(to);
    }

    /// Appends a block of another file; false if it is none that is copied.
    pub(in crate::pcap::write) fn copied(&self, to: &mut Vec<u8>, read: &read::Block<'_>) -> bool {
        let start = to.len();
        let block = Block::begin(to, read.kind());
        let (order, body) = (read.order(), read.body());
        let options = match read.kind() {
            NAMES => names(to, order, body),
            SECRETS => secrets(to, order, body),
            CUSTOM_BLOCK => custom(to, order, body),
            JOURNAL => {
                to.extend_from_slice(body);
                Some(&[][..])
            }
            STATISTICS => {
                to.truncate(start);
                return self.copied_statistics(to, read).is_some();
            }
            _ => None,
        };
        let Some(options) = options else {
            to.truncate(start);
            return false;
        };
        super::block::pad(to, start);
        let before = to.len();
        for (code, value) in Iter::new(order, options) {
            options::push_read(to, order, Of::Other, code, value);
        }
        if to.len() > before {
            to.extend_from_slice(&[0; 4]);
        }
        block.close(to);
        true
    }

    fn copied_statistics(&self, to: &mut Vec<u8>, read: &read::Block<'_>) -> Option<()> {
        let (interface, statistics, found) = read.statistics()?;
        let number = self.number(interface).ok()?;
        let order = found.order();
        let mut more = Vec::new();
        for (code, value) in found {
            if code == COMMENT || CUSTOM.contains(&code) {
                options::push_read(&mut more, order, Of::Other, code, value);
            }
        }
        let interface = &self.interfaces[number];
        statistics_block(to, number as u32, interface, &statistics, &more);
        Some(())
    }
}

/// Appends names, each with its address, up to the record that ends them. Returns the options
/// behind them; `None` if they make no sense.
fn names<'a>(to: &mut Vec<u8>, order: ByteOrder, mut body: &'a [u8]) -> Option<&'a [u8]> {
    // Records have the form of options.
    loop {
        if body.is_empty() {
            options::push(to, END_OF_OPTIONS, &[]);
            return Some(body);
        }
        let (kind, value, rest) = options::split(order, body)?;
        options::push(to, kind, value);
        body = rest;
        if kind == END_OF_OPTIONS {
            return Some(body);
        }
    }
}

/// Appends secrets, which are bytes of a kind.
fn secrets<'a>(to: &mut Vec<u8>, order: ByteOrder, body: &'a [u8]) -> Option<&'a [u8]> {
    let (kind, len) = (order.u32(body, 0)?, order.u32(body, 4)?);
    let secrets = body.get(8..)?.get(..len as usize)?;
    for word in [kind, len] {
        to.extend_from_slice(&word.to_le_bytes());
    }
    to.extend_from_slice(secrets);
    let options = body.get(8 + (len as usize).next_multiple_of(4)..);
    Some(options.unwrap_or_default())
}

/// Appends what an organisation defines, as it is behind the organisation's number.
fn custom<'a>(to: &mut Vec<u8>, order: ByteOrder, body: &'a [u8]) -> Option<&'a [u8]> {
    let organisation = order.u32(body, 0)?;
    to.extend_from_slice(&organisation.to_le_bytes());
    to.extend_from_slice(&body[4..]);
    Some(&[])
}
