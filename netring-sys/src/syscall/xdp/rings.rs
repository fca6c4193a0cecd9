//! The packet memory and the rings of an AF_XDP socket.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{SOL_XDP, socklen_t};

use super::get_words;
use crate::kernel::xdp::{
    XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING,
    xdp_mmap_offsets, xdp_ring_offset, xdp_umem_reg,
};
use crate::syscall::{check, set_option};
use crate::{Mmap, SyscallError};

/// One of the four rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpRing {
    /// Descriptors of received packets.
    Receive,
    /// Descriptors of packets to send.
    Transmit,
    /// Chunks for the kernel to receive into.
    Fill,
    /// Chunks of packets that were sent.
    Completion,
}

/// Registers a mapping as packet memory; `addr` and `len` of the request are replaced by those of
/// the mapping.
///
/// The kernel pins the pages for as long as the socket lives, so it never writes to memory that was
/// reused, even if the mapping is dropped before the socket. The struct sizes of newer and older
/// kernels are tried in turn.
///
/// # Errors
/// `EINVAL` for a geometry that the kernel does not accept, `ENOBUFS` over the limit of locked
/// memory ([`memlock_limit`](crate::syscall::memlock_limit)), `EBUSY` if the socket has packet
/// memory.
// [`xdp_umem_reg`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xdp_umem.c#L157
#[doc(alias = "XDP_UMEM_REG")]
pub fn set_xdp_umem(
    fd: BorrowedFd<'_>,
    memory: &Mmap,
    request: &xdp_umem_reg,
) -> Result<(), SyscallError> {
    let request = xdp_umem_reg {
        addr: memory.address().as_ptr().addr() as u64,
        len: memory.len() as u64,
        ..*request
    };
    let mut result = Ok(());
    for len in umem_lengths(&request) {
        let pointer: *const xdp_umem_reg = &raw const request;
        // SAFETY: the request is on this stack; nobody writes to it; `len` is at most its size. The
        // memory that it names is shared with the kernel from now on, as the mapping's own
        // documentation says.
        let set = unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                SOL_XDP,
                libc::XDP_UMEM_REG,
                pointer.cast(),
                len,
            )
        };
        result = check(set, "setsockopt(XDP_UMEM_REG)").map(drop);
        // Another size helps only if the kernel did not accept the struct itself.
        if !matches!(&result, Err(error) if error.is(libc::EINVAL)) {
            break;
        }
    }
    result
}

/// The struct sizes that can express the request, newest kernel first. A kernel accepts each size
/// of its own time or before; of less than its own size it reads the first 24 bytes, without the
/// flags.
fn umem_lengths(request: &xdp_umem_reg) -> impl Iterator<Item = socklen_t> + use<> {
    let plain = request.flags == 0 && request.tx_metadata_len == 0;
    let needed = if plain { 24 } else { 32 };
    [32, 24].into_iter().filter(move |len| *len >= needed)
}

/// Creates one of the rings with this many entries, a power of two.
///
/// # Errors
/// `EINVAL` for any other number, `ENOMEM`, `EBUSY` if the socket is bound.
// [`xsk_init_queue`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1251
#[doc(alias = "XDP_RX_RING")]
#[doc(alias = "XDP_TX_RING")]
#[doc(alias = "XDP_UMEM_FILL_RING")]
#[doc(alias = "XDP_UMEM_COMPLETION_RING")]
pub fn set_xdp_ring(fd: BorrowedFd<'_>, ring: XdpRing, entries: u32) -> Result<(), SyscallError> {
    let (option, call) = match ring {
        XdpRing::Receive => (libc::XDP_RX_RING, "setsockopt(XDP_RX_RING)"),
        XdpRing::Transmit => (libc::XDP_TX_RING, "setsockopt(XDP_TX_RING)"),
        XdpRing::Fill => (libc::XDP_UMEM_FILL_RING, "setsockopt(XDP_UMEM_FILL_RING)"),
        XdpRing::Completion => (
            libc::XDP_UMEM_COMPLETION_RING,
            "setsockopt(XDP_UMEM_COMPLETION_RING)",
        ),
    };
    set_option(fd, SOL_XDP, option, &entries, call)
}

/// Maps one of the rings.
///
/// # Errors
/// `EINVAL` if the socket has no such ring or it is shorter than `len`, `ENOMEM`.
// [`xsk_mmap`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1828
#[doc(alias = "mmap")]
pub fn map_xdp_ring(fd: BorrowedFd<'_>, ring: XdpRing, len: usize) -> Result<Mmap, SyscallError> {
    let offset = match ring {
        XdpRing::Receive => XDP_PGOFF_RX_RING,
        XdpRing::Transmit => XDP_PGOFF_TX_RING,
        XdpRing::Fill => XDP_UMEM_PGOFF_FILL_RING,
        XdpRing::Completion => XDP_UMEM_PGOFF_COMPLETION_RING,
    };
    Mmap::shared_at(fd, len, offset)
}

/// The offsets of the rings' words, also from kernels before 5.4, which have no flags.
///
/// # Errors
/// The descriptor is not an AF_XDP socket.
// [`XDP_MMAP_OFFSETS`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/xdp/xsk.c#L1749
#[doc(alias = "XDP_MMAP_OFFSETS")]
pub fn xdp_ring_offsets(fd: BorrowedFd<'_>) -> Result<xdp_mmap_offsets, SyscallError> {
    // Read as words: the short form is not a prefix of the long one.
    let (words, len): ([u64; 16], _) =
        get_words(fd, libc::XDP_MMAP_OFFSETS, "getsockopt(XDP_MMAP_OFFSETS)")?;
    Ok(ring_offsets(&words, len))
}

/// Each ring has producer, consumer, entries and flags. Without flags, they are taken to follow the
/// consumer word.
fn ring_offsets(words: &[u64; 16], len: usize) -> xdp_mmap_offsets {
    let ring = |n: usize| match len {
        128.. => xdp_ring_offset {
            producer: words[4 * n],
            consumer: words[4 * n + 1],
            desc: words[4 * n + 2],
            flags: words[4 * n + 3],
        },
        _ => xdp_ring_offset {
            producer: words[3 * n],
            consumer: words[3 * n + 1],
            desc: words[3 * n + 2],
            flags: words[3 * n + 1] + 4,
        },
    };
    xdp_mmap_offsets {
        rx: ring(0),
        tx: ring(1),
        fr: ring(2),
        cr: ring(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x12_the_lengths_of_newer_and_older_kernels_are_tried_and_none_cuts_what_was_asked() {
        let lengths = |flags, tx_metadata_len| {
            let request = xdp_umem_reg {
                flags,
                tx_metadata_len,
                ..xdp_umem_reg::default()
            };
            umem_lengths(&request).collect::<Vec<_>>()
        };
        assert_eq!(lengths(0, 0), [32, 24]);
        assert_eq!(lengths(1, 0), [32]);
        assert_eq!(lengths(4, 8), [32]);
    }

    #[test]
    fn offsets_of_a_kernel_without_flags_are_understood() {
        let mut words = [0; 16];
        words[..12].copy_from_slice(&[0, 64, 128, 1, 65, 129, 2, 66, 130, 3, 67, 131]);
        let old = ring_offsets(&words, 96);
        assert_eq!(
            (old.rx.producer, old.rx.consumer, old.rx.desc, old.rx.flags),
            (0, 64, 128, 68)
        );
        assert_eq!(
            (old.cr.producer, old.cr.consumer, old.cr.desc, old.cr.flags),
            (3, 67, 131, 71)
        );
        let words = std::array::from_fn(|n| n as u64);
        let new = ring_offsets(&words, 128);
        assert_eq!((new.rx.flags, new.tx.producer, new.cr.flags), (3, 4, 15));
    }
}
