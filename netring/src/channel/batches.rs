//! An iterator over the batches of a channel.

use netring_sys::{Error, PacketVec};

use super::ChannelCapture;

/// The batches of a [`ChannelCapture`]; created by [`ChannelCapture::batches`].
#[derive(Debug)]
pub struct Batches<'a> {
    channel: &'a mut ChannelCapture,
    ended: bool,
}

impl<'a> Batches<'a> {
    pub(super) const fn new(channel: &'a mut ChannelCapture) -> Self {
        Self {
            channel,
            ended: false,
        }
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<PacketVec, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.channel.recv().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}

impl std::iter::FusedIterator for Batches<'_> {}
