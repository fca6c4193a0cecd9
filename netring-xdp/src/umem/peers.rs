//! The sockets that are bound with a UMEM, for later sockets to share it with.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use super::Shared;
use crate::device::Device;

/// What a UMEM remembers of a socket that is bound with it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) fd: Weak<OwnedFd>,
    pub(crate) device: Device,
    pub(crate) queue: u32,
    pub(crate) shares_queue: Arc<AtomicBool>,
    /// Marks of metadata are cleared in what goes into its fill ring.
    pub(crate) metadata: bool,
    /// Packets may lie in several chunks: so it is for all sockets over the memory, as the first one said.
    pub(crate) multi_buffer: bool,
    /// Entries of its queue's completion ring.
    pub(crate) completion: u32,
}

impl Shared {
    /// Sockets that are bound with this UMEM, for the next one to share it with.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let mut ledger = self.lock();
        ledger.peers.retain(|peer| peer.fd.strong_count() > 0);
        ledger.peers.clone()
    }

    pub(crate) fn add_peer(&self, peer: Peer) {
        self.lock().peers.push(peer);
    }
}
