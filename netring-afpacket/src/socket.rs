//! A packet socket before its ring: opening, binding, filtering.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use netring_sys::filter::Program;
use netring_sys::kernel::filter::{BPF_RET_K, SockFilter};
use netring_sys::kernel::packet::{
    SOF_TIMESTAMPING_RAW_HARDWARE, SOF_TIMESTAMPING_SOFTWARE, SOF_TIMESTAMPING_SYS_HARDWARE,
};
use netring_sys::syscall::{attach_bpf, attach_filter, bind_packet, packet_socket};
use netring_sys::{Error, Interface, SyscallError};

/// Which clock stamps the packets. Each packet reports the clock that it really got
/// ([`Timestamp::clock`](netring_sys::Timestamp::clock)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u32)]
pub enum TimestampSource {
    /// The kernel's real-time clock.
    #[default]
    #[doc(alias = "SOF_TIMESTAMPING_SOFTWARE")]
    Software = SOF_TIMESTAMPING_SOFTWARE,
    /// The card's clock, converted to system time. No driver supports this today, and packets
    /// report [`Software`](netring_sys::Clock::Software).
    #[doc(alias = "SOF_TIMESTAMPING_SYS_HARDWARE")]
    SysHardware = SOF_TIMESTAMPING_SYS_HARDWARE,
    /// The card's own clock. Timestamping must be enabled on the card (`SIOCSHWTSTAMP`): by
    /// [`enable_hardware_timestamps`](crate::CaptureBuilder::enable_hardware_timestamps), by
    /// `hwstamp_ctl` or by a PTP daemon. A packet that the card did not stamp has the kernel's
    /// time, and reports [`Software`](netring_sys::Clock::Software).
    #[doc(alias = "SOF_TIMESTAMPING_RAW_HARDWARE")]
    RawHardware = SOF_TIMESTAMPING_RAW_HARDWARE,
}

/// Opens a packet socket with protocol 0: it receives nothing until it is bound with another.
pub(crate) fn open() -> Result<OwnedFd, Error> {
    packet_socket().map_err(SyscallError::needs_net_raw)
}

/// Binds the socket to an interface, which may have been removed since it was looked up.
pub(crate) fn bind(fd: BorrowedFd<'_>, interface: &Interface, protocol: u16) -> Result<(), Error> {
    bind_packet(fd, interface.index, protocol).map_err(|error| match error.is_no_device() {
        true => Error::NoSuchInterface {
            name: interface.name.clone(),
            namespace: interface.namespace.as_ref().map(ToString::to_string),
        },
        false => error.into(),
    })
}

/// Attaches a filter that rejects every packet.
pub(crate) fn reject_all(fd: BorrowedFd<'_>) -> Result<(), Error> {
    Ok(attach_filter(fd, &[SockFilter::stmt(BPF_RET_K, 0)])?)
}

/// Attaches the filter, which also implements the snap length.
pub(crate) fn attach(
    fd: BorrowedFd<'_>,
    filter: Option<&Program>,
    snap_len: Option<u32>,
) -> Result<(), Error> {
    let Some(program) = program(filter.map(Program::instructions), snap_len) else {
        return Ok(());
    };
    attach_filter(fd, &program).map_err(filter_refused)
}

/// Attaches an eBPF socket filter.
pub(crate) fn attach_ebpf(fd: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Error> {
    attach_bpf(fd, program).map_err(|error| match error.source.kind() {
        io::ErrorKind::InvalidInput => Error::Config {
            setting: "ebpf_filter",
            why:
                "the descriptor is not that of an eBPF socket filter (BPF_PROG_TYPE_SOCKET_FILTER)"
                    .into(),
        },
        _ => filter_refused(error),
    })
}

/// Why the kernel did not accept a filter, or did not remove one.
pub(crate) fn filter_refused(error: SyscallError) -> Error {
    let why = match error.source.kind() {
        io::ErrorKind::InvalidInput => {
            "the program is valid, but too long for the kernel once it is translated to eBPF"
        }
        io::ErrorKind::OutOfMemory => {
            "the program is larger than net.core.optmem_max allows for a socket"
        }
        io::ErrorKind::PermissionDenied => {
            "the filter of this capture is locked (EPERM): open another capture, or open it without `lock_filter`"
        }
        _ => return error.into(),
    };
    Error::Config {
        setting: "filter",
        why: why.into(),
    }
}

/// The program to attach. The kernel cuts a packet to the length that the program returns, so every
/// constant that accepts a packet becomes the snap length.
fn program(filter: Option<&[SockFilter]>, snap_len: Option<u32>) -> Option<Vec<SockFilter>> {
    let keep = snap_len.unwrap_or(u32::MAX);
    let everything = [SockFilter::stmt(BPF_RET_K, keep)];
    let filter = filter.or(snap_len.is_some().then_some(&everything))?;
    let mut program = filter.to_vec();
    for instruction in &mut program {
        if instruction.code == BPF_RET_K && instruction.k != 0 {
            instruction.k = keep;
        }
    }
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netring_sys::kernel::filter::BPF_LD_W_LEN;

    #[test]
    fn s12_the_filter_accepts_or_rejects_and_the_snap_length_cuts() {
        let ret = |k| SockFilter::stmt(BPF_RET_K, k);
        let load = SockFilter::stmt(BPF_LD_W_LEN, 77);
        assert_eq!(program(None, None), None);
        assert_eq!(program(None, Some(60)), Some(vec![ret(60)]));
        let filter = [load, ret(65_535), ret(0), ret(1)];
        let all = Some(vec![load, ret(u32::MAX), ret(0), ret(u32::MAX)]);
        assert_eq!(program(Some(&filter), None), all);
        let cut = Some(vec![load, ret(60), ret(0), ret(60)]);
        assert_eq!(program(Some(&filter), Some(60)), cut);
    }
}
