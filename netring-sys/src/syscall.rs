//! One typed function per system call: it takes a borrowed descriptor and returns an owned one or
//! plain data.
//!
//! Each file below that contains unsafe code states its invariant; this one contains none.

mod bpf;
mod ioctl;
mod link;
mod mmap;
mod namespace;
mod packet;
mod page;
mod poll;
mod sockopt;
mod uname;
mod xdp;

use libc::{c_int, c_long, socklen_t};

pub use bpf::{
    BpfArray, XdpLoad, bpf_link_detach, bpf_link_xdp, bpf_load_socket_filter, bpf_load_xdp,
    bpf_load_xdp_with, bpf_program_id, bpf_send_xdp, bpf_test_xdp,
};
pub use ioctl::{
    DriverByIoctl, InterfaceByIoctl, LinkFacts, ethtool_channels, ethtool_driver, ethtool_rings,
    ethtool_timestamping, hardware_timestamping, interface_by_ioctl, interface_socket, link_facts,
    set_ethtool_rings, set_hardware_timestamping,
};
pub use link::{generic_netlink_socket, netlink_receive, netlink_send, netlink_socket};
pub use mmap::Mmap;
pub use namespace::{enter_network_namespace, is_network_namespace};
pub use packet::{
    SentTimestamp, add_packet_membership, attach_bpf, attach_filter, bind_packet, detach_filter,
    drop_packet_membership, join_packet_fanout, kick_packet_ring, lock_filter, packet_fanout,
    packet_rollover_statistics, packet_socket, packet_socket_address, packet_statistics, receive,
    receive_sent_timestamp, send, set_packet_fanout_ebpf, set_packet_fanout_program,
    set_packet_ignore_outgoing, set_packet_qdisc_bypass, set_packet_reserve, set_packet_rx_ring,
    set_packet_timestamp, set_packet_tx_ring, set_packet_version, set_packet_vnet_header,
    set_sent_timestamps, take_socket_error,
};
pub use page::page_size;
pub use poll::{
    epoll, epoll_add, epoll_add_writable, epoll_mute, epoll_ready, epoll_remove, event,
    event_clear, event_signal, poll_readable, poll_readable_any, poll_writable, timer, timer_clear,
    timer_start,
};
pub use sockopt::network_namespace;
pub use uname::kernel_version;
pub use xdp::{
    Kick, XdpRing, bind_xdp, kick_receive, kick_transmit, map_xdp_ring, memlock_limit,
    set_busy_poll, set_xdp_ring, set_xdp_transmit_budget, set_xdp_umem, xdp_is_zero_copy,
    xdp_ring_offsets, xdp_socket, xdp_statistics_of,
};

use crate::SyscallError;
use sockopt::{get_option, set_option};

/// The result of a call, or its error.
fn check(result: c_int, call: &'static str) -> Result<c_int, SyscallError> {
    if result < 0 {
        Err(SyscallError::last(call))
    } else {
        Ok(result)
    }
}

/// The byte count of a call, or its error.
fn check_len(result: isize, call: &'static str) -> Result<usize, SyscallError> {
    usize::try_from(result).map_err(|_| SyscallError::last(call))
}

fn size_of_u32<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}

/// Whether an error means "nothing now".
fn would_block(error: &SyscallError) -> bool {
    error.is(libc::EAGAIN) || error.is(libc::EINTR)
}

/// A duration for `ppoll`, in full resolution, so that a wait below a millisecond is not rounded to
/// zero. 68 years stand for all that is longer; then the seconds fit into 32 bits, and their type,
/// which libc deprecates for musl, need not be named.
fn timespec(duration: std::time::Duration) -> libc::timespec {
    const MOST: u64 = i32::MAX as u64;
    libc::timespec {
        tv_sec: duration.as_secs().min(MOST) as _,
        tv_nsec: c_long::from(duration.subsec_nanos() as i32),
    }
}
