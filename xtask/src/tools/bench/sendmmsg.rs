//! The peer of an injector: a loop that sends frames in groups, by one system call for each.
//!
//! # Safety The invariant of this file: the headers that are passed to the kernel point to buffers
//! and vectors of the same value, which is boxed and never moved, with their exact lengths; the
//! kernel keeps no pointer after the call.
#![expect(
    unsafe_code,
    reason = "a system call with pointers; the invariant stands above"
)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use netring_sys::{Interface, syscall};

use crate::Result;

/// Messages of one call.
pub(super) const GROUP: usize = 64;
const BUFFER: usize = 2048;

/// A packet socket, and the buffers of a group.
pub(super) struct Sender {
    socket: OwnedFd,
    buffers: Box<[[u8; BUFFER]; GROUP]>,
}

impl Sender {
    /// Sends on the interface of this name.
    pub(super) fn open(name: &str, bypass: bool) -> Result<Self> {
        let interface = Interface::by_name(name)?;
        let socket = syscall::packet_socket()?;
        if bypass {
            syscall::set_packet_qdisc_bypass(socket.as_fd(), true)?;
        }
        syscall::bind_packet(socket.as_fd(), interface.index, 0)?;
        Ok(Self {
            socket,
            buffers: Box::new([[0; BUFFER]; GROUP]),
        })
    }

    /// Copies a frame into each buffer, and sends all of them; tries again while there is no room.
    pub(super) fn send(&mut self, frame: &[u8]) -> Result<u64> {
        let mut vectors: [libc::iovec; GROUP] = std::array::from_fn(|n| {
            self.buffers[n][..frame.len()].copy_from_slice(frame);
            libc::iovec {
                iov_base: self.buffers[n].as_mut_ptr().cast(),
                iov_len: frame.len(),
            }
        });
        // SAFETY: the headers are made of integers and pointers, for which zero is a value; they
        // are on this stack; their size is their type's.
        let mut messages: [libc::mmsghdr; GROUP] = unsafe { std::mem::zeroed() };
        for (message, vector) in messages.iter_mut().zip(&mut vectors) {
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
        }
        let mut sent = 0;
        while sent < GROUP {
            let rest = &mut messages[sent..];
            let (fd, count) = (self.socket.as_raw_fd(), rest.len() as u32);
            // SAFETY: headers, vectors and buffers are ours and outlive the call; nobody else uses
            // them; their number goes with them.
            let done = unsafe { libc::sendmmsg(fd, rest.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
            match usize::try_from(done) {
                Ok(done) => sent += done,
                Err(_) => {
                    let error = std::io::Error::last_os_error();
                    if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS)) {
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(GROUP as u64)
    }
}
