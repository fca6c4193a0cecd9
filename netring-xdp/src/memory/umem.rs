//! UMEM: packet memory that sockets share with the kernel.

mod assign;
mod config;
mod peers;
mod pool;
mod register;

pub(crate) use config::TRANSMIT_METADATA;
pub use config::{HugePages, UmemConfig};
pub(crate) use peers::Peer;
pub(crate) use pool::Pool;

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use netring_sys::{Error, SyscallError};

use crate::memory::accounting::{Accounting, Census};
use crate::memory::geometry::{ChunkIndex, Geometry};
use crate::memory::region::Region;
use crate::memory::token::{ChunkToken, Unassigned};

/// Packet memory, and the brand of everything that is made of it.
///
/// Sockets take chunks out of it when they are opened
/// ([`XdpSocket::builder`](crate::XdpSocket::builder)), and the chunks circulate between their
/// rings. It lives in its own scope ([`Umem::scope`]), with a lifetime `'umem` that differs from
/// every other: objects of different UMEMs have different types, and the compiler refuses to mix
/// them.
#[derive(Clone, Copy, Debug)]
pub struct Umem<'umem> {
    shared: &'umem Arc<Shared>,
    brand: Brand<'umem>,
}

/// A lifetime that equals no other.
pub(crate) type Brand<'umem> = PhantomData<fn(&'umem ()) -> &'umem ()>;

/// The part that all sockets over one UMEM share.
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

/// The owners of the chunks that are in no ring.
#[derive(Debug)]
struct Ownership {
    unassigned: Unassigned,
    owners: Vec<Owner>,
    accounting: Accounting,
    peers: Vec<Peer>,
}

/// The half of a socket that owns these chunks, and gets them back from whichever socket they were
/// sent through.
#[derive(Debug)]
struct Owner {
    range: Range<ChunkIndex>,
    returned: Vec<ChunkToken>,
    pending_returns: Arc<AtomicU32>,
    /// Free chunks in the half's own pool, as it last published.
    pool: Arc<AtomicU32>,
}

impl UmemConfig {
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
                accounting: Accounting::default(),
                peers: Vec::new(),
            }),
            user: AtomicU32::new(0),
        })
    }
}

impl<'umem> Umem<'umem> {
    /// Makes packet memory and calls `f` with it. It is freed, with its sockets, when `f` returns.
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
    /// Threads that share it are scoped threads (`std::thread::scope`) inside `f`.
    ///
    /// # Errors
    /// [`Error::Config`] for a geometry that the kernel does not accept, naming the accepted ones;
    /// the failed `mmap`; or the error that `f` returns.
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
    /// [`Census::total`] equals the number of chunks whenever no thread is in the middle of a call.
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

    /// Why the memory is not in huge pages, if that was tried.
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

    /// Returns chunks to the halves that they were assigned to.
    pub(crate) fn return_to_owner(&self, chunks: impl Iterator<Item = ChunkToken>) {
        let mut ownership = self.lock();
        for token in chunks {
            let owner = ownership
                .owners
                .iter_mut()
                .find(|owner| owner.range.contains(&token.chunk()));
            if let Some(owner) = owner {
                owner.returned.push(token);
                // Relaxed, with no partner: the lock orders the chunks; this only says that taking
                // it is worthwhile.
                owner
                    .pending_returns
                    .store(owner.returned.len() as u32, Ordering::Relaxed);
            }
        }
    }

    /// The rings of the sockets, for the census.
    pub(crate) fn accounting(&self, change: impl FnOnce(&mut Accounting)) {
        change(&mut self.lock().accounting);
    }

    pub(crate) fn census(&self) -> Census {
        let ownership = self.lock();
        let returned: usize = ownership
            .owners
            .iter()
            .map(|owner| owner.returned.len())
            .sum();
        // Relaxed: counts; see `Umem::census` for when they are exact.
        let published_len: u32 = ownership
            .owners
            .iter()
            .map(|owner| owner.pool.load(Ordering::Relaxed))
            .sum();
        let pool = ownership.unassigned.left() + returned as u32 + published_len;
        ownership
            .accounting
            .census(pool, self.user.load(Ordering::Relaxed))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ownership> {
        // Nothing that holds the lock panics half way.
        self.ownership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
