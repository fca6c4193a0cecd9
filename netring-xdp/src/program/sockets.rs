//! The map from queues to sockets.

use std::fmt;
use std::os::fd::BorrowedFd;

use aya::maps::{MapData, XskMap};
use netring_sys::Error;

use super::error;

/// The sockets of a program, by queue.
///
/// A closed socket leaves the map by itself. The map may belong to a program that another process
/// attached (pinned in a bpf file system, run by a dispatcher): [`from_pin`](Self::from_pin).
#[doc(alias = "XSKMAP")]
pub struct SocketMap {
    map: XskMap<MapData>,
}

impl SocketMap {
    /// The map that is pinned at `path` in a bpf file system.
    ///
    /// # Errors
    /// The failed call, if there is none, it is of another kind, or the process may not use it.
    pub fn from_pin(path: &std::path::Path) -> Result<Self, Error> {
        let data =
            MapData::from_pin(path).map_err(|error| error::map("bpf(BPF_OBJ_GET)", error))?;
        let map = aya::maps::Map::from_map_data(data)
            .and_then(XskMap::try_from)
            .map_err(|error| error::map("bpf(BPF_OBJ_GET)", error))?;
        Ok(Self { map })
    }

    /// How many queues there is room for.
    pub fn queues(&self) -> u32 {
        self.map.len()
    }

    /// Sends the packets of `queue` to this AF_XDP socket from now on, in place of the previous
    /// one.
    ///
    /// The socket must be bound to this queue of the interface that the program is attached to: the
    /// kernel drops packets for any other socket, and counts them nowhere.
    ///
    /// # Errors
    /// [`Error::Config`] for a queue that the map has no room for, or the failed call: `EOPNOTSUPP`
    /// if the descriptor is not an AF_XDP socket.
    pub fn set(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Error> {
        self.check(queue)?;
        self.map
            .set(queue, socket, 0)
            .map_err(|error| error::map("bpf(BPF_MAP_UPDATE_ELEM)", error))
    }

    /// Removes the socket of `queue`: its packets are missed from now on. Does nothing if there is
    /// none.
    ///
    /// # Errors
    /// [`Error::Config`] for a queue that the map has no room for, or the failed call.
    pub fn clear(&mut self, queue: u32) -> Result<(), Error> {
        self.check(queue)?;
        match self.map.unset(queue) {
            Err(aya::maps::MapError::KeyNotFound) => Ok(()),
            other => other.map_err(|error| error::map("bpf(BPF_MAP_DELETE_ELEM)", error)),
        }
    }

    fn check(&self, queue: u32) -> Result<(), Error> {
        if queue < self.queues() {
            return Ok(());
        }
        Err(Error::Config {
            setting: "queue",
            why: format!(
                "{queue}: the program has room for the queues 0 to {}; load it with more \
                 (`Redirect::queues`)",
                self.queues() - 1
            ),
        })
    }
}

impl From<XskMap<MapData>> for SocketMap {
    fn from(map: XskMap<MapData>) -> Self {
        Self { map }
    }
}

impl fmt::Debug for SocketMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketMap")
            .field("queues", &self.queues())
            .finish_non_exhaustive()
    }
}
