//! The generated program in the kernel, and the names of its parts.

use std::os::fd::OwnedFd;

use aya::Ebpf;
use aya::maps::{Map, MapData, PerCpuArray, XskMap};
use netring_sys::Error;

use super::error;
use super::load::{Loaded, Program, missing};
use super::sockets::SocketMap;
use crate::device::Device;

/// The names of the program and of its maps in the generated object.
pub(super) const PROGRAM: &str = "netring_redirect";
pub(super) const SOCKETS: &str = "netring_xsks";
pub(super) const COUNTS: &str = "netring_counts";

impl Program {
    /// Loads the generated object with aya.
    pub(super) fn generated(object: &[u8], queues: u32) -> Result<Self, Error> {
        let mut ebpf = Ebpf::load(object).map_err(error::load)?;
        let counts = ebpf
            .take_map(COUNTS)
            .ok_or_else(|| missing("map", COUNTS))
            .and_then(|map| {
                PerCpuArray::try_from(map).map_err(|error| error::map("bpf(BPF_MAP_CREATE)", error))
            })?;
        let mut program = Self::from_ebpf(ebpf, PROGRAM, SOCKETS)?;
        program.counts = Some((counts, queues));
        Ok(program)
    }

    /// A program that was loaded bound to `device`; `maps` in the order in which the generator
    /// creates them.
    pub(super) fn bound(
        program: OwnedFd,
        device: Device,
        maps: Vec<MapData>,
        queues: u32,
    ) -> Result<Self, Error> {
        let mut maps = maps.into_iter().map(Map::from_map_data);
        let mut next = |name| {
            let map = maps.next().ok_or_else(|| missing("map", name))?;
            map.map_err(|error| error::map("bpf(BPF_MAP_CREATE)", error))
        };
        let sockets = XskMap::try_from(next(SOCKETS)?);
        let counts = PerCpuArray::try_from(next(COUNTS)?);
        let created = |error| error::map("bpf(BPF_MAP_CREATE)", error);
        Ok(Self {
            code: Loaded::Bound { program, device },
            sockets: SocketMap::from(sockets.map_err(created)?),
            counts: Some((counts.map_err(created)?, queues)),
        })
    }
}
