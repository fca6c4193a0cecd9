//! The last step: a bound socket gets its halves, and they get their chunks.

use std::sync::atomic::Ordering;

use netring_sys::{Error, XdpFeatures};

use super::Bound;
use crate::options::RingSize;
use crate::ring::Producer;
use crate::socket::rx::{MetadataPlacement, RxHalf, RxParts};
use crate::socket::tx::{MAX_PIECES, Offloads, TxHalf, TxParts};

impl Bound<'_> {
    /// The halves that the configuration asks for.
    pub(super) fn halves(self) -> Result<(Option<RxHalf>, Option<TxHalf>), Error> {
        let config = self.config;
        self.shared.can_assign(
            config.rx.map_or(0, |_| config.receive_chunks()),
            config.tx.map_or(0, |_| config.transmit_chunks()),
        )?;
        let receiving = self.receiving()?;
        let sending = self.sending()?;
        if let Some(peer) = self.same_queue {
            // Only now that nothing can fail any more. Relaxed: as in `is_queue_shared`.
            peer.shares_queue.store(true, Ordering::Relaxed);
        }
        Ok((receiving, sending))
    }

    fn receiving(&self) -> Result<Option<RxHalf>, Error> {
        let (config, rings) = (self.config, &self.socket.rings);
        let Some(receive) = rings.receive.clone() else {
            self.fill_for_driver()?;
            return Ok(None);
        };
        Ok(Some(RxHalf::new(RxParts {
            socket: self.socket.clone(),
            receive,
            fill: rings.fill.clone(),
            pool: self
                .shared
                .assign(config.receive_chunks(), "receive_chunks")?,
            multi_buffer: config.options.multi_buffer,
            metadata: config
                .options
                .metadata
                .then_some(MetadataPlacement::Default),
        })))
    }

    /// A socket that only sends has a fill ring too, in which drivers may want chunks.
    fn fill_for_driver(&self) -> Result<(), Error> {
        let Some(fill) = self.socket.rings.fill.clone() else {
            return Ok(());
        };
        if !self.socket.zero_copy {
            return Ok(());
        }
        let chunks = self.config.receive_chunks();
        let mut pool = self.shared.assign(chunks, "receive_chunks")?;
        let mut fill = Producer::<u64>::new(fill);
        let mut writer = fill.writer(pool.len());
        while let Some(token) = pool.pop() {
            writer.push(self.shared.geometry().base(token.into_ring()));
        }
        pool.publish_count();
        Ok(())
    }

    fn sending(&self) -> Result<Option<TxHalf>, Error> {
        let (config, rings) = (self.config, &self.socket.rings);
        let Some(transmit) = rings.transmit.clone() else {
            return Ok(None);
        };
        let (offloads, segments) = self.offloads()?;
        let ring = config.tx.map_or(0, RingSize::entries);
        let max_pieces = if config.options.multi_buffer {
            // A frame is completed once all of it is sent: one that does not fit its completion
            // ring never is.
            MAX_PIECES
                .min(segments)
                .min(ring.min(self.completion_entries))
        } else {
            1
        };
        Ok(Some(TxHalf::new(TxParts {
            socket: self.socket.clone(),
            transmit,
            completion: rings.completion.clone(),
            pool: self
                .shared
                .assign(config.transmit_chunks(), "transmit_chunks")?,
            max_pieces,
            offloads,
        })))
    }

    /// The supported requests, and the maximum number of chunks per frame: the kernel's figures in
    /// copy mode, otherwise the driver's.
    fn offloads(&self) -> Result<(Offloads, u32), Error> {
        if !self.socket.zero_copy {
            let offloads = Offloads::of_kernel(self.shared.software_checksum);
            return Ok((offloads, u32::MAX));
        }
        let features = XdpFeatures::of(self.socket.interface.index)?.unwrap_or_default();
        let segments = features.zero_copy_segments.unwrap_or(u32::MAX);
        Ok((Offloads::of_driver(&features), segments))
    }
}
