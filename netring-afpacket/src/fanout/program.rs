//! Programs that select the worker of a packet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use netring_sys::filter::Program;
use netring_sys::syscall::{set_packet_fanout_ebpf, set_packet_fanout_program};
use netring_sys::{Error, SyscallError, errno};

/// A BPF program that selects the worker of each packet, for
/// [`FanoutMode::Program`](super::FanoutMode::Program). Its result modulo the number of workers is
/// the number of the worker, in the order of [`FanoutGroup::workers`](super::FanoutGroup::workers).
///
/// The program does not see what the filter of a capture sees: offset 0 is the **network header**
/// of a packet that arrives, but the link-layer header of a packet that this host sends. Offsets
/// from `SKF_NET_OFF` on (−0x100000) are relative to the network header of both.
///
/// ```
/// use netring_afpacket::{FanoutProgram, SockFilter};
///
/// // The last byte of the IPv4 source address.
/// let by_source = FanoutProgram::classic([
///     SockFilter::stmt(0x30, 0xfff0_0000 + 15),
///     SockFilter::stmt(0x16, 0),
/// ]);
/// # let _ = by_source;
/// ```
#[doc(alias = "PACKET_FANOUT_DATA")]
#[derive(Clone, Debug)]
pub struct FanoutProgram(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Classic(Program),
    Ebpf(Arc<OwnedFd>),
}

impl FanoutProgram {
    /// A classic BPF program: a [`Program`], or a vector, slice or array of instructions. It is
    /// checked when it is used.
    #[doc(alias = "PACKET_FANOUT_CBPF")]
    pub fn classic(program: impl Into<Program>) -> Self {
        Self(Kind::Classic(program.into()))
    }

    /// A loaded eBPF program of type socket filter (`BPF_PROG_TYPE_SOCKET_FILTER`). The descriptor
    /// is duplicated.
    ///
    /// # Errors
    /// There are too many open files.
    #[doc(alias = "PACKET_FANOUT_EBPF")]
    pub fn ebpf(program: impl AsFd) -> io::Result<Self> {
        let program = program.as_fd().try_clone_to_owned()?;
        Ok(Self(Kind::Ebpf(Arc::new(program))))
    }

    pub(super) const fn is_ebpf(&self) -> bool {
        matches!(self.0, Kind::Ebpf(_))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let Kind::Classic(program) = &self.0 else {
            return Ok(());
        };
        program.check().map_err(|error| match error {
            Error::Config { why, .. } => refused(why),
            other => other,
        })
    }

    /// Makes it the program of the group that the socket is in.
    pub(super) fn set(&self, socket: BorrowedFd<'_>) -> Result<(), Error> {
        let set = match &self.0 {
            Kind::Classic(program) => set_packet_fanout_program(socket, program.instructions()),
            Kind::Ebpf(program) => set_packet_fanout_ebpf(socket, program.as_fd()),
        };
        set.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: SyscallError) -> Error {
        let why = match &self.0 {
            Kind::Classic(_) if error.is(errno::EINVAL) => {
                "the kernel refused it (EINVAL): the mode of the group is not a classic program, or the program is too long for the kernel \
                 once it is translated to eBPF"
            }
            Kind::Ebpf(_) if error.is(errno::EINVAL) => {
                "the kernel refused it (EINVAL): the mode of the group is not an eBPF program, or the program is not of type socket filter \
                 (BPF_PROG_TYPE_SOCKET_FILTER)"
            }
            _ if error.is(errno::EPERM) => {
                "the kernel refused it (EPERM): the filter of the capture is locked, and with it the program of its group"
            }
            _ => return error.into(),
        };
        refused(why.into())
    }
}

fn refused(why: String) -> Error {
    Error::Config {
        setting: "fanout program",
        why,
    }
}
