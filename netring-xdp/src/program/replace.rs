//! Attaching in place of a foreign program, if the caller asks for it explicitly.

use std::os::fd::AsFd;

use aya::programs::loaded_programs;
use netring_sys::{Error, Interface, SyscallError};

use super::attach;
use super::attachment::{AttachMode, Attachment};
use super::error;
use super::load::Program;
use crate::permit;

impl Program {
    /// Attaches the program in place of the foreign one with the ID `foreign`, which an
    /// [`Error::ProgramInTheWay`] named, and of no other.
    ///
    /// The foreign program is detached without notice to its owner, and is not put back when this
    /// one goes. Between the two the interface has no program for a moment, and its packets go to
    /// the kernel. If this program then cannot be attached, the foreign one is put back. A program
    /// that its owner attached by a link cannot be replaced: the kernel lets only the owner detach
    /// it.
    ///
    /// # Errors
    /// Those of [`attach`](Self::attach); [`Error::ProgramInTheWay`] if another program is there;
    /// [`Error::Config`] if a link holds it; [`Error::NotPermitted`] without CAP_SYS_ADMIN, which
    /// the kernel requires to open a foreign program.
    pub fn attach_replacing(
        self,
        interface: &Interface,
        mode: AttachMode,
        foreign: u32,
    ) -> Result<Attachment, Error> {
        interface.inside(|| self.replace_here(interface, mode, foreign))?
    }

    fn replace_here(
        self,
        interface: &Interface,
        mode: AttachMode,
        foreign: u32,
    ) -> Result<Attachment, Error> {
        let there = match Interface::by_index(interface.index)?.xdp {
            // Its owner detached it meanwhile.
            None => return self.attach(interface, mode),
            Some(there) if there.id == foreign => there,
            Some(other) => return Err(attach::in_the_way(interface, other)),
        };
        attach::check(&self, interface)?;
        // Kept open until this returns, so that it can be put back.
        let held = loaded_programs()
            .find_map(|program| match program {
                Ok(program) if program.id() == foreign => Some(program.fd()),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            })
            .ok_or_else(|| attach::in_the_way(interface, there))?
            .map_err(|error| needs_sys_admin(error::program(error)))?;
        interface
            .detach_xdp(held.as_fd(), there.mode)
            .map_err(|refused| taken(refused, interface, foreign))?;
        self.attach(interface, mode).inspect_err(|_| {
            // If this fails too, another program was faster and has the interface.
            let _ = interface.attach_xdp(held.as_fd(), there.mode);
        })
    }
}

/// Opening a foreign program takes more capabilities than loading one.
fn needs_sys_admin(mut error: Error) -> Error {
    if let Error::NotPermitted {
        capability, grant, ..
    } = &mut error
    {
        *capability = "CAP_SYS_ADMIN of the host, to replace a foreign program";
        *grant = "cap_sys_admin,cap_net_raw,cap_bpf,cap_net_admin";
    }
    error
}

/// Why the foreign program could not be detached: a link holds it, or it was replaced meanwhile.
fn taken(refused: SyscallError, interface: &Interface, foreign: u32) -> Error {
    match Interface::by_index(interface.index) {
        Ok(Interface {
            xdp: Some(there), ..
        }) if there.id == foreign => Error::Config {
            setting: "replace",
            why: format!(
                "program ID {foreign} on {} is held by a link of its owner, and only the owner can \
                 detach it ({refused})",
                interface.name
            ),
        },
        Ok(Interface {
            xdp: Some(there), ..
        }) => attach::in_the_way(interface, there),
        _ => permit::for_program(refused),
    }
}
