//! Assigns chunks to the halves of sockets.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use netring_sys::Error;

use super::{Owner, Pool, Shared};
use crate::memory::token::Stack;

impl Shared {
    /// Checks that there are enough for both halves of a socket. Chunks that were assigned are
    /// never assigned again.
    pub(crate) fn can_assign(&self, receive: u32, transmit: u32) -> Result<(), Error> {
        let left = self.lock().unassigned.left();
        let Some(left_to_send) = left.checked_sub(receive) else {
            return Err(self.too_few("receive_chunks", receive, left));
        };
        if transmit > left_to_send {
            return Err(self.too_few("transmit_chunks", transmit, left_to_send));
        }
        Ok(())
    }

    fn too_few(&self, setting: &'static str, count: u32, left: u32) -> Error {
        let all = self.geometry().count();
        Error::Config {
            setting,
            why: format!(
                "{count} requested, but only {left} of the UMEM's {all} are left: give it more \
                 (`UmemConfig::chunks`), or request fewer"
            ),
        }
    }

    /// Assigns `count` chunks to a half of a socket.
    pub(crate) fn assign(&self, count: u32, setting: &'static str) -> Result<Pool, Error> {
        let mut ownership = self.lock();
        let left = ownership.unassigned.left();
        let Some((range, tokens)) = ownership.unassigned.take(count) else {
            return Err(self.too_few(setting, count, left));
        };
        // There is room for all chunks that it owns, and it never gets others: nothing is allocated
        // later.
        let free = Stack::new(tokens);
        let pool = Pool {
            owner: ownership.owners.len(),
            pending_returns: Arc::default(),
            published_len: Arc::new(AtomicU32::new(count)),
            window: self.geometry().window(&range),
            chunk_size: u64::from(self.geometry().chunk_size()),
            range: range.clone(),
            free,
        };
        ownership.owners.push(Owner {
            range,
            returned: Vec::with_capacity(count as usize),
            pending_returns: pool.pending_returns.clone(),
            pool: pool.published_len.clone(),
        });
        Ok(pool)
    }
}
