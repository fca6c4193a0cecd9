//! The times at which frames were sent, from the error queue of their socket.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, and is passed with its exact length; the kernel keeps no pointer after the
//! call. Control messages are walked by libc's own functions, over the length that the kernel
//! returned.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{SOL_PACKET, SOL_SOCKET, c_int};

use super::super::{check_len, set_option, would_block};
use crate::SyscallError;

/// The time at which a frame was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentTimestamp {
    /// The number of the frame, counted by the kernel in 32 bits from 0.
    pub key: u32,
    /// Seconds and nanoseconds since the epoch, taken by the driver.
    pub software: Option<(i64, i64)>,
    /// Seconds and nanoseconds of the card's own clock.
    pub hardware: Option<(i64, i64)>,
}

/// Requests timestamps of sent frames, as `SOF_TIMESTAMPING_*` bits. They arrive in the error
/// queue.
///
/// # Errors
/// `EINVAL` for bits that the kernel does not know.
// [`sock_set_timestamping`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/sock.c#L895
#[doc(alias = "SO_TIMESTAMPING")]
pub fn set_sent_timestamps(fd: BorrowedFd<'_>, flags: u32) -> Result<(), SyscallError> {
    set_option(
        fd,
        SOL_SOCKET,
        libc::SO_TIMESTAMPING,
        &flags,
        "setsockopt(SO_TIMESTAMPING)",
    )
}

/// Takes the next timestamp from the error queue, `None` if there is none now.
///
/// # Errors
/// The descriptor is not a packet socket.
// [`sock_recv_errqueue`]: https://elixir.bootlin.com/linux/v6.12.117/source/net/core/sock.c#L3683
#[doc(alias = "MSG_ERRQUEUE")]
pub fn receive_sent_timestamp(fd: BorrowedFd<'_>) -> Result<Option<SentTimestamp>, SyscallError> {
    // Aligned as control messages are.
    let mut control = [0_u64; 32];
    // SAFETY: msghdr is made of integers and pointers, for which zero is a value; it is on this
    // stack; its size is its type's.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: message and control buffer are on this stack; nobody else uses them; the kernel
    // writes at most `msg_controllen` bytes of the buffer.
    let received = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) };
    match check_len(received, "recvmsg(MSG_ERRQUEUE)") {
        Err(error) if would_block(&error) => return Ok(None),
        other => other?,
    };
    let mut found = SentTimestamp {
        key: 0,
        software: None,
        hardware: None,
    };
    // SAFETY: the message and its control buffer are on this stack; nobody writes to them; the
    // kernel has set the length of what it wrote.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    while !next.is_null() {
        // SAFETY: the header is in the control buffer, which is ours; nobody writes to it; libc
        // returns only headers that are whole inside.
        let header = unsafe { next.read_unaligned() };
        // SAFETY: the pointer is to a header in the control buffer, which is ours; nobody writes to
        // it; the data starts right behind the header.
        let data = unsafe { libc::CMSG_DATA(next) };
        // SAFETY: the data is in the control buffer, which is ours; nobody writes to it; `read`
        // copies no more than the length in the header, which the kernel wrote within the buffer.
        unsafe { read(&mut found, &header, data) };
        // SAFETY: as for CMSG_FIRSTHDR: our message, no other writer, and the kernel's length.
        next = unsafe { libc::CMSG_NXTHDR(&raw const message, next) };
    }
    Ok(Some(found))
}

/// Reads one control message.
///
/// # Safety
/// `data` is to as many bytes as the header says that follow it.
unsafe fn read(found: &mut SentTimestamp, header: &libc::cmsghdr, data: *const u8) {
    const PACKET_TX_TIMESTAMP: c_int = 16;
    // SAFETY: no memory is handed over, so there is no owner, writer or range to speak of.
    let before = unsafe { libc::CMSG_LEN(0) } as usize;
    let mut words = [0_u8; 48];
    #[allow(clippy::unnecessary_cast, reason = "its type depends on the libc")]
    let len = (header.cmsg_len as usize)
        .saturating_sub(before)
        .min(words.len());
    // SAFETY: the source is the caller's, the target on this stack; nobody else writes to either;
    // `len` is within both.
    unsafe { std::ptr::copy_nonoverlapping(data, words.as_mut_ptr(), len) };
    match (header.cmsg_level, header.cmsg_type) {
        (SOL_SOCKET, libc::SCM_TIMESTAMPING) => {
            found.software = time(&words, 0);
            found.hardware = time(&words, 2);
        }
        // `sock_extended_err`: the key is its last word.
        (SOL_PACKET, PACKET_TX_TIMESTAMP) if len >= 16 => {
            found.key = u32::from_ne_bytes([words[12], words[13], words[14], words[15]]);
        }
        _ => {}
    }
}

/// The `n`th of three times of two `long`s each; `None` if it is zero.
// [`scm_timestamping`]: https://elixir.bootlin.com/linux/v6.12.117/source/include/uapi/linux/errqueue.h#L40
#[allow(
    clippy::useless_conversion,
    reason = "a long has 32 bits on some targets"
)]
fn time(words: &[u8; 48], n: usize) -> Option<(i64, i64)> {
    let long = |at: usize| {
        let bytes = words.get(at * size_of::<libc::c_long>()..)?;
        let bytes = bytes.first_chunk::<{ size_of::<libc::c_long>() }>()?;
        Some(i64::from(libc::c_long::from_ne_bytes(*bytes)))
    };
    let time = (long(2 * n)?, long(2 * n + 1)?);
    (time != (0, 0)).then_some(time)
}
