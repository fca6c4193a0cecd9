//! A program in the kernel with its maps, not yet attached.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{UnwindSafe, catch_unwind};

use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray, XskMap};
use aya::programs::{ProgramError, Xdp};
use netring_sys::syscall::bpf_program_id;
use netring_sys::{Error, LinkType};

use super::counters::Raw;
use super::error;
use super::sockets::SocketMap;
use crate::device::Device;

/// A program that the kernel has accepted: the generated one, or the user's own.
pub struct Program {
    pub(super) code: Loaded,
    pub(super) sockets: SocketMap,
    /// The counters of the generated program, and for how many queues.
    pub(super) counts: Option<(PerCpuArray<MapData, Raw>, u32)>,
}

/// The owner of the program.
#[derive(Debug)]
pub(super) enum Loaded {
    Ebpf {
        ebpf: Box<Ebpf>,
        name: String,
    },
    Xdp(Box<Xdp>),
    /// The generated program, which may be bound to an interface.
    Generated {
        program: OwnedFd,
        device: Option<Device>,
        /// The link type that its filter was compiled for.
        link_type: Option<LinkType>,
    },
}

impl Program {
    /// The user's own program from an ELF object, as eBPF compilers write it. `map` is its XSKMAP.
    ///
    /// Nothing of the generated program is loaded beside it.
    ///
    /// # Errors
    /// [`Error::Source`] if it is not such an object, [`Error::Config`] for names that it does not
    /// have, and those of [`Redirect::load`](super::Redirect::load).
    pub fn from_elf(object: &[u8], program: &str, map: &str) -> Result<Self, Error> {
        let ebpf = read(|| Ebpf::load(object))?.map_err(error::load)?;
        Self::from_ebpf(ebpf, program, map)
    }

    /// The user's own program, with the rest of its object: first take out of `ebpf` the parts to
    /// use separately, or get them later from
    /// [`Attachment::ebpf_mut`](super::Attachment::ebpf_mut). The program is loaded into the kernel
    /// if it is not yet.
    ///
    /// # Errors
    /// Those of [`from_elf`](Self::from_elf).
    pub fn from_ebpf(mut ebpf: Ebpf, program: &str, map: &str) -> Result<Self, Error> {
        let sockets = SocketMap::from(take_sockets(&mut ebpf, map)?);
        let mut code = Loaded::Ebpf {
            ebpf: Box::new(ebpf),
            name: program.to_owned(),
        };
        load_once(code.xdp()?)?;
        Ok(Self {
            code,
            sockets,
            counts: None,
        })
    }

    /// The user's own program and its map, wherever they come from (a pin in a bpf file system).
    /// The program is loaded into the kernel if it is not yet.
    ///
    /// # Errors
    /// Those of [`Redirect::load`](super::Redirect::load).
    pub fn from_xdp(mut program: Xdp, sockets: impl Into<SocketMap>) -> Result<Self, Error> {
        load_once(&mut program)?;
        Ok(Self {
            code: Loaded::Xdp(Box::new(program)),
            sockets: sockets.into(),
            counts: None,
        })
    }

    /// The ID that the kernel gave the program.
    ///
    /// # Errors
    /// The failed call.
    pub fn id(&mut self) -> Result<u32, Error> {
        Ok(bpf_program_id(self.code.fd()?)?)
    }

    /// Whether it writes metadata before each packet: it was generated with
    /// [`Redirect::metadata`](super::Redirect::metadata).
    pub const fn has_metadata(&self) -> bool {
        matches!(
            self.code,
            Loaded::Generated {
                device: Some(_),
                ..
            }
        )
    }

    /// The program's descriptor, for functions that this crate lacks: a test run, a pin.
    ///
    /// # Errors
    /// [`Error::Config`] if the user's object no longer has a program of that name.
    pub fn fd(&mut self) -> Result<BorrowedFd<'_>, Error> {
        self.code.fd()
    }

    /// The program, for other functions of aya.
    ///
    /// # Errors
    /// [`Error::Config`] for the generated program, which is not loaded with aya, and if the user's
    /// object no longer has a program of that name.
    pub fn xdp_mut(&mut self) -> Result<&mut Xdp, Error> {
        self.code.xdp()
    }

    /// The sockets. Set before the program is attached, no packet is missed.
    pub const fn sockets_mut(&mut self) -> &mut SocketMap {
        &mut self.sockets
    }
}

impl Loaded {
    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, Error> {
        match self {
            Self::Xdp(xdp) => Ok(xdp),
            Self::Ebpf { ebpf, name } => ebpf
                .program_mut(name)
                .ok_or_else(|| missing("program", name))?
                .try_into()
                .map_err(error::program),
            Self::Generated { .. } => Err(Error::Config {
                setting: "program",
                why: "the generated program is not loaded with aya; load its object \
                      (`Redirect::object`) with `Program::from_elf` for that"
                    .into(),
            }),
        }
    }

    pub(super) fn fd(&mut self) -> Result<BorrowedFd<'_>, Error> {
        match self {
            Self::Generated { program, .. } => Ok(OwnedFd::as_fd(program)),
            other => Ok(other.xdp()?.fd().map_err(error::program)?.as_fd()),
        }
    }
}

fn take_sockets(ebpf: &mut Ebpf, name: &str) -> Result<XskMap<MapData>, Error> {
    let map = ebpf.take_map(name).ok_or_else(|| missing("map", name))?;
    XskMap::try_from(map).map_err(|_| Error::Config {
        setting: "map",
        why: format!("{name:?} is not a map of AF_XDP sockets (BPF_MAP_TYPE_XSKMAP)"),
    })
}

/// Reads an object with aya, which trusts it: if a damaged object makes it panic, that is an error
/// here.
fn read<T>(with: impl FnOnce() -> T + UnwindSafe) -> Result<T, Error> {
    catch_unwind(with).map_err(|_| Error::Source {
        what: "the eBPF object is damaged".into(),
        source: "aya panicked while reading it".into(),
    })
}

fn load_once(xdp: &mut Xdp) -> Result<(), Error> {
    match xdp.load() {
        Err(ProgramError::AlreadyLoaded) => Ok(()),
        other => other.map_err(error::program),
    }
}

pub(super) fn missing(setting: &'static str, name: &str) -> Error {
    Error::Config {
        setting,
        why: format!("the object has none named {name:?}"),
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("code", &self.code)
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
