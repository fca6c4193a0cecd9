//! From settings to a running capture: the program is loaded, the sockets are made with their
//! chunks, the program is put on the interface.

use std::sync::Arc;
use std::time::Duration;

use netring_sys::wait::Waiter;
use netring_sys::{Error, Interface, Promiscuous};

use super::builder::FeedBy;
use super::{CaptureBuilder, Feed, XdpCapture};
use crate::injector::XdpInjector;
use crate::memory::umem::UmemConfig;
use crate::options::{RingSize, SocketConfig};
use crate::permit::Needs;
use crate::program::{AttachMode, Program, Redirect, SocketMap, is_about_mtu};
use crate::socket::open;
use crate::socket::rx::{MetadataPlacement, RxHalf};
use crate::waiting::moderation::Moderation;

impl CaptureBuilder {
    pub(super) fn open(
        mut self,
        transmit_ring: Option<RingSize>,
    ) -> Result<(XdpCapture, Option<XdpInjector>), Error> {
        let interface = Interface::by_name(&self.interface)?;
        let queues = self.choose(&interface)?;
        self.check_metadata()?;
        // Whether native mode is to be had, where long packets are cut, shows only when the program
        // is put on the interface.
        let undecided = self.decide_multi_buffer(&interface);
        let needs = self.needs(&interface, &queues, transmit_ring);
        match self.open_on(interface, &queues, transmit_ring, needs, undecided) {
            Err(Refused::Native) => {
                self.multi_buffer = Some(true);
                self.open(transmit_ring)
            }
            Err(Refused::For(error)) => Err(needs.explain(error)),
            Ok(opened) => Ok(opened),
        }
    }

    /// What it takes, with the memory of all queues.
    fn needs(
        &self,
        interface: &Interface,
        queues: &[u32],
        transmit_ring: Option<RingSize>,
    ) -> Needs {
        let chunks = u64::from(self.chunks) * queues.len() as u64
            + transmit_ring.map_or(0, |ring| u64::from(ring.entries()));
        Needs {
            program: !matches!(self.feed, FeedBy::Sockets(_)),
            net_admin: self.busy_poll.is_some(),
            memory: chunks * u64::from(self.bytes_of_chunk(interface)),
        }
    }

    fn open_on(
        &mut self,
        interface: Interface,
        queues: &[u32],
        transmit_ring: Option<RingSize>,
        needs: Needs,
        undecided: bool,
    ) -> Result<(XdpCapture, Option<XdpInjector>), Refused> {
        let receive_ring = self.ring_size()?;
        // First: a process that may not load a program has no use for sockets.
        let generated = match self.feed {
            FeedBy::Generated => Some(self.settings(&interface).load()?),
            _ => self.check_filter().map(|()| None)?,
        };
        let (mut halves, mut injector) = (Vec::new(), None);
        for (n, &queue) in queues.iter().enumerate() {
            let transmit_ring = transmit_ring.filter(|_| n == 0);
            let wanted = self.socket(&interface, queue, receive_ring, transmit_ring);
            let (half, sending) = self.open_socket(&interface, wanted, needs)?;
            halves.push(half);
            injector = injector.or(sending);
        }
        let first = halves.first().ok_or_else(no_queue)?;
        let waiter = Waiter::new(first.socket.fd(), &interface)?;
        for half in &halves[1..] {
            waiter.add(half.socket.fd())?;
        }
        let promiscuous = self
            .promiscuous
            .then(|| Promiscuous::set(&interface))
            .transpose()?;
        let mut feed = Feed {
            attachment: None,
            sockets: None,
            promiscuous,
            link_type: interface.link_type(),
            interface,
            why_no_metadata: None,
            card_time: self.hardware_timestamps,
        };
        let moderation = match self.busy_poll {
            // The interface is driven by the application's calls.
            Some(_) => Moderation::new(Duration::ZERO),
            None => Moderation::new(self.moderation),
        };
        if let Some(place) = self.attach(&mut feed, &halves, generated, undecided)? {
            halves.iter_mut().for_each(|half| half.describe(place));
        }
        let capture = XdpCapture {
            waiter,
            feed: Arc::new(feed),
            queues: halves,
            at: 0,
            moderation,
            waits: 0,
        };
        Ok((capture, injector))
    }

    /// The queues to receive from: all, or those that were asked for where that is all, or meant.
    fn choose(&self, interface: &Interface) -> Result<Vec<u32>, Error> {
        let all = interface.rx_queues;
        let Some(queues) = &self.queues else {
            return Ok((0..all).collect());
        };
        let mut chosen = queues.clone();
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.len() < queues.len() {
            return Err(Error::Config {
                setting: "queues",
                why: format!("{queues:?}: each can be asked for once"),
            });
        }
        if chosen.is_empty() {
            return Err(no_queue());
        }
        if chosen.iter().any(|queue| *queue >= all) {
            return Err(Error::Config {
                setting: "queues",
                why: format!("{queues:?}: {} has {all}, numbered from 0", interface.name),
            });
        }
        if (chosen.len() as u32) < all && !self.partial {
            return Err(Error::Config {
                setting: "queues",
                why: format!(
                    "{} of the {all} that {name} spreads its packets over: those of the others would go past; take all, let the interface have \
                     {} (`ethtool -L {name} combined {}`), or say that it is meant (`partial`)",
                    chosen.len(),
                    chosen.len(),
                    chosen.len(),
                    name = interface.name
                ),
            });
        }
        Ok(queues.clone())
    }

    /// Settings of the socket of one queue.
    fn socket(
        &self,
        interface: &Interface,
        queue: u32,
        receive_ring: RingSize,
        transmit_ring: Option<RingSize>,
    ) -> SocketConfig {
        let mut wanted = SocketConfig::new(&interface.name, queue);
        wanted.rx = Some(receive_ring);
        wanted.tx = transmit_ring;
        wanted.receive_chunks = Some(self.chunks);
        wanted.copy_mode = self.copy_mode;
        wanted.need_wakeup = self.need_wakeup;
        wanted.multi_buffer = self.takes_several();
        wanted.busy_poll = self.busy_poll;
        wanted
    }

    /// The socket, with packet memory of its own.
    fn open_socket(
        &self,
        interface: &Interface,
        mut wanted: SocketConfig,
        needs: Needs,
    ) -> Result<(RxHalf, Option<XdpInjector>), Error> {
        wanted.fed_by_others = !needs.program;
        wanted.memory = Some(needs.memory);
        let memory = UmemConfig::new()
            .chunk_size(self.bytes_of_chunk(interface))
            .chunks(self.chunks.saturating_add(wanted.transmit_chunks()))
            .huge_pages(self.huge_pages);
        let shared = Arc::new(memory.build()?);
        match open::open(&shared, &wanted)? {
            (Some(half), sending) => Ok((half, sending.map(XdpInjector::new))),
            (None, _) => Err(no_queue()),
        }
    }

    /// Those of the generated program.
    fn settings(&self, interface: &Interface) -> Redirect {
        let settings = Program::redirect()
            .queues(interface.rx_queues)
            .default_action(self.default_action)
            .multi_buffer(self.takes_several());
        match &self.filter {
            Some(filter) => settings.filter(filter),
            None => settings,
        }
    }

    /// Another program than the generated one would not look at it.
    fn check_filter(&self) -> Result<(), Error> {
        if self.filter.is_none() {
            return Ok(());
        }
        Err(Error::Config {
            setting: "filter",
            why: "it is for the program that this crate generates, and another is to be used: let that one choose, or load it with its filter \
                  (`Redirect::filter`)"
                .into(),
        })
    }

    /// The sockets are in the map before the program is on the interface: no packet is missed.
    /// Before which packets metadata is read.
    fn attach(
        &mut self,
        feed: &mut Feed,
        halves: &[RxHalf],
        generated: Option<Program>,
        undecided: bool,
    ) -> Result<Option<MetadataPlacement>, Refused> {
        let put = |sockets: &mut SocketMap| {
            halves
                .iter()
                .try_for_each(|half| sockets.set(half.socket.queue, half.socket.fd()))
        };
        let (mut program, place) = match std::mem::replace(&mut self.feed, FeedBy::Generated) {
            FeedBy::Sockets(mut sockets) => {
                put(&mut sockets)?;
                feed.sockets = Some(sockets);
                return Ok(self.believes(feed, false));
            }
            FeedBy::Program(program) => {
                let place = self.believes(feed, program.has_metadata());
                (*program, place)
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
        Ok(place)
    }
}

/// Why the program is not on the interface.
pub(super) enum Refused {
    /// The driver does not take it, and multi-buffer helps against that.
    Native,
    For(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::For(error)
    }
}

fn no_queue() -> Error {
    Error::Config {
        setting: "queues",
        why: "a capture has one at the least".into(),
    }
}
