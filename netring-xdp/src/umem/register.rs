//! Packet memory is told to the kernel.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use netring_sys::kernel::xdp::{
    XDP_UMEM_TX_METADATA_LEN, XDP_UMEM_TX_SW_CSUM, XDP_UMEM_UNALIGNED_CHUNK_FLAG, xdp_umem_reg,
};
use netring_sys::syscall::{memlock_limit, set_xdp_umem};
use netring_sys::{Error, SyscallError};

use super::Shared;

const ENOBUFS: i32 = 105;
const EINVAL: i32 = 22;

impl Shared {
    /// Registers the memory with a socket.
    pub(crate) fn register(&self, socket: BorrowedFd<'_>) -> Result<(), Error> {
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
        // What closed sockets had locked is let go of on the kernel's own time.
        let patience = Instant::now() + Duration::from_millis(500);
        let mut result = set_xdp_umem(socket, self.region.map(), &request);
        while matches!(&result, Err(error) if error.is(ENOBUFS)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
            result = set_xdp_umem(socket, self.region.map(), &request);
        }
        result.map_err(|error| self.explained(error, memlock_limit()))
    }

    fn explained(&self, error: SyscallError, limit: Option<u64>) -> Error {
        let geometry = self.geometry();
        match limit {
            Some(limit) if error.is(ENOBUFS) => Error::Config {
                setting: "chunks",
                why: format!(
                    "{} bytes of packet memory, with what else this user has locked, are more than the {limit} that a process without CAP_IPC_LOCK may lock: \
                         raise the limit (`ulimit -l`, LimitMEMLOCK=), grant the capability (`sudo setcap cap_ipc_lock,cap_net_raw=ep PROGRAM`), or ask for fewer chunks",
                    geometry.bytes()
                ),
            },
            _ if error.is(EINVAL) && geometry.front() > 0 => Error::Config {
                setting: "transmit_metadata",
                why:
                    "the kernel does not take it: it needs kernel 6.11, or an update of 6.8 to 6.10"
                        .into(),
            },
            _ if error.is(EINVAL) => Error::Config {
                setting: "chunk_size",
                why: format!(
                    "this kernel does not take chunks of {} bytes with {} of headroom; it always takes 2048 or 4096 without",
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
    use crate::umem::UmemConfig;

    /// A kernel that does not know the flag says what it says of any other thing that it does not take.
    #[test]
    fn x12_a_kernel_without_metadata_is_told_from_one_that_does_not_take_the_chunks() {
        let told = |config: &UmemConfig, errno| {
            let error = SyscallError {
                call: "setsockopt(XDP_UMEM_REG)",
                source: std::io::Error::from_raw_os_error(errno),
            };
            let shared = config.build().unwrap();
            shared.explained(error, Some(8 << 20)).to_string()
        };
        let plain = UmemConfig::new().chunks(4);
        let metadata = plain.clone().transmit_metadata(true);
        assert!(told(&plain, EINVAL).starts_with("chunk_size: this kernel"));
        let text = told(&metadata, EINVAL);
        assert!(text.starts_with("transmit_metadata: the kernel"), "{text}");
        assert!(text.contains("6.11"), "{text}");
        assert!(told(&metadata, ENOBUFS).starts_with("chunks: 8192 bytes"));
    }
}
