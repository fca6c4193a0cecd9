//! Where all the chunks of a UMEM are.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ring::Memory;

/// How many chunks of a UMEM are where. Each is in exactly one place.
///
/// What is in rings is read from the words that the kernel shares, and not from this crate's books: a chunk that is lost, or twice
/// somewhere, makes [`total`](Self::total) wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Free.
    pub pool: u32,
    /// In fill rings: for packets to come.
    pub fill: u32,
    /// With the kernel: off a fill ring and not yet in a receive ring, or off a transmit ring and not yet in a completion ring.
    pub kernel: u32,
    /// In receive rings: packets that were not taken yet, and those of batches that are looked at.
    pub receive: u32,
    /// With the user.
    pub user: u32,
    /// In transmit rings, those included that are committed and not yet flushed.
    pub transmit: u32,
    /// In completion rings: sent, and not yet taken back.
    pub completion: u32,
}

/// The shared words of all rings over one UMEM, those of closed sockets too: what was in their rings stays there.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) fill: Vec<Memory>,
    pub(crate) receive: Vec<Memory>,
    pub(crate) transmit: Vec<Memory>,
    pub(crate) completion: Vec<Memory>,
    /// Frames that are committed and not yet published.
    pub(crate) staged: Vec<Arc<AtomicU32>>,
}

impl Census {
    /// All of them.
    pub const fn total(&self) -> u32 {
        let free = self.pool.wrapping_add(self.user);
        let receive = self.fill.wrapping_add(self.receive);
        let transmit = self.transmit.wrapping_add(self.completion);
        // Wrapping: a position that cannot be must not panic the one who looks for it.
        free.wrapping_add(receive)
            .wrapping_add(transmit)
            .wrapping_add(self.kernel)
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
        } = self;
        write!(
            f,
            "{pool} free, {fill} fill, {kernel} kernel, {receive} receive, {user} user, {transmit} transmit, {completion} completion"
        )
    }
}

impl Words {
    pub(crate) fn census(&self, pool: u32, user: u32) -> Census {
        // Positions start at 0 and count everything that ever went through, modulo 2³²: what left the rings on the one side and
        // did not arrive on the other is with the kernel.
        let (filled, fill) = through(&self.fill, |ring| ring.consumer());
        let (received, receive) = through(&self.receive, |ring| ring.producer());
        let (sent, transmit) = through(&self.transmit, |ring| ring.consumer());
        let (completed, completion) = through(&self.completion, |ring| ring.producer());
        let staged: u32 = self
            .staged
            .iter()
            // Relaxed: a count.
            .map(|staged| staged.load(Ordering::Relaxed))
            .sum();
        Census {
            pool,
            fill,
            kernel: filled
                .wrapping_sub(received)
                .wrapping_add(sent.wrapping_sub(completed)),
            receive,
            user,
            transmit: transmit.wrapping_add(staged),
            completion,
        }
    }
}

/// How many went past the kernel's side of rings, and how many are in them.
fn through(rings: &[Memory], kernel: impl Fn(&Memory) -> &AtomicU32) -> (u32, u32) {
    let (mut passed, mut inside) = (0_u32, 0_u32);
    for ring in rings {
        // Acquire: the pairs of words are seen in an order in which no chunk is in two places.
        let (producer, consumer) = (
            ring.producer().load(Ordering::Acquire),
            ring.consumer().load(Ordering::Acquire),
        );
        passed = passed.wrapping_add(kernel(ring).load(Ordering::Acquire));
        inside = inside.wrapping_add(producer.wrapping_sub(consumer));
    }
    (passed, inside)
}
