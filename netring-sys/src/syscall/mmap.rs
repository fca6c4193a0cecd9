//! An owned mapping with range-checked access.
//!
//! # Safety
//! The invariant of this file: `address .. address + len` is one live mapping from [`Mmap::shared`]
//! or [`Mmap::anonymous`] until the value is dropped, readable and writable, and nobody else unmaps
//! it. The kernel may write to it at any time, as the atomics inside it announce; so plain bytes
//! are lent by unsafe functions only.
#![allow(unsafe_code, reason = "owns a mapping; the invariant stands above")]

use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::SyscallError;
use crate::error::{MAP_ANONYMOUS, MAP_HUGE};

/// Memory shared with the kernel, unmapped when dropped.
#[derive(Debug)]
pub struct Mmap {
    address: NonNull<u8>,
    len: usize,
}

impl Mmap {
    /// Maps the first `len` bytes of `fd`, shared, readable and writable. All pages are present at
    /// once, so the first packets of a ring cause no page faults.
    ///
    /// # Errors
    /// `mmap` failed: a length of 0 or one that the descriptor does not have (`EINVAL`), no memory
    /// (`ENOMEM`), or too many locked pages (`EAGAIN`).
    #[doc(alias = "mmap")]
    pub fn shared(fd: BorrowedFd<'_>, len: usize) -> Result<Self, SyscallError> {
        Self::shared_at(fd, len, 0)
    }

    /// Maps `len` bytes of `fd` like [`shared`](Self::shared), starting at an offset.
    ///
    /// # Errors
    /// The errors of [`shared`](Self::shared), and `EINVAL` or `EOVERFLOW` for an offset that the
    /// descriptor does not have.
    pub fn shared_at(fd: BorrowedFd<'_>, len: usize, offset: u64) -> Result<Self, SyscallError> {
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        Self::map(len, flags, fd.as_raw_fd(), offset, "mmap")
    }

    /// Maps `len` bytes of private zeros: packet memory, or a ring for tests without a kernel.
    ///
    /// # Errors
    /// `mmap` failed: a length of 0 (`EINVAL`), or no memory (`ENOMEM`).
    pub fn anonymous(len: usize) -> Result<Self, SyscallError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        Self::map(len, flags, -1, 0, MAP_ANONYMOUS)
    }

    /// Maps private zeros like [`anonymous`](Self::anonymous), in huge pages of the system's
    /// default size, of which `len` must be a multiple.
    ///
    /// # Errors
    /// `ENOMEM` if the system has not reserved enough of them (`sysctl vm.nr_hugepages`), `EINVAL`
    /// if it supports none.
    #[doc(alias = "MAP_HUGETLB")]
    pub fn anonymous_huge(len: usize) -> Result<Self, SyscallError> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        Self::map(len, flags, -1, 0, MAP_HUGE)
    }

    fn map(
        len: usize,
        flags: libc::c_int,
        fd: libc::c_int,
        offset: u64,
        call: &'static str,
    ) -> Result<Self, SyscallError> {
        // 64 bits on every target: two rings of an AF_XDP socket are mapped beyond 4 GiB, and the
        // `off_t` of a 32-bit libc ends at 2 GiB.
        let Ok(offset) = libc::off64_t::try_from(offset) else {
            return Err(SyscallError {
                call,
                source: std::io::Error::from_raw_os_error(libc::EOVERFLOW),
            });
        };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a null hint asks for a new mapping, which overlaps nothing that anyone owns;
        // nobody can write to it before it is returned; the kernel checks `len` against
        // `fd` or refuses.
        let address = unsafe { libc::mmap64(std::ptr::null_mut(), len, access, flags, fd, offset) };
        if address == libc::MAP_FAILED {
            return Err(SyscallError::last(call));
        }
        let address = NonNull::new(address.cast()).ok_or_else(|| SyscallError::last(call))?;
        Ok(Self { address, len })
    }

    /// The size of the mapping in bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Always false: no mapping has length 0.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The 32-bit word at `offset` bytes, or `None` if it is outside the mapping or not aligned to
    /// 4 bytes.
    #[inline]
    pub fn atomic_u32(&self, offset: usize) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(4) || self.len < 4 || offset > self.len - 4 {
            return None;
        }
        let word = self.address.as_ptr().wrapping_add(offset).cast();
        // SAFETY: the mapping is owned by `self` and outlives the reference; other writers of this
        // word access it atomically, as its type says; the check above keeps all four bytes inside,
        // and mappings start on a page.
        Some(unsafe { AtomicU32::from_ptr(word) })
    }

    /// The `count` 64-bit words from `offset` bytes on, or `None` if they are not all inside the
    /// mapping or not aligned to 8 bytes.
    #[inline]
    pub fn atomic_u64s(&self, offset: usize, count: usize) -> Option<&[AtomicU64]> {
        let len = count.checked_mul(8)?;
        if !offset.is_multiple_of(8) || offset > self.len || len > self.len - offset {
            return None;
        }
        let words = self.address.as_ptr().wrapping_add(offset).cast();
        // SAFETY: the mapping is owned by `self` and outlives the reference; other writers of these
        // words access them atomically, as their type says; the check above keeps all of them
        // inside, and mappings start on a page.
        Some(unsafe { std::slice::from_raw_parts(words, count) })
    }

    /// The start address of the mapping.
    #[inline]
    pub const fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// The bytes `offset .. offset + len`, or `None` if they are not all inside the mapping.
    ///
    /// # Safety
    /// Nobody writes to these bytes while the slice lives: a protocol in the mapping (a status
    /// word) gives them to the reader.
    #[inline]
    pub unsafe fn bytes(&self, offset: usize, len: usize) -> Option<&[u8]> {
        if offset > self.len || len > self.len - offset {
            return None;
        }
        // SAFETY: `self` owns the mapping and outlives the slice; the caller promises that nobody
        // writes to it; the check above keeps the range inside.
        Some(unsafe { std::slice::from_raw_parts(self.address.as_ptr().wrapping_add(offset), len) })
    }

    /// The bytes `offset .. offset + len`, writable, or `None` if they are not all inside the
    /// mapping.
    ///
    /// # Safety
    /// Nobody writes to these bytes while the slice lives, and the kernel does not read those of
    /// them that are written: a protocol in the mapping (a status word) gives them to the caller.
    #[inline]
    pub unsafe fn slice_mut(&mut self, offset: usize, len: usize) -> Option<&mut [u8]> {
        if offset > self.len || len > self.len - offset {
            return None;
        }
        let start = self.address.as_ptr().wrapping_add(offset);
        // SAFETY: `self` owns the mapping and outlives the slice; `&mut self` and the caller's
        // promise leave no other writer; the check above keeps the range inside.
        Some(unsafe { std::slice::from_raw_parts_mut(start, len) })
    }

    /// All bytes, writable: `&mut self` shows that no reference into the mapping is left in this
    /// process.
    ///
    /// # Safety
    /// The kernel does not access the mapping while the slice lives; it never accesses an
    /// [`anonymous`](Self::anonymous) one that was not registered with it.
    #[inline]
    pub unsafe fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `self` owns the mapping; `&mut self` and the caller's promise leave no other
        // reader or writer; the range is the whole mapping.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.len) }
    }
}

impl Drop for Mmap {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone and every reference into it borrowed `self`; nobody
        // uses it after this; address and length are those of the mapping.
        let _ = unsafe { libc::munmap(self.address.as_ptr().cast(), self.len) };
    }
}

// SAFETY: the mapping belongs to the value and not to a thread; shared access is by atomics, or
// through unsafe functions whose callers keep their promise; the range is fixed.
unsafe impl Send for Mmap {}
// SAFETY: as for `Send`: `&self` gives atomics only, unless the caller of an unsafe function
// promises more.
unsafe impl Sync for Mmap {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn every_access_is_range_checked() {
        let map = Mmap::anonymous(8192).unwrap();
        assert_eq!(map.len(), 8192);
        assert!(map.atomic_u32(8188).is_some());
        for outside in [8189, 8190, 8192, usize::MAX, usize::MAX - 3, 2] {
            assert!(map.atomic_u32(outside).is_none(), "{outside}");
        }
        assert_eq!(map.atomic_u64s(8, 1023).map(<[_]>::len), Some(1023));
        for (offset, count) in [
            (8, 1024),
            (4, 1),
            (8192, 1),
            (0, usize::MAX),
            (usize::MAX - 7, 1),
        ] {
            assert!(map.atomic_u64s(offset, count).is_none(), "{offset} {count}");
        }
        // SAFETY: an anonymous mapping of this test; nobody writes; the ranges are what is tested.
        let bytes = |offset, len| unsafe { map.bytes(offset, len) }.map(<[u8]>::len);
        assert_eq!(bytes(0, 8192), Some(8192));
        assert_eq!(bytes(8192, 0), Some(0));
        for (offset, len) in [
            (0, 8193),
            (1, 8192),
            (8193, 0),
            (usize::MAX, 1),
            (1, usize::MAX),
        ] {
            assert_eq!(bytes(offset, len), None, "{offset} {len}");
        }
        let mut map = map;
        // SAFETY: an anonymous mapping of this test; nobody else writes; the ranges are what is
        // tested.
        let mut writable = |offset, len| unsafe { map.slice_mut(offset, len) }.map(|b| b.len());
        assert_eq!(writable(4096, 4096), Some(4096));
        for (offset, len) in [(0, 8193), (8193, 0), (usize::MAX, 1), (1, usize::MAX)] {
            assert_eq!(writable(offset, len), None, "{offset} {len}");
        }
    }

    #[test]
    fn a_word_written_through_the_atomic_is_in_the_bytes() {
        let map = Mmap::anonymous(4096).unwrap();
        map.atomic_u32(64)
            .unwrap()
            .store(0x0403_0201, Ordering::Relaxed);
        // SAFETY: an anonymous mapping of this test; the store above is done; the range is inside.
        let bytes = unsafe { map.bytes(64, 4) }.unwrap();
        assert_eq!(bytes, 0x0403_0201_u32.to_ne_bytes());
    }

    /// As for the fill and completion rings of an AF_XDP socket, on 32-bit targets too.
    #[test]
    fn a_mapping_can_start_behind_4_gib() {
        use std::os::fd::AsFd;
        use std::os::unix::fs::FileExt;
        let path = std::env::temp_dir().join(format!("netring-mmap-{}", std::process::id()));
        let mut options = std::fs::File::options();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(path).unwrap();
        let start = 1 << 32;
        file.set_len(start + 4096).unwrap();
        let map = Mmap::shared_at(file.as_fd(), 4096, start).unwrap();
        map.atomic_u32(8)
            .unwrap()
            .store(0x0403_0201, Ordering::Relaxed);
        let mut read = [0; 4];
        file.read_exact_at(&mut read, start + 8).unwrap();
        assert_eq!(read, 0x0403_0201_u32.to_ne_bytes());
    }

    #[test]
    fn advice_about_huge_pages_is_not_about_rings() {
        let error = Mmap::anonymous_huge(usize::MAX >> 2 & !((2 << 20) - 1)).unwrap_err();
        assert_eq!(error.call, "mmap(MAP_HUGETLB)");
        let said = error.to_string();
        assert!(
            said.contains("huge pages") && !said.contains("ring,"),
            "{said}"
        );
    }

    #[test]
    fn a_mapping_of_nothing_is_refused() {
        let error = Mmap::anonymous(0).unwrap_err();
        assert!(error.is(libc::EINVAL), "{error}");
    }
}
