//! From settings to a running capture: the program is loaded, the sockets are opened with their
//! chunks, the program is attached.

use std::sync::Arc;

use netring_sys::wait::Waiter;
use netring_sys::{Error, Interface, Memberships};

use super::attach::Refused;
use super::builder::FeedBy;
use super::queues::Queues;
use super::{CaptureBuilder, Feed, XdpCapture};
use crate::injector::XdpInjector;
use crate::memory::umem::UmemConfig;
use crate::options::RingSize;
use crate::permit::Needs;
use crate::socket::config::{SocketConfig, SocketOptions};
use crate::socket::open;
use crate::socket::rx::RxHalf;
use crate::waiting::Waiting;

impl CaptureBuilder {
    pub(super) fn open(
        self,
        transmit_ring: Option<RingSize>,
    ) -> Result<(XdpCapture, Option<XdpInjector>), Error> {
        let Some(namespace) = self.namespace.clone() else {
            return self.open_here(transmit_ring);
        };
        // The amount of memory depends on the interface, which is not known before.
        let needs = Needs {
            program: !matches!(self.feed, FeedBy::Sockets(_)),
            net_admin: self.options.busy_poll.is_some(),
            memory: 0,
            namespace: true,
        };
        let opened = namespace.run(|| self.open_here(transmit_ring));
        opened.map_err(|error| needs.explain(error))?
    }

    /// Opens the capture in the namespace of the calling thread, which is the one that was given,
    /// if one was.
    fn open_here(
        mut self,
        transmit_ring: Option<RingSize>,
    ) -> Result<(XdpCapture, Option<XdpInjector>), Error> {
        let interface = self.find_interface()?;
        let queues = self.choose(&interface)?;
        self.check_metadata()?;
        // Whether native mode, in which long packets are cut, is available shows only when the
        // program is attached.
        let undecided = self.decide_multi_buffer(&interface);
        let needs = self.needs(&interface, &queues, transmit_ring);
        match self.open_on(interface, &queues, transmit_ring, needs, undecided) {
            Err(Refused::Native) => {
                self.multi_buffer = Some(true);
                self.open_here(transmit_ring)
            }
            Err(Refused::For(error)) => Err(needs.explain(error)),
            Ok(opened) => Ok(opened),
        }
    }

    /// The permissions that the process needs, with the memory of all queues.
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
            net_admin: self.options.busy_poll.is_some(),
            memory: chunks * u64::from(self.bytes_of_chunk(interface)),
            namespace: self.namespace.is_some(),
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
        // Done first: a process that may not load a program has no use for sockets.
        let generated = match self.feed {
            FeedBy::Generated => Some(self.settings(&interface).load()?),
            _ => self.check_filter().map(|()| None)?,
        };
        let (mut halves, mut injector) = (Vec::new(), None);
        for (n, &queue) in queues.iter().enumerate() {
            let transmit_ring = transmit_ring.filter(|_| n == 0);
            let config = self.config(&interface, queue, receive_ring, transmit_ring, needs);
            let (half, sending) = self.open_socket(&interface, &config)?;
            halves.push(half);
            injector = injector.or(sending);
        }
        let (first, others) = halves.split_first().ok_or_else(no_queue)?;
        let waiter = Waiter::new(first.socket().fd(), &interface)?;
        for half in others {
            waiter.add(half.socket().fd())?;
        }
        let mut feed = self.unattached(interface)?;
        if let Some(placement) = self.attach(&mut feed, &halves, generated, undecided)? {
            halves.iter_mut().for_each(|half| half.describe(placement));
        }
        let capture = XdpCapture {
            feed: Arc::new(feed),
            queues: Queues::new(waiter, halves),
            waiting: Waiting::new(self.options.moderation()),
            lost: 0,
        };
        capture.log_opened();
        Ok((capture, injector))
    }

    /// The feed before its program is attached.
    fn unattached(&self, interface: Interface) -> Result<Feed, Error> {
        let memberships = Memberships::set(&interface, &self.memberships())?;
        Ok(Feed {
            attachment: None,
            sockets: None,
            memberships,
            link_type: interface.link_type(),
            interface,
            why_no_metadata: None,
            card_time: self.hardware_timestamps,
        })
    }

    /// The queues to receive from: all, or the chosen ones if they are all or `partial` allows
    /// fewer.
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
                why: format!("{queues:?} names a queue twice"),
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
        let count = chosen.len();
        if (count as u32) < all && !self.partial {
            let name = &interface.name;
            return Err(Error::Config {
                setting: "queues",
                why: format!(
                    "{count} of {all}: {name} spreads its packets over all of them, and those of \
                     the others would be missed. Use all queues, reduce their number (`ethtool -L \
                     {name} combined {count}`), or set `partial(true)` if this is intended"
                ),
            });
        }
        Ok(queues.clone())
    }

    /// The configuration of the socket of one queue.
    fn config(
        &self,
        interface: &Interface,
        queue: u32,
        receive_ring: RingSize,
        transmit_ring: Option<RingSize>,
        needs: Needs,
    ) -> SocketConfig {
        SocketConfig {
            rx: Some(receive_ring),
            tx: transmit_ring,
            receive_chunks: Some(self.chunks),
            options: SocketOptions {
                multi_buffer: self.takes_several(),
                ..self.options.clone()
            },
            fed_by_others: !needs.program,
            memory: Some(needs.memory),
            namespace: self.namespace.clone(),
            ..SocketConfig::new(&interface.name, queue)
        }
    }

    /// Opens a socket over packet memory of its own.
    fn open_socket(
        &self,
        interface: &Interface,
        config: &SocketConfig,
    ) -> Result<(RxHalf, Option<XdpInjector>), Error> {
        let memory = UmemConfig::new()
            .chunk_size(self.bytes_of_chunk(interface))
            .chunks(self.chunks.saturating_add(config.transmit_chunks()))
            .huge_pages(self.huge_pages);
        let shared = Arc::new(memory.build()?);
        match open::open(&shared, config)? {
            (Some(half), sending) => Ok((half, sending.map(XdpInjector::new))),
            (None, _) => Err(no_queue()),
        }
    }
}

fn no_queue() -> Error {
    Error::Config {
        setting: "queues",
        why: "at least one queue is required".into(),
    }
}
