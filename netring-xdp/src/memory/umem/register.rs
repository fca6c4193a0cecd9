//! Registers packet memory with the kernel.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use netring_sys::errno::{EINVAL, ENOBUFS};
use netring_sys::kernel::xdp::{
    XDP_UMEM_TX_METADATA_LEN, XDP_UMEM_TX_SW_CSUM, XDP_UMEM_UNALIGNED_CHUNK_FLAG, xdp_umem_reg,
};
use netring_sys::syscall::{memlock_limit, set_xdp_umem};
use netring_sys::{Error, SyscallError};

use super::Shared;
use crate::permit::Needs;

impl Shared {
    /// Registers the memory with a socket.
    pub(crate) fn register(&self, socket: BorrowedFd<'_>, needs: Needs) -> Result<(), Error> {
        let geometry = self.geometry();
        let flag = |set, flag| if set { flag } else { 0 };
        let request = xdp_umem_reg {
            chunk_size: geometry.chunk_size(),
            headroom: geometry.headroom(),
            flags: flag(geometry.is_unaligned(), XDP_UMEM_UNALIGNED_CHUNK_FLAG)
                | flag(geometry.front() > 0, XDP_UMEM_TX_METADATA_LEN)
                | flag(self.software_checksum, XDP_UMEM_TX_SW_CSUM),
            tx_metadata_len: geometry.front(),
            ..xdp_umem_reg::default()
        };
        // The kernel unlocks the memory of closed sockets some time later. If the request exceeds
        // the limit by itself, waiting does not help.
        let limit = memlock_limit();
        let is_too_much = limit.is_some_and(|limit| needs.memory > limit);
        let patience = Duration::from_secs(if is_too_much { 0 } else { 2 });
        let patience = Instant::now() + patience;
        let mut result = set_xdp_umem(socket, self.region.map(), &request);
        while matches!(&result, Err(error) if error.is(ENOBUFS)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
            result = set_xdp_umem(socket, self.region.map(), &request);
        }
        result.map_err(|error| self.explained(error, limit, needs))
    }

    fn explained(&self, error: SyscallError, limit: Option<u64>, needs: Needs) -> Error {
        let geometry = self.geometry();
        match limit {
            Some(limit) if error.is(ENOBUFS) => needs.too_much_memory(limit),
            _ if error.is(EINVAL) && geometry.front() > 0 => Error::Config {
                setting: "transmit_metadata",
                why: "the kernel refused it; kernel 6.11 is needed, or an update of 6.8 to 6.10"
                    .into(),
            },
            _ if error.is(EINVAL) => Error::Config {
                setting: "chunk_size",
                why: format!(
                    "this kernel refused chunks of {} bytes with {} bytes of headroom; 2048 or 4096 \
                     without headroom always work",
                    geometry.chunk_size(),
                    geometry.headroom()
                ),
            },
            _ => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::umem::UmemConfig;

    /// A kernel that does not know the flag returns the same error as for anything else that it
    /// refuses.
    #[test]
    fn x12_a_kernel_without_metadata_is_told_from_one_that_does_not_take_the_chunks() {
        let told = |config: &UmemConfig, errno| {
            let error = SyscallError {
                call: "setsockopt(XDP_UMEM_REG)",
                source: std::io::Error::from_raw_os_error(errno),
            };
            let shared = config.build().unwrap();
            let needs = Needs {
                program: false,
                net_admin: false,
                memory: shared.geometry().bytes(),
                namespace: false,
            };
            shared.explained(error, Some(8 << 20), needs).to_string()
        };
        let plain = UmemConfig::new().chunks(4);
        let metadata = plain.clone().transmit_metadata(true);
        assert!(told(&plain, EINVAL).starts_with("chunk_size: this kernel"));
        let text = told(&metadata, EINVAL);
        assert!(text.starts_with("transmit_metadata: the kernel"), "{text}");
        assert!(text.contains("6.11"), "{text}");
        assert!(told(&metadata, ENOBUFS).starts_with("8192 bytes of packet memory"));
    }
}
