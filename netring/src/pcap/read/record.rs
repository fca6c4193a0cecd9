//! A packet of a file with all its information in the file.

use std::borrow::Cow;

use super::super::block::{COMMENT, EPB_DROP_COUNT};
use super::super::interface::InterfaceDescription;
use super::super::options::{self, Iter};
use super::contents::Contents;
use super::place::{Kind, Place};
use crate::Packet;

/// A packet of a [`CaptureFile`](super::CaptureFile) with information that only a file has:
/// comments, the number of packets dropped before it, and any other option.
/// [`CaptureWriter::write_record`](crate::pcap::CaptureWriter::write_record) writes it with all of
/// that.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    packet: Packet<'a>,
    place: Place,
    contents: &'a Contents,
}

impl<'a> Record<'a> {
    pub(super) fn new(contents: &'a Contents, place: &Place) -> Option<Self> {
        Some(Self {
            packet: place.packet(contents.memory())?,
            place: *place,
            contents,
        })
    }

    /// The packet.
    pub const fn packet(&self) -> Packet<'a> {
        self.packet
    }

    /// Whether the file has a time for it. The packet of a simple packet block takes the time of
    /// another packet.
    #[doc(alias = "SPB")]
    pub fn has_time(&self) -> bool {
        self.place.kind != Kind::Simple
    }

    /// Its comments, in order.
    #[doc(alias = "opt_comment")]
    pub fn comments(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        let comments = self.options().filter(|(code, _)| *code == COMMENT);
        comments.map(|(_, value)| options::text(value))
    }

    /// How many packets of its interface were dropped between the previous one and this one; `None`
    /// if the file does not say.
    #[doc(alias = "epb_dropcount")]
    pub fn dropped(&self) -> Option<u64> {
        if let Kind::Obsolete(_) = self.place.kind {
            return self.place.obsolete_drops(self.contents.memory());
        }
        let order = self.place.order();
        let (_, value) = self.options().find(|(code, _)| *code == EPB_DROP_COUNT)?;
        Some(order.u64(value.try_into().ok()?))
    }

    /// All its options: their codes, and their values as they are in the file.
    pub fn options(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        self.raw_options()
    }

    /// The file's description of its interface; `None` in pcap.
    pub fn interface(&self) -> Option<InterfaceDescription> {
        self.contents.interface(self.packet.interface())
    }

    /// Bytes of its options.
    pub(in crate::pcap) const fn options_len(&self) -> usize {
        self.place.options as usize
    }

    pub(in crate::pcap) fn raw_options(&self) -> Iter<'a> {
        let options = self.place.options(self.contents.memory());
        Iter::new(self.place.order(), options)
    }
}
