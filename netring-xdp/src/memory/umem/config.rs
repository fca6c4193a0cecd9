//! The settings of packet memory.

use netring_sys::kernel::xdp::xsk_tx_metadata;
use netring_sys::syscall::page_size;
use netring_sys::{Error, Mmap, Profile, SyscallError};

use crate::memory::geometry::Geometry;
use crate::options::Sizes;

/// Bytes before each frame to send that the kernel reads for requests.
pub(crate) const TRANSMIT_METADATA: u32 = size_of::<xsk_tx_metadata>() as u32;

/// Settings of packet memory. Defaults: 4096 aligned chunks of 2048 bytes (8 MiB), no headroom,
/// ordinary pages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings allocate nothing"]
pub struct UmemConfig {
    chunk_size: u32,
    chunks: u32,
    headroom: u32,
    unaligned: bool,
    pub(super) huge_pages: HugePages,
    transmit_metadata: bool,
    pub(super) software_checksum: bool,
}

/// Whether packet memory is in huge pages (`MAP_HUGETLB`): they take fewer entries of the
/// processor's translation buffers, and in zero-copy mode unaligned chunks may cross the boundaries
/// of ordinary pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// In ordinary pages.
    #[default]
    No,
    /// In huge pages if the system has reserved enough, otherwise in ordinary ones;
    /// [`Umem::why_not_huge`](crate::Umem::why_not_huge) reports why not.
    Try,
    /// In huge pages; if there are not enough, opening fails.
    Require,
}

impl Default for UmemConfig {
    fn default() -> Self {
        Self {
            chunk_size: 2048,
            chunks: 4096,
            headroom: 0,
            unaligned: false,
            huge_pages: HugePages::No,
            transmit_metadata: false,
            software_checksum: false,
        }
    }
}

impl UmemConfig {
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number and the size of chunks for one socket that both receives and sends with the
    /// same profile ([`SocketBuilder::profile`](crate::SocketBuilder::profile)). Default:
    /// [`Profile::Default`]. Settings made after it override it.
    ///
    /// | profile | chunks |
    /// |---|---|
    /// | `Default` | 4096 × 2048 bytes = 8 MiB |
    /// | `LowLatency`, `Immediate` | 4096 × 2048 bytes = 8 MiB |
    /// | `HighThroughput` | 16,384 × 2048 bytes = 32 MiB |
    /// | `LowMemory` | 1024 × 2048 bytes = 2 MiB |
    /// | `Jumbo` | 8192 × 4096 bytes = 32 MiB |
    pub const fn profile(mut self, profile: Profile) -> Self {
        let sizes = Sizes::of(profile);
        self.chunks = sizes.chunks();
        self.chunk_size = match sizes.chunk_size {
            Some(bytes) => bytes,
            None => 2048,
        };
        self
    }

    /// Bytes of a chunk: a power of two from 2048 to a page (4096 on most machines), or with
    /// [`unaligned`](Self::unaligned) any number between. Default: 2048. 256 bytes of a chunk and
    /// the headroom are not available for a received packet, which leaves 1792 of 2048 bytes and
    /// 3840 of 4096.
    pub const fn chunk_size(mut self, bytes: u32) -> Self {
        self.chunk_size = bytes;
        self
    }

    /// How many chunks there are for all sockets together. Default: 4096.
    pub const fn chunks(mut self, chunks: u32) -> Self {
        self.chunks = chunks;
        self
    }

    /// Bytes that stay free before each received packet, in addition to the usual 256: room to
    /// prepend headers. Default: 0.
    pub const fn headroom(mut self, bytes: u32) -> Self {
        self.headroom = bytes;
        self
    }

    /// Lets chunks have a size that is not a power of two (`XDP_UMEM_UNALIGNED_CHUNK_FLAG`, kernel
    /// 5.4). Default: no.
    #[doc(alias = "XDP_UMEM_UNALIGNED_CHUNK_FLAG")]
    pub const fn unaligned(mut self, unaligned: bool) -> Self {
        self.unaligned = unaligned;
        self
    }

    /// Whether the memory is in huge pages. Default: no.
    pub const fn huge_pages(mut self, huge_pages: HugePages) -> Self {
        self.huge_pages = huge_pages;
        self
    }

    /// Allows a checksum or a timestamp to be requested with a frame
    /// (`XDP_UMEM_TX_METADATA_LEN`, kernel 6.11, and updates of 6.8 to 6.10):
    /// [`Slot::request_checksum`](crate::Slot::request_checksum),
    /// [`Slot::request_timestamp`](crate::Slot::request_timestamp), and the same of a
    /// [`Chunk`](crate::Chunk). The first 24 bytes of a chunk then belong to the kernel, and the
    /// longest frame in one chunk is that much shorter. Default: no.
    #[doc(alias = "XDP_UMEM_TX_METADATA_LEN")]
    pub const fn transmit_metadata(mut self, transmit_metadata: bool) -> Self {
        self.transmit_metadata = transmit_metadata;
        self
    }

    /// Lets the kernel compute the requested checksums itself, in copy mode, for frames in one
    /// chunk (`XDP_UMEM_TX_SW_CSUM`). Without it the interface computes them, if it can; veth
    /// cannot, and its other end trusts the frame. Default: no.
    #[doc(alias = "XDP_UMEM_TX_SW_CSUM")]
    pub const fn software_checksum(mut self, software_checksum: bool) -> Self {
        self.software_checksum = software_checksum;
        self
    }

    pub(crate) fn geometry(&self) -> Result<Geometry, Error> {
        if self.software_checksum && !self.transmit_metadata {
            return Err(Error::Config {
                setting: "software_checksum",
                why: "checksums are requested by `transmit_metadata`, which is not set".into(),
            });
        }
        let page_size = u32::try_from(page_size()).unwrap_or(4096);
        let geometry = Geometry::new(
            self.chunk_size,
            self.chunks,
            self.headroom,
            self.unaligned,
            page_size,
        )?;
        let front = if self.transmit_metadata {
            TRANSMIT_METADATA
        } else {
            0
        };
        Ok(geometry.with_front(front))
    }

    pub(super) fn map(&self, bytes: usize) -> Result<(Mmap, Option<SyscallError>), SyscallError> {
        /// The usual size. If the system's default is another multiple of it, the kernel returns an
        /// error.
        const HUGE: usize = 2 << 20;
        if self.huge_pages == HugePages::No {
            return Ok((Mmap::anonymous(bytes.next_multiple_of(page_size()))?, None));
        }
        match Mmap::anonymous_huge(bytes.next_multiple_of(HUGE)) {
            Ok(map) => Ok((map, None)),
            Err(why) if self.huge_pages == HugePages::Try => {
                let map = Mmap::anonymous(bytes.next_multiple_of(page_size()))?;
                Ok((map, Some(why)))
            }
            Err(error) => Err(error),
        }
    }
}
