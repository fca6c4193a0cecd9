//! The generated program in the kernel, and the names of its parts.

use aya::maps::{Map, MapData, PerCpuArray, XskMap};
use netring_sys::Error;

use super::error;
use super::load::{Loaded, Program, missing};
use super::sockets::SocketMap;

/// The names of the program and of its maps.
pub(super) const PROGRAM: &str = "netring_redirect";
pub(super) const SOCKETS: &str = "netring_xsks";
pub(super) const COUNTS: &str = "netring_counts";

impl Program {
    /// A generated program that was loaded; `maps` are in the order in which the generator creates
    /// them.
    pub(super) fn generated(code: Loaded, maps: Vec<MapData>, queues: u32) -> Result<Self, Error> {
        let mut maps = maps.into_iter().map(Map::from_map_data);
        let mut next = |name| {
            let map = maps.next().ok_or_else(|| missing("map", name))?;
            map.map_err(|error| error::map("bpf(BPF_MAP_CREATE)", error))
        };
        let sockets = XskMap::try_from(next(SOCKETS)?);
        let counts = PerCpuArray::try_from(next(COUNTS)?);
        let created = |error| error::map("bpf(BPF_MAP_CREATE)", error);
        Ok(Self {
            code,
            sockets: SocketMap::from(sockets.map_err(created)?),
            counts: Some((counts.map_err(created)?, queues)),
        })
    }
}
