//! Attaching in the place of somebody else's program, where that is the explicit wish.

use std::os::fd::AsFd;

use aya::programs::loaded_programs;
use netring_sys::{Error, Interface, SyscallError};

use super::attach::{self, AttachMode, Attachment};
use super::error;
use super::load::Program;
use crate::permit;

impl Program {
    /// Attaches the program in the place of somebody else's: of the one with the number `foreign`, which an
    /// [`Error::ProgramInTheWay`] told, and of no other.
    ///
    /// The foreign program is taken off, its owner is not told, and it is not put back when ours goes. Between the two the
    /// interface has no program for a moment: its packets go to the kernel. Where ours cannot be attached after all, the
    /// foreign one is put back. A program that its owner attached by a link cannot be replaced: the kernel lets only the
    /// owner take it off.
    ///
    /// # Errors
    /// As for [`attach`](Self::attach); [`Error::ProgramInTheWay`] where another program is there; [`Error::Config`] where a link holds it;
    /// [`Error::NotPermitted`] without CAP_SYS_ADMIN, which it takes to get hold of somebody else's program.
    pub fn attach_replacing(
        self,
        interface: &Interface,
        mode: AttachMode,
        foreign: u32,
    ) -> Result<Attachment, Error> {
        attach_replacing(self, interface, mode, foreign)
    }
}

fn attach_replacing(
    program: Program,
    interface: &Interface,
    asked: AttachMode,
    foreign: u32,
) -> Result<Attachment, Error> {
    let there = match Interface::by_index(interface.index)?.xdp {
        // It went by itself.
        None => return attach::attach(program, interface, asked),
        Some(there) if there.id == foreign => there,
        Some(other) => return Err(attach::in_the_way(interface, other)),
    };
    attach::check(&program, interface)?;
    // Held for as long as this takes, so that it can be put back.
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
    attach::attach(program, interface, asked).inspect_err(|_| {
        // Where this fails as well, somebody else was faster and has the interface.
        let _ = interface.attach_xdp(held.as_fd(), there.mode);
    })
}

/// To get hold of a program that is not one's own takes more than to load one.
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

/// A link holds it, or it was replaced meanwhile.
fn taken(refused: SyscallError, interface: &Interface, foreign: u32) -> Error {
    match Interface::by_index(interface.index) {
        Ok(Interface {
            xdp: Some(there), ..
        }) if there.id == foreign => Error::Config {
            setting: "replace",
            why: format!(
                "the program {foreign} on {} is held by a link of its owner, and only the owner can take it off ({refused})",
                interface.name
            ),
        },
        Ok(Interface {
            xdp: Some(there), ..
        }) => attach::in_the_way(interface, there),
        _ => permit::for_program(refused),
    }
}
