//! The program of a capture: the generated one, the user's own, or a foreign one.

use netring_sys::{Error, Interface};

use super::builder::FeedBy;
use super::{CaptureBuilder, Feed};
use crate::program::{AttachMode, Program, Redirect, SocketMap, is_about_mtu};
use crate::socket::rx::{MetadataPlacement, RxHalf};

/// Why the program is not attached.
pub(super) enum Refused {
    /// Native mode refuses it, and would not with multi-buffer.
    Native,
    For(Error),
}

impl CaptureBuilder {
    /// The settings of the generated program.
    pub(super) fn settings(&self, interface: &Interface) -> Redirect {
        let settings = Program::redirect()
            .queues(interface.rx_queues)
            .default_action(self.default_action)
            .multi_buffer(self.takes_several())
            .link_type(interface.link_type());
        match &self.filter {
            Some(filter) => settings.filter(filter),
            None => settings,
        }
    }

    /// Refuses a filter with any other program than the generated one, which would not run it.
    pub(super) fn check_filter(&self) -> Result<(), Error> {
        if self.filter.is_none() {
            return Ok(());
        }
        Err(Error::Config {
            setting: "filter",
            why: "a filter is part of the generated program, but another program is used: let it \
                  filter, or load it with a filter (`Redirect::filter`)"
                .into(),
        })
    }

    /// Puts the sockets into the map, and then attaches the program, so that no packet is missed.
    /// Returns before which packets metadata is read.
    pub(super) fn attach(
        &mut self,
        feed: &mut Feed,
        halves: &[RxHalf],
        generated: Option<Program>,
        undecided: bool,
    ) -> Result<Option<MetadataPlacement>, Refused> {
        let put = |sockets: &mut SocketMap| {
            halves
                .iter()
                .try_for_each(|half| sockets.set(half.socket().queue, half.socket().fd()))
        };
        let (mut program, placement) = match std::mem::replace(&mut self.feed, FeedBy::Generated) {
            FeedBy::Sockets(mut sockets) => {
                put(&mut sockets)?;
                feed.sockets = Some(sockets);
                return Ok(self.trusted_placement(feed, false));
            }
            FeedBy::Program(program) => {
                let placement = self.trusted_placement(feed, program.has_metadata());
                (*program, placement)
            }
            FeedBy::Generated => {
                let settings = self.settings(&feed.interface);
                match self.attach_asking(feed, &settings, put) {
                    Ok(None) => {}
                    Ok(attachment) => {
                        feed.attachment = attachment;
                        return Ok(Some(MetadataPlacement::Anywhere));
                    }
                    Err(error) if undecided && is_about_mtu(&error) => return Err(Refused::Native),
                    Err(error) => return Err(error.into()),
                }
                let program = match generated {
                    Some(program) => program,
                    None => settings.load()?,
                };
                (program, None)
            }
        };
        put(program.sockets_mut())?;
        let mode = match self.attach_mode {
            AttachMode::BestAvailable if undecided => AttachMode::Native,
            mode => mode,
        };
        match program.attach(&feed.interface, mode) {
            Ok(attachment) => feed.attachment = Some(attachment),
            Err(error) if undecided && self.helps_against(&error) => return Err(Refused::Native),
            Err(error) => return Err(error.into()),
        }
        Ok(placement)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}
