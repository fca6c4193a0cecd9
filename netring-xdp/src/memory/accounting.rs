//! Accounting for the chunks of a UMEM.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ring::Memory;

/// The number of chunks of a UMEM in each place. Each chunk is in exactly one.
///
/// The counts of rings are read from the words that the kernel shares, not from this crate's own
/// accounting: a chunk that is lost or doubled makes [`total`](Self::total) wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Free.
    pub pool: u32,
    /// In fill rings, for future packets.
    pub fill: u32,
    /// With the kernel: taken from a fill ring and not yet in a receive ring, or taken from a
    /// transmit ring and not yet in a completion ring.
    pub kernel: u32,
    /// In receive rings: packets that were not taken yet, and those of live batches.
    pub receive: u32,
    /// With the user.
    pub user: u32,
    /// In transmit rings, including frames that are committed and not yet flushed.
    pub transmit: u32,
    /// In completion rings: sent, and not yet taken back.
    pub completion: u32,
    /// In the rings of sockets that are closed: they are lost to the UMEM.
    pub closed: u32,
}

/// The rings of all sockets over one UMEM.
#[derive(Debug, Default)]
pub(crate) struct Accounting {
    open: Vec<Rings>,
    /// The counts on the kernel's side of closed rings: fill, receive, transmit, completion; and
    /// the chunks left in them.
    passed: [u32; 4],
    closed: u32,
}

/// The rings of one socket.
#[derive(Clone, Debug)]
pub(crate) struct Rings {
    pub(crate) fill: Option<Memory>,
    pub(crate) receive: Option<Memory>,
    pub(crate) transmit: Option<Memory>,
    pub(crate) completion: Option<Memory>,
    /// Frames that are committed and not yet published.
    pub(crate) staged: Arc<AtomicU32>,
}

impl Census {
    /// All chunks.
    pub const fn total(&self) -> u32 {
        let free = self.pool.wrapping_add(self.user);
        let receive = self.fill.wrapping_add(self.receive);
        let transmit = self.transmit.wrapping_add(self.completion);
        // Wrapping: an impossible position must not panic the caller that looks for it.
        free.wrapping_add(receive)
            .wrapping_add(transmit)
            .wrapping_add(self.kernel)
            .wrapping_add(self.closed)
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            fill,
            kernel,
            receive,
            user,
            transmit,
            completion,
            closed,
        } = self;
        write!(
            f,
            "{pool} free, {fill} fill, {kernel} kernel, {receive} receive, {user} user, {transmit} transmit, {completion} completion, {closed} closed"
        )
    }
}

impl Accounting {
    pub(crate) fn add(&mut self, rings: Rings) {
        self.open.push(rings);
    }

    /// A socket is closed. (Its rings must be released: the kernel keeps a socket open while one of
    /// its rings is mapped.)
    pub(crate) fn close(&mut self, rings: &Rings) {
        self.open
            .retain(|open| !Arc::ptr_eq(&open.staged, &rings.staged));
        let (passed, inside) = rings.count();
        for (sum, passed) in self.passed.iter_mut().zip(passed) {
            *sum = sum.wrapping_add(passed);
        }
        self.closed += inside.iter().sum::<u32>();
    }

    pub(crate) fn census(&self, pool: u32, user: u32) -> Census {
        // Positions start at 0 and count everything that ever passed, modulo 2³²: chunks that left
        // the rings on one side and did not arrive on the other are with the kernel.
        let (mut passed, mut inside) = (self.passed, [0_u32; 4]);
        for rings in &self.open {
            let (more_passed, more_inside) = rings.count();
            for n in 0..4 {
                passed[n] = passed[n].wrapping_add(more_passed[n]);
                inside[n] = inside[n].wrapping_add(more_inside[n]);
            }
        }
        let [filled, received, sent, completed] = passed;
        let [fill, receive, transmit, completion] = inside;
        Census {
            pool,
            fill,
            kernel: filled
                .wrapping_sub(received)
                .wrapping_add(sent.wrapping_sub(completed)),
            receive,
            user,
            transmit,
            completion,
            closed: self.closed,
        }
    }
}

impl Rings {
    /// How many chunks passed the kernel's side of each ring, and how many are in it: fill,
    /// receive, transmit, completion.
    fn count(&self) -> ([u32; 4], [u32; 4]) {
        // Acquire: the pairs of words are read in an order in which no chunk is in two places.
        // Partner: the release of each position by its writer.
        let producer = |ring: &Memory| ring.producer().load(Ordering::Acquire);
        let consumer = |ring: &Memory| ring.consumer().load(Ordering::Acquire);
        let rings = [&self.fill, &self.receive, &self.transmit, &self.completion];
        let inside = rings.map(|ring| {
            ring.as_ref()
                .map_or(0, |ring| producer(ring).wrapping_sub(consumer(ring)))
        });
        let passed = [
            self.fill.as_ref().map_or(0, consumer),
            self.receive.as_ref().map_or(0, producer),
            self.transmit.as_ref().map_or(0, consumer),
            self.completion.as_ref().map_or(0, producer),
        ];
        let [fill, receive, transmit, completion] = inside;
        // Relaxed, with no partner: a count.
        let staged = self.staged.load(Ordering::Relaxed);
        (
            passed,
            [fill, receive, transmit.wrapping_add(staged), completion],
        )
    }
}
