//! Array maps.
//!
//! # Safety
//! The invariant of this file: each pointer that is passed to the kernel is to a value on the
//! function's own stack, or to a slice that it borrows, and is passed with its exact length. The
//! kernel keeps no pointer after the call; a function whose memory it does keep takes an
//! [`Mmap`](crate::Mmap) or says so. Descriptors are borrowed, so they are open during the call.
#![expect(unsafe_code, reason = "system calls; the invariant stands above")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::bpf;
use crate::kernel::bpf::{
    BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_TYPE_ARRAY, BPF_MAP_UPDATE_ELEM,
    bpf_attr_map_create, bpf_attr_map_elem,
};
use crate::{Error, SyscallError};

/// An array of values of `N` bytes that programs share with their loader. The size is part of the
/// type because the kernel copies whole values of that size.
// [`array_map_alloc`]: https://elixir.bootlin.com/linux/v6.12.117/source/kernel/bpf/arraymap.c#L83
#[doc(alias = "BPF_MAP_TYPE_ARRAY")]
#[derive(Debug)]
pub struct BpfArray<const N: usize>(OwnedFd);

impl<const N: usize> BpfArray<N> {
    /// Creates an array of `entries` values, all zero.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] without CAP_BPF, `EINVAL` for no entries or values of size 0,
    /// `ENOMEM`.
    #[doc(alias = "BPF_MAP_CREATE")]
    pub fn new(entries: u32) -> Result<Self, Error> {
        let mut attr = bpf_attr_map_create {
            map_type: BPF_MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: N as u32,
            max_entries: entries,
            map_flags: 0,
        };
        // SAFETY: no pointer is in the attributes, which are on this stack and nobody else's.
        let fd = unsafe { bpf(BPF_MAP_CREATE, &mut attr, "bpf(BPF_MAP_CREATE)") };
        let fd = fd.map_err(SyscallError::needs_bpf)?;
        // SAFETY: the kernel has just made this descriptor for us; nobody else knows it; it is
        // open.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Reads the value at an index.
    ///
    /// # Errors
    /// `ENOENT` outside the array.
    #[doc(alias = "BPF_MAP_LOOKUP_ELEM")]
    pub fn get(&self, index: u32) -> Result<[u8; N], SyscallError> {
        let mut value = [0; N];
        let mut attr = self.element(&index, (&raw mut value).expose_provenance());
        // SAFETY: index and value are on this stack; nobody else uses them; the kernel writes one
        // value, which is `N` bytes.
        unsafe { bpf(BPF_MAP_LOOKUP_ELEM, &mut attr, "bpf(BPF_MAP_LOOKUP_ELEM)") }?;
        Ok(value)
    }

    /// Writes the value at an index.
    ///
    /// # Errors
    /// `E2BIG` outside the array.
    #[doc(alias = "BPF_MAP_UPDATE_ELEM")]
    pub fn set(&self, index: u32, value: &[u8; N]) -> Result<(), SyscallError> {
        let mut attr = self.element(&index, std::ptr::from_ref(value).expose_provenance());
        // SAFETY: index and value are borrowed for the call; nobody writes to them; the kernel
        // reads one value, which is `N` bytes.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr, "bpf(BPF_MAP_UPDATE_ELEM)") }.map(drop)
    }

    fn element(&self, index: &u32, value: usize) -> bpf_attr_map_elem {
        bpf_attr_map_elem {
            map_fd: self.0.as_raw_fd() as u32,
            pad: 0,
            key: std::ptr::from_ref(index).expose_provenance() as u64,
            value: value as u64,
            flags: 0,
        }
    }
}

impl<const N: usize> AsFd for BpfArray<N> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
