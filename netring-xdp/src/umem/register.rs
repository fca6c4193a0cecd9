//! Packet memory is told to the kernel.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use netring_sys::Error;
use netring_sys::kernel::xdp::{
    XDP_UMEM_TX_METADATA_LEN, XDP_UMEM_TX_SW_CSUM, XDP_UMEM_UNALIGNED_CHUNK_FLAG, xdp_umem_reg,
};
use netring_sys::syscall::{memlock_limit, set_xdp_umem};

use super::Shared;

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
        const ENOBUFS: i32 = 105;
        const EINVAL: i32 = 22;
        // What closed sockets had locked is let go of on the kernel's own time.
        let patience = Instant::now() + Duration::from_millis(500);
        let mut result = set_xdp_umem(socket, self.region.map(), &request);
        while matches!(&result, Err(error) if error.is(ENOBUFS)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
            result = set_xdp_umem(socket, self.region.map(), &request);
        }
        result.map_err(|error| {
            match memlock_limit() {
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
                    why: "the kernel does not take it: it needs kernel 6.11, or an update of 6.8 to 6.10".into(),
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
        })
    }
}
