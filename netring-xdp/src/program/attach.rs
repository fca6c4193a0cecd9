//! Attaches a program to an interface.

use aya::util::KernelVersion;
use netring_sys::errno::{EBUSY, EEXIST};
use netring_sys::syscall::bpf_link_xdp;
use netring_sys::{Error, Interface, XdpMode, XdpProgram};

use super::attachment::{AttachMode, Attachment, Link};
use super::load::{Loaded, Program};
use super::native;
use crate::device::Device;
use crate::permit;

impl Program {
    /// Attaches the program to an interface, in the network namespace that it was [looked up
    /// in](Interface::namespace): that of the thread, or a given one.
    ///
    /// # Errors
    /// - [`Error::ProgramInTheWay`] if the interface has a foreign program;
    /// - [`Error::Config`] if the generated program has room for fewer queues than the interface
    ///   has, if its filter was compiled for another link type, or, with both figures, if native
    ///   mode refuses the MTU (it may accept it for a program with
    ///   [`multi_buffer`](super::Redirect::multi_buffer)) or lacks queues;
    /// - [`Error::NotPermitted`], or the call that failed: in native mode `EOPNOTSUPP` from a
    ///   driver that does not support it.
    pub fn attach(self, interface: &Interface, mode: AttachMode) -> Result<Attachment, Error> {
        interface.inside(|| self.attach_here(interface, mode))?
    }

    fn attach_here(mut self, interface: &Interface, mode: AttachMode) -> Result<Attachment, Error> {
        check(&self, interface)?;
        refuse_if_taken(interface)?;
        let mut made = match mode {
            AttachMode::Generic => XdpMode::Generic,
            AttachMode::Native | AttachMode::BestAvailable => XdpMode::Native,
        };
        let (link, why_not_native) = match link(&mut self, interface, made) {
            Ok(link) => (link, None),
            Err(error)
                if mode == AttachMode::BestAvailable
                    && native::is_about_native(&error)
                    && !self.has_metadata() =>
            {
                made = XdpMode::Generic;
                (link(&mut self, interface, made)?, Some(error))
            }
            Err(error) => return Err(error),
        };
        let id = self.id()?;
        // Reports what the kernel shows, not what the call intended.
        let now = Interface::by_index(interface.index)?;
        let reached = match now.xdp {
            Some(now) if now.id == id => now.mode,
            Some(other) => return Err(in_the_way(interface, other)),
            // In a sandbox without netlink the kernel cannot be asked.
            None if now.is_partial => made,
            None => {
                return Err(Error::InterfaceRemoved {
                    interface: interface.name.clone(),
                });
            }
        };
        let Self {
            code,
            sockets,
            counts,
        } = self;
        Ok(Attachment {
            _link: link,
            code,
            sockets,
            counts,
            interface: interface.clone(),
            device: Device::here(interface.index)?,
            id,
            requested: mode,
            reached,
            why_not_native,
        })
    }
}

pub(super) fn check(program: &Program, interface: &Interface) -> Result<(), Error> {
    let too_old = KernelVersion::current().is_ok_and(|kernel| kernel < KernelVersion::new(5, 9, 0));
    if too_old {
        return Err(Error::Config {
            setting: "kernel",
            why: "programs are attached by a link that is removed with its owner, which needs \
                  kernel 5.9"
                .into(),
        });
    }
    if let Loaded::Generated {
        device: Some(bound),
        ..
    } = program.code
        && bound != Device::here(interface.index)?
    {
        return Err(Error::Config {
            setting: "metadata",
            why: format!(
                "the program is bound to the interface with index {} in the network namespace it was \
                 loaded in, not to {} ({}) in this one: load it for this interface, in its namespace",
                bound.index(),
                interface.name,
                interface.index
            ),
        });
    }
    if let Loaded::Generated {
        link_type: Some(compiled),
        ..
    } = program.code
        && compiled != interface.link_type()
    {
        return Err(Error::Config {
            setting: "filter",
            why: format!(
                "it was compiled for the link type {compiled}, and {} has {}: load the program for \
                 that one (`Redirect::link_type`)",
                interface.name,
                interface.link_type()
            ),
        });
    }
    if let Some((_, queues)) = &program.counts
        && interface.rx_queues > *queues
    {
        return Err(Error::Config {
            setting: "queues",
            why: format!(
                "the program has room for {queues}, and {} has {}: load it with that many \
                 (`Redirect::queues`)",
                interface.name, interface.rx_queues
            ),
        });
    }
    Ok(())
}

fn refuse_if_taken(interface: &Interface) -> Result<(), Error> {
    match Interface::by_index(interface.index)?.xdp {
        Some(foreign) => Err(in_the_way(interface, foreign)),
        None => Ok(()),
    }
}

fn link(program: &mut Program, interface: &Interface, mode: XdpMode) -> Result<Link, Error> {
    match bpf_link_xdp(program.code.fd()?, interface.index, mode) {
        Ok(link) => Ok(Link(link)),
        Err(refused) => {
            // Another process was faster: the kernel allows no link over a program.
            if refused.is(EBUSY) || refused.is(EEXIST) {
                refuse_if_taken(interface)?;
            }
            match mode {
                XdpMode::Native => Err(native::explained(refused, interface)),
                _ => Err(permit::for_program(refused)),
            }
        }
    }
}

pub(super) fn in_the_way(interface: &Interface, foreign: XdpProgram) -> Error {
    Error::ProgramInTheWay {
        interface: interface.name.clone(),
        id: foreign.id,
        name: name_of(foreign.id),
        mode: foreign.mode,
    }
}

/// The name of a program, if this process may ask for it.
fn name_of(id: u32) -> Option<String> {
    let program = aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)?;
    let name = program.name_as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}
