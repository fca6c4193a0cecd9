//! UMEM: packet memory that sockets share with the kernel.

mod assign;
mod peers;
mod register;

pub(crate) use peers::Peer;

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use netring_sys::kernel::xdp::xsk_tx_metadata;
use netring_sys::syscall::page_size;
use netring_sys::{Error, Mmap, SyscallError};

use crate::memory::accounting::{Accounting, Census};
use crate::memory::geometry::{ChunkIndex, Geometry, Window};
use crate::memory::region::{ChunkToken, Region, Stack, Unassigned};

/// Bytes before each frame to send in which the kernel looks for what is requested with it.
pub(crate) const TRANSMIT_METADATA: u32 = size_of::<xsk_tx_metadata>() as u32;

/// Settings of packet memory. Defaults: 4096 aligned chunks of 2048 bytes (8 MiB), no headroom,
/// ordinary pages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "settings make nothing"]
pub struct UmemConfig {
    chunk_size: u32,
    chunks: u32,
    headroom: u32,
    unaligned: bool,
    huge_pages: HugePages,
    transmit_metadata: bool,
    software_checksum: bool,
}

/// Whether packet memory is in huge pages: fewer entries of the processor's page tables, and in
/// zero-copy mode unaligned chunks may lie over the borders of ordinary pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// In ordinary ones.
    #[default]
    No,
    /// In huge ones where the system has set aside enough, else in ordinary ones;
    /// [`Umem::why_not_huge`] tells which and why.
    Try,
    /// In huge ones, or not at all.
    Require,
}

/// Packet memory, and the brand of everything that is made of it.
///
/// Sockets take chunks out of it when they are opened
/// ([`XdpSocket::builder`](crate::XdpSocket::builder)), and the chunks go round between
/// their rings. It lives in a scope of its own ([`Umem::scope`]): the scope's lifetime `'umem` is
/// different from every other one, so that what belongs to one UMEM is of another type than what
/// belongs to the next, and the compiler refuses to mix them.
#[derive(Clone, Copy, Debug)]
pub struct Umem<'umem> {
    shared: &'umem Arc<Shared>,
    brand: Brand<'umem>,
}

/// A lifetime that equals no other.
pub(crate) type Brand<'umem> = PhantomData<fn(&'umem ()) -> &'umem ()>;

/// What all sockets over one UMEM have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    region: Region,
    why_not_huge: Option<SyscallError>,
    huge: bool,
    pub(crate) software_checksum: bool,
    ownership: Mutex<Ownership>,
    /// Chunks that the user holds. Relaxed: a count.
    pub(crate) user: AtomicU32,
}

/// Who has which chunks, as far as that is not in a ring.
#[derive(Debug)]
struct Ownership {
    unassigned: Unassigned,
    owners: Vec<Owner>,
    books: Accounting,
    peers: Vec<Peer>,
}

/// The chunks that one half of a socket was given, and to which they come back, on whichever socket
/// they were.
#[derive(Debug)]
struct Owner {
    range: std::ops::Range<ChunkIndex>,
    returned: Vec<ChunkToken>,
    pending_returns: Arc<AtomicU32>,
    /// Free chunks in the half's own pool, as it last published_len.
    pool: Arc<AtomicU32>,
}

/// The free chunks of one half of a socket.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Stack,
    home: usize,
    range: std::ops::Range<ChunkIndex>,
    /// The same, to ask of many addresses.
    window: Window,
    /// Bytes of a chunk.
    chunk_size: u64,
    pending_returns: Arc<AtomicU32>,
    published_len: Arc<AtomicU32>,
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
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of a chunk: a power of two from 2048 to a page (4096 on most machines), or with
    /// [`unaligned`](Self::unaligned) any number between. A chunk holds 256 bytes and the
    /// headroom less of a received packet: 1792 of 2048, 3840 of 4096.
    pub const fn chunk_size(mut self, bytes: u32) -> Self {
        self.chunk_size = bytes;
        self
    }

    /// How many chunks there are, for all sockets together.
    pub const fn chunks(mut self, chunks: u32) -> Self {
        self.chunks = chunks;
        self
    }

    /// Bytes that stay free before each received packet, besides the 256 that always do: room to
    /// put headers before it.
    pub const fn headroom(mut self, bytes: u32) -> Self {
        self.headroom = bytes;
        self
    }

    /// Lets chunks have a size that is no power of two (`XDP_UMEM_UNALIGNED_CHUNK_FLAG`, kernel
    /// 5.4). Default: no.
    #[doc(alias = "XDP_UMEM_UNALIGNED_CHUNK_FLAG")]
    pub const fn unaligned(mut self, unaligned: bool) -> Self {
        self.unaligned = unaligned;
        self
    }

    /// Whether the memory is in huge pages.
    pub const fn huge_pages(mut self, huge_pages: HugePages) -> Self {
        self.huge_pages = huge_pages;
        self
    }

    /// Lets a checksum or a timestamp be asked for with a frame to send
    /// (`XDP_UMEM_TX_METADATA_LEN`, kernel 6.11, and updates of 6.8 to
    /// 6.10): [`Slot::request_checksum`](crate::Slot::request_checksum),
    /// [`Slot::request_timestamp`](crate::Slot::request_timestamp), and the same of
    /// a [`Chunk`](crate::Chunk). 24 bytes at the front of a chunk are the kernel's then, and a
    /// frame in one chunk is so much shorter. Default: no.
    #[doc(alias = "XDP_UMEM_TX_METADATA_LEN")]
    pub const fn transmit_metadata(mut self, transmit_metadata: bool) -> Self {
        self.transmit_metadata = transmit_metadata;
        self
    }

    /// Has the kernel itself make the checksums that are asked for, in copy mode, of frames in one
    /// chunk (`XDP_UMEM_TX_SW_CSUM`). Without, the interface makes them where it can, which on
    /// veth is nowhere: the other end believes the frame. Default: no.
    #[doc(alias = "XDP_UMEM_TX_SW_CSUM")]
    pub const fn software_checksum(mut self, software_checksum: bool) -> Self {
        self.software_checksum = software_checksum;
        self
    }

    pub(crate) fn geometry(&self) -> Result<Geometry, Error> {
        if self.software_checksum && !self.transmit_metadata {
            return Err(Error::Config {
                setting: "software_checksum",
                why: "a checksum is asked for with `transmit_metadata`, which is not set".into(),
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

    pub(crate) fn build(&self) -> Result<Shared, Error> {
        let geometry = self.geometry()?;
        // With unaligned chunks the last page need not be full of them.
        let bytes = usize::try_from(geometry.bytes()).unwrap_or(usize::MAX);
        let (map, why_not_huge) = self.map(bytes)?;
        let (region, unassigned) = Region::new(map, geometry);
        Ok(Shared {
            huge: self.huge_pages != HugePages::No && why_not_huge.is_none(),
            software_checksum: self.software_checksum,
            region,
            why_not_huge,
            ownership: Mutex::new(Ownership {
                unassigned,
                owners: Vec::new(),
                books: Accounting::default(),
                peers: Vec::new(),
            }),
            user: AtomicU32::new(0),
        })
    }

    fn map(&self, bytes: usize) -> Result<(Mmap, Option<SyscallError>), SyscallError> {
        /// The usual size; where the system's default is another multiple of it, the kernel says so
        /// by an error.
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

impl<'umem> Umem<'umem> {
    /// Makes packet memory and calls `f` with it; it is gone, with its sockets, when `f` returns.
    ///
    /// ```no_run
    /// use netring_xdp::{Umem, UmemConfig, XdpSocket};
    ///
    /// Umem::scope(&UmemConfig::new().chunks(8192), |umem| {
    ///     let (mut rx, mut tx) = XdpSocket::builder("eth0", 0).open(umem)?.split();
    ///     for packet in rx.receive().iter() {
    ///         println!("{} bytes", packet.len());
    ///     }
    ///     // What was received goes back out, without a copy.
    ///     rx.receive().forward(&mut tx, |_packet| true);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), netring_xdp::Error>(())
    /// ```
    ///
    /// Threads that share it are scoped ones (`std::thread::scope`), inside of `f`.
    ///
    /// # Errors
    /// [`Error::Config`] for a geometry that the kernel does not take, with a sentence about what
    /// it takes; `mmap` failed; or what `f` says.
    pub fn scope<R>(
        config: &UmemConfig,
        f: impl for<'scope> FnOnce(Umem<'scope>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let shared = Arc::new(config.build()?);
        f(Umem {
            shared: &shared,
            brand: PhantomData,
        })
    }

    /// Where all chunks are now.
    ///
    /// It adds up ([`Census::total`] is the number of chunks) at any moment at which no thread is
    /// between two steps.
    pub fn census(&self) -> Census {
        self.shared.census()
    }

    /// Bytes of a chunk.
    pub fn chunk_size(&self) -> u32 {
        self.shared.region.geometry().chunk_size()
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u32 {
        self.shared.region.geometry().count()
    }

    /// Bytes of a received packet that a chunk holds.
    pub fn payload(&self) -> u32 {
        self.shared.region.geometry().payload()
    }

    /// Whether the memory is in huge pages.
    pub fn is_huge(&self) -> bool {
        self.shared.huge
    }

    /// Why it is not in huge pages, where that was tried.
    pub fn why_not_huge(&self) -> Option<&SyscallError> {
        self.shared.why_not_huge.as_ref()
    }

    pub(crate) const fn shared(&self) -> &'umem Arc<Shared> {
        self.shared
    }
}

impl Shared {
    #[inline]
    pub(crate) const fn region(&self) -> &Region {
        &self.region
    }

    #[inline]
    pub(crate) const fn geometry(&self) -> &Geometry {
        self.region.geometry()
    }

    pub(crate) const fn is_huge(&self) -> bool {
        self.huge
    }

    /// Sends chunks back to the halves that they were assigned to.
    pub(crate) fn return_to_owner(&self, chunks: impl Iterator<Item = ChunkToken>) {
        let mut ownership = self.lock();
        for token in chunks {
            let home = ownership
                .owners
                .iter_mut()
                .find(|home| home.range.contains(&token.chunk()));
            if let Some(home) = home {
                home.returned.push(token);
                // Relaxed: the lock orders the chunks; this only says that it is worth taking it.
                home.pending_returns
                    .store(home.returned.len() as u32, Ordering::Relaxed);
            }
        }
    }

    /// The rings of the sockets, for the census.
    pub(crate) fn books(&self, change: impl FnOnce(&mut Accounting)) {
        change(&mut self.lock().books);
    }

    pub(crate) fn census(&self) -> Census {
        let ownership = self.lock();
        let returned: usize = ownership
            .owners
            .iter()
            .map(|home| home.returned.len())
            .sum();
        // Relaxed: counts; see `Umem::census` for when they are exact.
        let published_len: u32 = ownership
            .owners
            .iter()
            .map(|home| home.pool.load(Ordering::Relaxed))
            .sum();
        let pool = ownership.unassigned.left() + returned as u32 + published_len;
        ownership
            .books
            .census(pool, self.user.load(Ordering::Relaxed))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ownership> {
        // Nothing in here panics half way.
        self.ownership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Takes a chunk, `None` where none is free.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<ChunkToken> {
        self.free.pop()
    }

    /// Gives a chunk up that goes into a ring: where it starts.
    #[inline]
    pub(crate) fn pop_into_ring(&mut self) -> Option<u64> {
        let token = self.free.pop()?;
        Some(u64::from(token.into_ring()) * self.chunk_size)
    }

    /// The chunk that is taken next.
    #[inline]
    pub(crate) fn next(&self) -> Option<&ChunkToken> {
        self.free.tokens().last()
    }

    /// The chunk that is taken next, to write to.
    #[inline]
    pub(crate) fn next_mut(&mut self) -> Option<&mut ChunkToken> {
        self.free.tokens_mut().last_mut()
    }

    /// Takes a chunk back that is this half's own.
    #[inline]
    pub(crate) fn push(&mut self, token: ChunkToken) {
        debug_assert!(self.range.contains(&token.chunk()));
        self.free.push(token);
    }

    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.free.len() as u32
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.free.len() == 0
    }

    /// The free chunks themselves, for who takes many at once.
    #[inline]
    pub(crate) const fn free_mut(&mut self) -> &mut Stack {
        &mut self.free
    }

    /// Whether there are chunks in it, or on their way to it.
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        // Relaxed: see `return_to_owner`.
        self.free.len() > 0 || self.pending_returns.load(Ordering::Relaxed) > 0
    }

    /// This half's own chunks.
    #[inline]
    pub(crate) const fn range(&self) -> &std::ops::Range<ChunkIndex> {
        &self.range
    }

    /// Where this half's own chunks are.
    #[inline]
    pub(crate) const fn window(&self) -> Window {
        self.window
    }

    /// Takes in what came home by other ways; how many.
    #[inline]
    pub(crate) fn collect(&mut self, shared: &Shared) -> u32 {
        // Relaxed: see `return_to_owner`.
        if self.pending_returns.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.collect_slowly(shared)
    }

    #[cold]
    fn collect_slowly(&mut self, shared: &Shared) -> u32 {
        let mut ownership = shared.lock();
        let home = &mut ownership.owners[self.home];
        let count = home.returned.len() as u32;
        for token in home.returned.drain(..) {
            self.free.push(token);
        }
        // Relaxed: see `return_to_owner`.
        home.pending_returns.store(0, Ordering::Relaxed);
        // Within the lock, which the census takes.
        self.publish_count();
        count
    }

    /// Tells the census how many are free.
    #[inline]
    pub(crate) fn publish_count(&self) {
        // Relaxed: a count.
        self.published_len
            .store(self.free.len() as u32, Ordering::Relaxed);
    }
}
