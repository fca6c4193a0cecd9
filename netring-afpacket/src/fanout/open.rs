//! Opens a group so that all members start together.
//!
//! The kernel adds one member after the other, and a packet goes to one of the current members. If
//! they received meanwhile, a flow would go to one member first, and to another as more join. So
//! each member is bound with a filter that rejects everything, and joins. Once all have joined, the
//! filters are replaced. A member's filter does not change which packets the kernel selects it for,
//! so from the first packet on each flow goes to its member.

use netring_sys::kernel::packet::{
    ETH_P_ALL, PACKET_FANOUT_FLAG_IGNORE_OUTGOING, PACKET_FANOUT_FLAG_UNIQUEID, fanout_args,
};
use netring_sys::syscall::{join_packet_fanout, kernel_version, packet_fanout};
use netring_sys::{Error, SyscallError, errno};

use super::settings::{Fanout, FanoutMode};
use super::{FanoutGroup, Membership};
use crate::builder::namespace::inside;
use crate::rx::{Gate, ignore_outgoing, lift, prepare};
use crate::{Capture, CaptureBuilder, socket};

impl FanoutGroup {
    /// Opens the workers with these settings and puts them into one group: when this returns, all
    /// of them are capturing.
    ///
    /// # Errors
    /// The errors of [`CaptureBuilder::build`]; [`Error::Config`] if the group exists and has other
    /// settings, or is full, or if the kernel is too old for a setting.
    pub fn open(builder: CaptureBuilder, fanout: Fanout) -> Result<Self, Error> {
        let namespace = builder.namespace.clone();
        inside(namespace.as_ref(), || Self::open_here(builder, fanout))
    }

    fn open_here(builder: CaptureBuilder, fanout: Fanout) -> Result<Self, Error> {
        fanout.check()?;
        let prepared = (0..fanout.count()).map(|_| prepare(&builder, Gate::Shut));
        let mut workers = prepared.collect::<Result<Vec<_>, _>>()?;
        // Before anything can arrive, and once: it takes longer than all that follows it.
        let filter = builder.program(workers[0].interface())?;
        let card = builder.set_card(workers[0].interface())?;
        for worker in &mut workers {
            worker.hold_card(card.clone());
        }
        for worker in &workers {
            socket::bind(worker.socket(), worker.interface(), ETH_P_ALL)?;
        }
        let id = join(&workers, &builder, &fanout)?;
        if let FanoutMode::Program(program) = &fanout.mode {
            program.set(workers[0].socket())?;
        }
        let stop = workers[0].stop_handle();
        for worker in &mut workers[1..] {
            worker.share_stop(stop.clone())?;
        }
        for worker in &mut workers {
            let socket = worker.socket().try_clone_to_owned();
            let socket = socket.map_err(|source| SyscallError {
                call: "fcntl(F_DUPFD_CLOEXEC)",
                source,
            })?;
            worker.enter(Membership::new(socket, builder.immediate));
        }
        wait_for_packets_in_flight()?;
        for worker in &workers {
            lift(worker.socket(), &builder, filter.as_ref())?;
            worker.log_opened();
        }
        Ok(Self::new(workers, id))
    }
}

/// Puts the workers into the group, in order, and returns its number.
fn join(workers: &[Capture], builder: &CaptureBuilder, fanout: &Fanout) -> Result<u16, Error> {
    let mut request = fanout_args {
        id: fanout.id.unwrap_or_default(),
        type_flags: fanout.type_flags(),
        max_num_members: fanout.max_members.unwrap_or_default(),
    };
    // The option of the single socket has no effect in a group.
    if ignore_outgoing(builder.ignore_outgoing, workers[0].interface()) == Some(true) {
        check_ignores_outgoing(kernel_version())?;
        request.type_flags |= PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
    }
    for (n, worker) in workers.iter().enumerate() {
        let mut this = request;
        if n == 0 && fanout.id.is_none() {
            this.type_flags |= PACKET_FANOUT_FLAG_UNIQUEID;
        }
        join_packet_fanout(worker.socket(), &this).map_err(|error| refused(error, fanout))?;
        if n == 0 {
            request.id = packet_fanout(worker.socket())?.id;
        }
    }
    Ok(request.id)
}

/// Older kernels accept the flag and do not act on it, and nothing but their version says so.
fn check_ignores_outgoing(kernel: Option<(u32, u32)>) -> Result<(), Error> {
    let Some((major, minor)) = kernel.filter(|kernel| *kernel < (5, 17)) else {
        return Ok(());
    };
    let why = format!(
        "a fanout group needs Linux 5.17 for it, and this is {major}.{minor}; set it to false, and filter with `inbound` instead"
    );
    Err(Error::Config {
        setting: "ignore_outgoing",
        why,
    })
}

/// Waits until no processor is at work on a packet that it began with before.
///
/// Such a processor may still hand the packet to a member by itself, as it was before it joined,
/// and must do so while the filter rejects it. The kernel waits for all of them when a packet
/// socket is closed.
// [`packet_release`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/packet/af_packet.c#L3237
fn wait_for_packets_in_flight() -> Result<(), Error> {
    drop(socket::open()?);
    Ok(())
}

/// The meaning of the kernel's bare error number.
fn refused(error: SyscallError, fanout: &Fanout) -> Error {
    let why = match fanout.id {
        Some(id) if error.is(errno::EINVAL) => format!(
            "the kernel refused to join group {id} (EINVAL): a group that exists takes members only with its own mode, flags (`rollover`, \
             `defragment`, `ignore_outgoing`), maximum of members and interface; before Linux 6.13 the interface also has to be up, and \
             `max_members` needs Linux 5.11"
        ),
        None if error.is(errno::EINVAL) => {
            "the kernel refused to create a group (EINVAL): before Linux 6.13 the interface has to be up; a group without an `id` needs \
             Linux 4.12, and `max_members` Linux 5.11"
                .into()
        }
        _ if error.is(errno::ENOSPC) => {
            let id = fanout.id.unwrap_or_default();
            format!("group {id} is full: it takes no more members than it was created for, 256 unless `max_members` was set")
        }
        _ => return error.into(),
    };
    Error::Config {
        setting: "fanout",
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_would_ignore_the_flag_is_named_with_the_way_out() {
        for kernel in [None, Some((5, 17)), Some((6, 0))] {
            check_ignores_outgoing(kernel).unwrap();
        }
        let error = check_ignores_outgoing(Some((5, 16))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ignore_outgoing: a fanout group needs Linux 5.17 for it, and this is 5.16; set it to false, and filter with `inbound` instead"
        );
    }
}
