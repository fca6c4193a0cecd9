//! The sockets bound over a UMEM, with which later sockets share it.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};

use super::Shared;
use crate::device::Device;

/// A socket that is bound over a UMEM.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) fd: Weak<OwnedFd>,
    pub(crate) device: Device,
    pub(crate) queue: u32,
    pub(crate) shares_queue: Arc<AtomicBool>,
    /// Whether the metadata mark is cleared in chunks that go into its fill ring.
    pub(crate) metadata: bool,
    /// Whether packets may span several chunks; the first socket decides for all over the memory.
    pub(crate) multi_buffer: bool,
    /// Entries of its queue's completion ring.
    pub(crate) completion: u32,
}

impl Shared {
    /// The open sockets over this UMEM.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let mut ownership = self.lock();
        ownership.peers.retain(|peer| peer.fd.strong_count() > 0);
        ownership.peers.clone()
    }

    pub(crate) fn add_peer(&self, peer: Peer) {
        self.lock().peers.push(peer);
    }
}
