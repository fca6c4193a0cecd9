//! Test runs of XDP programs (`BPF_PROG_TEST_RUN`).
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd};

use super::bpf;
use crate::SyscallError;
use crate::kernel::bpf::{
    BPF_F_TEST_XDP_LIVE_FRAMES, BPF_PROG_TEST_RUN, bpf_attr_test_run, xdp_md,
};
use crate::syscall::page_size;

/// Runs an XDP program once over a packet as if it had the origin in `context`. Returns the verdict
/// and the packet as the program left it.
///
/// # Errors
/// `EINVAL` for a packet that is shorter than an Ethernet header or longer than a page can hold,
/// `ENODEV` for an unknown interface.
// [`bpf_prog_test_run_xdp`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/bpf/test_run.c#L1225
#[doc(alias = "BPF_PROG_TEST_RUN")]
pub fn bpf_test_xdp(
    program: BorrowedFd<'_>,
    packet: &[u8],
    context: xdp_md,
) -> Result<(u32, Vec<u8>), SyscallError> {
    // A program can grow the packet by the headroom, at most a page.
    let mut left = vec![0; packet.len() + page_size()];
    let mut attr = test_run(program, packet, &context);
    attr.data_out = left.as_mut_ptr().expose_provenance() as u64;
    attr.data_size_out = u32::try_from(left.len()).unwrap_or(u32::MAX);
    attr.repeat = 1;
    // SAFETY: packet and context are borrowed, and `left` is ours; nobody else writes to them;
    // their lengths go with them.
    unsafe { bpf(BPF_PROG_TEST_RUN, &mut attr, "bpf(BPF_PROG_TEST_RUN)") }?;
    left.truncate(attr.data_size_out as usize);
    Ok((attr.retval, left))
}

/// Runs `repeat` copies of a frame through an XDP program in batches of `batch` (1 to 256), and
/// executes the verdict on each as if it had arrived on `interface` (kernel 5.18). Returns when all
/// are done. The program sees each copy as its last run over the same memory left it.
///
/// # Errors
/// `EINTR` if a signal interrupted it, `ENODEV` for an unknown interface.
// [`bpf_test_run_xdp_live`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/bpf/test_run.c#L372
#[doc(alias = "BPF_F_TEST_XDP_LIVE_FRAMES")]
pub fn bpf_send_xdp(
    program: BorrowedFd<'_>,
    frame: &[u8],
    interface: u32,
    repeat: u32,
    batch: u32,
) -> Result<(), SyscallError> {
    let context = came_in(frame, interface);
    let mut attr = test_run(program, frame, &context);
    attr.repeat = repeat;
    attr.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
    attr.batch_size = batch;
    // SAFETY: frame and context are borrowed or on this stack; nobody writes to them; their lengths
    // go with them.
    unsafe {
        bpf(
            BPF_PROG_TEST_RUN,
            &mut attr,
            "bpf(BPF_PROG_TEST_RUN, live frames)",
        )
    }
    .map(drop)
}

/// The context of a packet without metadata.
fn came_in(packet: &[u8], interface: u32) -> xdp_md {
    xdp_md {
        data_end: u32::try_from(packet.len()).unwrap_or(u32::MAX),
        ingress_ifindex: interface,
        ..xdp_md::default()
    }
}

fn test_run(program: BorrowedFd<'_>, packet: &[u8], context: &xdp_md) -> bpf_attr_test_run {
    bpf_attr_test_run {
        prog_fd: program.as_raw_fd() as u32,
        data_in: packet.as_ptr().expose_provenance() as u64,
        data_size_in: u32::try_from(packet.len()).unwrap_or(u32::MAX),
        ctx_in: std::ptr::from_ref(context).expose_provenance() as u64,
        ctx_size_in: size_of::<xdp_md>() as u32,
        ..bpf_attr_test_run::default()
    }
}
