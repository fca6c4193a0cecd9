//! The settings and statistics of conversations.

use netring_flow::TrackerStats;
use netring_flow::reassembly::{ReassemblyConfig, ReassemblyStats};
use netring_sys::{Error, Stats};

/// The settings of a [`ConversationStream`](crate::ConversationStream).
///
/// ```
/// use netring_async::ConversationConfig;
///
/// let config = ConversationConfig::new().buffer(64 << 10).backlog(128);
/// # let _ = config;
/// ```
#[derive(Clone, Debug)]
pub struct ConversationConfig {
    pub(super) buffer: usize,
    pub(super) backlog: usize,
    pub(super) lossless: bool,
    pub(super) reassembly: ReassemblyConfig,
}

impl ConversationConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes of each half may wait for their reader, from 4096 to 1 GiB; each segment and
    /// each gap counts 32 bytes more. Bytes that the reader has already taken, at most the same
    /// number again, do not count. Memory is used as needed, and all but 32 KiB is freed at the
    /// end, or when a reader that has caught up waits. Default: 8 MiB.
    ///
    /// A packet that fills a hole releases everything the reassembler held behind it, up to
    /// [`max_held_per_flow`](ReassemblyConfig::max_held_per_flow). A smaller buffer may overflow
    /// then, even if its reader has caught up.
    ///
    /// Bytes that arrive while the buffer is full are lost to this half and reported to its reader
    /// as a gap ([`Chunk::Gap`](crate::Chunk::Gap)); other halves and the capture continue. With
    /// [`lossless`](Self::lossless) the capture waits instead.
    #[must_use]
    pub const fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }

    /// How many conversations may wait to be taken from the stream, at least 1. Further ones are
    /// refused and counted ([`ConversationStats::refused`]), or the capture waits
    /// ([`lossless`](Self::lossless)). Default: 16,384, because one batch of a live capture can
    /// begin thousands, and the stream yields none of them before the batch ends.
    #[must_use]
    pub const fn backlog(mut self, conversations: usize) -> Self {
        self.backlog = conversations;
        self
    }

    /// Whether the source is not read while a buffer or the backlog is full, so that nothing is
    /// lost. A buffer may then exceed its bound by the contents of one batch of packets. A reader
    /// that does not read stops all others, until it reads or drops its half; a live source
    /// meanwhile drops what its ring cannot hold, which its statistics count. This is for capture
    /// files. Default: no.
    #[must_use]
    pub const fn lossless(mut self, on: bool) -> Self {
        self.lossless = on;
        self
    }

    /// The settings of the reassembly.
    #[must_use]
    pub fn reassembly(mut self, config: ReassemblyConfig) -> Self {
        self.reassembly = config;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |setting, why: String| Err(Error::Config { setting, why });
        if !(4096..=1 << 30).contains(&self.buffer) {
            let why = format!("{} bytes is out of range (4096 to 1073741824)", self.buffer);
            return wrong("ConversationConfig::buffer", why);
        }
        if self.backlog == 0 {
            let why = "0 is out of range: at least 1 is required".into();
            return wrong("ConversationConfig::backlog", why);
        }
        Ok(())
    }
}

impl Default for ConversationConfig {
    fn default() -> Self {
        Self {
            buffer: 8 << 20,
            backlog: 16_384,
            lossless: false,
            reassembly: ReassemblyConfig::new(),
        }
    }
}

/// A snapshot of the figures of a [`ConversationStream`](crate::ConversationStream).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConversationStats {
    /// The fate of every packet.
    pub capture: Stats,
    /// The fate of every flow.
    pub tracker: TrackerStats,
    /// The outcome of the payload of the subscribed flows.
    pub reassembly: ReassemblyStats,
    /// Conversations that began: taken from the stream, or waiting in it.
    pub begun: u64,
    /// Conversations that were refused because the [backlog](ConversationConfig::backlog) was full.
    /// No other counter here includes them.
    pub refused: u64,
    /// Bytes that were reassembled and lost, because their half's
    /// [buffer](ConversationConfig::buffer) was full.
    pub overrun: u64,
    /// How often the source was not read because of [`lossless`](ConversationConfig::lossless).
    pub waits: u64,
}
